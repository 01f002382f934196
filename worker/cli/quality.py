"""`triage quality`: measure a model, fit thresholds, compare builds, keep a golden set."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.labelled import LabelledTicket
from schemas.thresholds import thresholds_text
from worker import logs
from worker.cli import compose, desks, process
from worker.cli.desks import SCRIPTED
from worker.cli.lines import read_lines
from worker.cli.preflight import keep_gate
from worker.cli.progress import counting
from worker.cli.quality_tables import answer_table, coverage_table, language_table, thresholds_table
from worker.engine.contract import Engine
from worker.engine.profiles import load_profile
from worker.errors import TriageError
from worker.quality import run as running
from worker.quality.calibrate import below
from worker.quality.calibrate import calibrate as fit_thresholds
from worker.quality.gate import MARGIN, Comparison, Verdict, compare, score
from worker.quality.golden import golden_tickets
from worker.quality.questions import Question, scores
from worker.quality.run import Run
from worker.quality.summary import summary
from worker.settings import Settings, load_settings
from worker.triage.desk import Desk

app = typer.Typer(no_args_is_help=True)

Labelled = Annotated[
    Path, typer.Option(help="Labelled JSONL: a ticket, its language and any of the labels a line.")
]
ProfileName = Annotated[
    str | None, typer.Option(help="Engine profile; TRIAGE_PROFILE if none is named.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Precision = Annotated[float, typer.Option(min=0.0, max=1.0)]

EXIT = {Verdict.PASSED: 0, Verdict.FAILED: 4, Verdict.UNDECIDED: 5}


@app.callback()
def group() -> None:
    """Measure a model, fit thresholds, compare builds."""


@app.command()
def measure(
    tickets: Labelled,
    profile: ProfileName = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Triage labelled tickets and say how much of it is right."""
    settings = settings_of(profile)
    process.require_writable(html)
    with the_engine(settings) as (engine, desk):
        measured = summary(triage_all(tickets, engine, desk, settings), engine.identity, desk)
    if html:
        from worker.quality.page import page  # noqa: PLC0415  # charts, which few commands draw

        with process.output(html) as file:
            file.write(page(measured))
    if as_json:
        typer.echo(json.dumps(measured, ensure_ascii=False))
        return
    console = Console()
    console.print(language_table(measured))
    console.print()
    console.print(answer_table(measured))
    console.print()
    console.print(coverage_table(measured))
    if html:
        console.print(Text(f"The page is {html}."))


@app.command()
def calibrate(
    *,
    tickets: Labelled,
    profile: ProfileName = None,
    auto_precision: Precision = 0.98,
    suggest_precision: Precision = 0.90,
    write: Annotated[
        Path,
        typer.Option(
            help="Write the thresholds here, for TRIAGE_THRESHOLDS; - for standard output."
        ),
    ] = Path("-"),
    as_json: AsJson = False,
) -> None:
    """Fit the thresholds of each label field so that this share of what passes is right.

    Half of the tickets make the thresholds, the other half judges them.
    """
    if suggest_precision > auto_precision:
        raise TriageError("--suggest-precision must not be above --auto-precision")
    settings = settings_of(profile)
    process.require_writable(write)
    with the_engine(settings) as (engine, desk):
        judged = triage_all(tickets, engine, desk, settings).judged
    thresholds, report = fit_thresholds(
        judged, auto_precision=auto_precision, suggest_precision=suggest_precision
    )
    is_shown = str(write) == "-"
    if not (is_shown and as_json):
        with process.output(write) as file:
            file.write(thresholds_text(thresholds))
    wanted = {"auto": auto_precision, "suggest": suggest_precision}
    for missed in below(report, wanted):
        Console(stderr=True).print(missed, style="yellow", highlight=False)
    if as_json:
        typer.echo(json.dumps({"thresholds": thresholds.model_dump(), "judged": report}))
        return
    Console(stderr=is_shown).print(thresholds_table(report))


