"""`triage demo`: the whole product on this machine, from signed webhooks to drafted replies."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from worker import logs
from worker.cli import process
from worker.cli.demo_twins import Twins
from worker.cli.lines import Line, read_tickets
from worker.cli.tables import ticket_table
from worker.database import Sessions, opened, transaction
from worker.errors import SettingsError, TriageError
from worker.helpdesk import HELPDESKS, by_name
from worker.local import Stack
from worker.ports import free_port
from worker.settings import Settings, load_settings
from worker.tickets import read
from worker.tickets.states import ANSWERED, State

BUILT_IN = Path(str(files("worker.cli").joinpath("demo_tickets.jsonl")))
POSTING_THREADS = 4
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Run:
    """What a demonstration came to. `seconds` is from the engine being ready to the last reply."""

    reports: list[dict[str, Any]]
    seconds: float
    first_reply_s: float


def demo(
    tickets: Annotated[
        Path | None,
        typer.Option(
            help='JSONL file of {"id", "subject", "body", "locale"?}; else a built-in set.'
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a ticket.")] = False,
    keep: Annotated[
        bool, typer.Option(help="Keep the data in TRIAGE_DATA_DIR, for `triage up`.")
    ] = False,
    write_back: Annotated[
        bool, typer.Option(help="Write the replies back, to helpdesks in memory.")
    ] = False,
    history: Annotated[
        bool, typer.Option(help="Invent the 60 days before as well, and keep the data.")
    ] = False,
) -> None:
    """Start everything, send tickets in as signed webhooks, show what was made of them.

    Exit code 0 when every ticket was replied to or handed to a person.
    """
    started = time.monotonic()
    logs.configure("WARNING")
    process.interrupt_on_signals()
    lines = list(read_tickets(tickets or BUILT_IN))
    console = Console(stderr=True)
    keep = keep or history
    with data_directory(keep=keep) as given, ExitStack() as servers:
        twins = Twins(lines, servers) if write_back else None
        settings = given.model_copy(update={"helpdesks": twins.settings if twins else {}})
        stack = Stack(settings, port=free_port(settings.gateway_host))
        try:
            with progress_bar(console) as progress:
                run = perform(stack, lines, progress, started, history=history)
                if twins:
                    wait_for_write_back(twins, stack, progress)
        finally:
            stack.stop()
    if as_json:
        for one in run.reports:
            typer.echo(json.dumps(one, ensure_ascii=False))
    else:
        show(run, settings if keep else None)
        if twins:
            twins.show(Console())
    if any(one["state"] not in ANSWERED for one in run.reports):
        raise typer.Exit(1)


def perform(
    stack: Stack, lines: Sequence[Line], progress: Progress, started: float, *, history: bool
) -> Run:
    task = progress.add_task("Starting Postgres, broker and gateway", total=None)
    stack.start()
    stack.wait_ready("gateway")
    if history:
        from worker.cli.history import invent  # noqa: PLC0415  # it reads the bank of phrases

        progress.update(task, description="Inventing the sixty days before")
        invent(stack.database_url, load_settings())
    progress.update(task, description="Sending webhooks", total=len(lines))
    with (
        ThreadPoolExecutor(POSTING_THREADS) as threads,
        httpx.Client(timeout=30, trust_env=False) as http,  # on this machine: no proxy
    ):
        post_one = lambda line: post(line, stack, http)  # noqa: E731
        ids = []
        for ticket_id in threads.map(post_one, lines):
            ids.append(ticket_id)
            progress.advance(task)
    progress.update(task, description="Starting the engine", total=None, completed=0)
    stack.wait_ready("worker")
    progress.update(task, description="Triaging", total=len(set(ids)))
    ready = time.monotonic()
    with opened(stack.database_url, pool_size=1) as sessions:
        first_reply_s = wait_for_all(list(set(ids)), sessions, stack, progress, started)
        seconds = time.monotonic() - ready
        with transaction(sessions) as session:
            return Run(read.reports(session, ids), seconds, first_reply_s)


def wait_for_write_back(twins: Twins, stack: Stack, progress: Progress) -> None:
    progress.update(progress.task_ids[0], description="Writing back", total=None)
    with opened(stack.database_url, pool_size=1) as sessions:
        twins.wait(sessions)


def wait_for_all(
    ids: list[int], sessions: Sessions, stack: Stack, progress: Progress, started: float
) -> float:
    """Wait until every ticket is done; seconds from `started` to the first that was."""
    first_s = 0.0
    while True:
        with transaction(sessions) as session:
            done = read.finished(session, ids)
        progress.update(progress.task_ids[0], completed=done)
        if done and not first_s:
            first_s = time.monotonic() - started
        if done == len(ids):
            return first_s
        stack.watch()
        time.sleep(POLL_S)


def post(line: Line, stack: Stack, http: httpx.Client) -> int:
    """Send one ticket as its helpdesk would, signed; our id of it.

    Raises:
        TriageError: the gateway refused it.
    """
    source = line.source if line.source in HELPDESKS else "generic"
    helpdesk = by_name(source)
    body = json.dumps(helpdesk.compose(line), ensure_ascii=False).encode()
    headers = helpdesk.sign(
        body, stack.secrets[source], delivery_id=uuid4().hex, now=datetime.now(UTC)
    )
    answer = http.post(f"{stack.gateway_url}/webhooks/{source}", content=body, headers=headers)
    if answer.status_code not in {200, 202}:
        raise TriageError(f"ticket {line.id}: the gateway said {answer.status_code}: {answer.text}")
    return int(answer.json()["ticket_id"])


@contextmanager
def data_directory(*, keep: bool) -> Iterator[Settings]:
    """Settings with a data directory that lasts as long as asked, and servers of their own.

    Raises:
        SettingsError: what is to be kept would go into a database that others may use.
    """
    if keep:
        settings = load_settings()
        if settings.database_url or settings.broker_url:
            raise SettingsError(
                "a demonstration invents tickets: unset TRIAGE_DATABASE_URL and TRIAGE_BROKER_URL "
                "(.env as well), and it brings servers of its own"
            )
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="triage-demo-", ignore_cleanup_errors=True) as path:
        yield load_settings(data_dir=path, database_url="", broker_url="",
                            metrics_port=0, writeback_metrics_port=0)  # fmt: skip


def progress_bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def show(run: Run, kept: Settings | None) -> None:
    """The table, the totals, and where to look next."""
    console = Console()
    console.print(ticket_table(run.reports, width=console.width))
    console.print()
    for line in totals(run):
        console.print(line, highlight=False)
    console.print()
    if kept:
        console.print(
            f"Data kept in {kept.data_dir}. Next: `triage up` runs the same stack and has the page "
            "for operators at /ops; `triage ticket show ID` shows one ticket.",
            highlight=False,
        )
    else:
        console.print(
            "Next: `triage demo --json` shows every field, `--tickets FILE.jsonl` takes your own "
            "tickets, `triage up` keeps the stack running; docs/ has the rest.",
            highlight=False,
        )


def totals(run: Run) -> Iterator[str]:
    engines = [one["engine"] for one in run.reports if one["engine"]]
    written, read_, cached = (
        sum(engine[key] or 0 for engine in engines)
        for key in ("output_tokens", "prompt_tokens", "cached_tokens")
    )
    states = [one["state"] for one in run.reports]
    yield (
        f"{len(states)} tickets: {states.count(State.REPLIED)} replied, "
        f"{states.count(State.NEEDS_HUMAN)} for a person. "
        f"First reply {run.first_reply_s:.1f} s after the start."
    )
    busy_s = max(run.seconds, 0.001)
    yield (
        f"Triaged in {run.seconds:.1f} s: {len(states) / busy_s:.1f} tickets/s, "
        f"{written / busy_s:.0f} tokens/s written, "
        f"{cached / max(1, read_):.0%} of the prompt tokens from the prefix cache."
    )