@app.command()
def gate(
    *,
    candidate: Annotated[str, typer.Option(help="The profile to be judged.")],
    reference: Annotated[str, typer.Option(help="The profile it has to be as good as.")],
    tickets: Annotated[
        Path | None, typer.Option(help="Labelled tickets (JSONL).", exists=True, dir_okay=False)
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Multiple choice: {question, choices, answer} a line."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="How much worse it may be.", min=0.0, max=1.0)
    ] = MARGIN,
    as_json: AsJson = False,
) -> None:
    """Is a build as good as its reference on the same tickets or questions?

    Exit code 0: passed, the 95 % interval of the difference lies above minus the margin;
    4: failed, it lies below; 5: undecided, more cases are needed.
    """
    if (tickets is None) == (questions is None):
        raise TriageError("name either --tickets or --questions")
    both = [settings_of(name) for name in (candidate, reference)]
    for one in both:
        if one.profile != SCRIPTED:
            load_profile(one.profile)  # what is wrong with it is told before hours of the other
    if candidate == reference != SCRIPTED:
        raise TriageError(f"{candidate} is as good as itself: name another --reference")
    found = [scores_of(one, tickets, questions) for one in both]
    try:
        compared = compare(*found, margin=margin)
    except ValueError as error:
        raise TriageError(str(error)) from error
    keep_gate(
        compared,
        settings_of(candidate),
        reference=reference,
        cases=tickets or questions,
        margin=margin,
    )
    if as_json:
        typer.echo(json.dumps({"candidate": candidate, "reference": reference, "margin": margin}
                              | {"comparison": asdict(compared)}))  # fmt: skip
    else:
        show(compared, candidate, reference, margin)
    raise typer.Exit(EXIT[compared.verdict])


@app.command()
def golden(
    output: Annotated[Path, typer.Option(help="Write here; - for standard output.")] = Path("-"),
) -> None:
    """Write the tickets that people corrected, as labelled JSONL for `measure` and `gate`.

    A label that they left as it was counts as right.
    """
    count = 0
    with compose.one_transaction() as session, process.output(output) as file:
        for one in golden_tickets(session):
            file.write(json.dumps(one, ensure_ascii=False) + "\n")
            count += 1
    Console(stderr=True).print(f"{count:,} corrected tickets.", highlight=False)


def scores_of(settings: Settings, tickets: Path | None, questions: Path | None) -> list[float]:
    """One profile's score for each labelled ticket, or each question, of the file."""
    with the_engine(settings) as (engine, desk):
        if tickets:
            judged = triage_all(tickets, engine, desk, settings).judged
            return [one for one in map(score, judged) if one is not None]
        assert questions is not None
        asked = list(read_lines(questions, Question))
        with counting(f"Asking {settings.profile}", len(asked)) as advance:
            return scores(asked, engine, in_flight=settings.in_flight,
                          deadline_s=settings.deadline_s, advance=advance)  # fmt: skip


def show(compared: Comparison, candidate: str, reference: str, margin: float) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("", "score", "difference", "95 % interval"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row(reference, f"{compared.reference:.4f}")
    table.add_row(
        candidate,
        f"{compared.candidate:.4f}",
        f"{compared.difference:+.4f}",
        f"{compared.low:+.4f} … {compared.high:+.4f}",
    )
    console = Console()
    console.print(table)
    more = f"; about {compared.enough:,} cases would decide" if compared.enough else ""
    console.print(
        f"{compared.verdict} on {compared.cases:,} cases, at most {margin:.2%} worse{more}",
        highlight=False,
    )


def settings_of(profile: str | None) -> Settings:
    logs.configure("WARNING")
    return load_settings(**({"profile": profile} if profile else {}))


@contextmanager
def the_engine(settings: Settings) -> Iterator[tuple[Engine, Desk]]:
    """The engine of the configured profile for the length of the block, and its desk."""
    desk = desks.make_desk(settings)
    with Console(stderr=True).status("Starting the engine …"):
        engine = compose.engine_maker(settings)()
    try:
        yield engine, desk
    finally:
        engine.stop()


def triage_all(file: Path, engine: Engine, desk: Desk, settings: Settings) -> Run:
    tickets = list(read_lines(file, LabelledTicket, context=desk.taxonomy))
    if not tickets:
        raise TriageError(f"{file} has no tickets")
    with counting(f"Triaging with {engine.identity.profile}", len(tickets)) as advance:
        return running.run(tickets, engine, desk, in_flight=settings.in_flight, advance=advance)
