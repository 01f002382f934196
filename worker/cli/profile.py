"""`triage profile`: which models run how."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from worker.cli.options import AsJson
from worker.cli.preflight import prompt
from worker.cli.tables import plain_table
from worker.engine.arguments import (
    installed_arguments,
    refused_words,
    serve_command,
    unknown_arguments,
)
from worker.engine.machine import least_capability
from worker.engine.preflight import SIXTEEN_BITS
from worker.engine.profiles import load_profile, profile_names
from worker.errors import SettingsError

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="PROFILE")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the profiles, with the least card for each."""
    profiles = [load_profile(name) for name in profile_names()]
    if as_json:
        for one in profiles:
            typer.echo(one.model_dump_json())
        return
    table = plain_table("profile", "weights", "context", "at once", "card", "takes", "model")
    for column in table.columns[:-1]:
        column.no_wrap, column.overflow = True, "ellipsis"
    for one in profiles:
        plan = one.plan
        table.add_row(
            one.name, one.quantization or SIXTEEN_BITS,
            f"{one.max_model_len:,}", str(one.max_num_seqs),
            f"{plan.card_gb:g} GB" if plan else "any", f"{plan.loaded_gb:.1f} GB" if plan else "–",
            Text(one.model, no_wrap=True, overflow="ellipsis"),  # `show` has it whole
        )  # fmt: skip
    Console().print(table)


@app.command()
def show(name: Name) -> None:
    """Show a profile as JSON."""
    typer.echo(load_profile(name).model_dump_json(indent=2))


@app.command()
def command(name: Name) -> None:
    """Print the `vllm serve` line that starts the same engine as a server."""
    typer.echo(serve_command(load_profile(name)))


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROFILE …]")] = None,
) -> None:
    """Hold profiles, all if none is named, against the installed vLLM and the card they name.

    Exit code 1: one of them would not start.
    """
    installed_arguments()  # without vLLM no profile can be looked at
    console = Console(highlight=False, soft_wrap=True)
    is_well = True
    for name in names or profile_names():
        problems = list(problems_of(name))
        is_well = is_well and not problems
        console.print(
            f"{'✗' if problems else '✓'} {name}" + "".join(f"\n    {p}" for p in problems)
        )
    if not is_well:
        raise typer.Exit(1)


def problems_of(name: str) -> Iterator[str]:
    """Why this profile would not start, whatever the machine."""
    try:
        profile = load_profile(name)
    except SettingsError as error:
        yield str(error)
        return
    for argument in unknown_arguments(profile):
        yield f"vLLM has no argument {argument}"
    yield from refused_words(profile)
    if profile.quantization and least_capability(profile.quantization) is None:
        yield f"vLLM does not know the quantization {profile.quantization}"
    if missing := prompt(profile).fix:
        yield missing
    if profile.plan and not profile.plan.fits:
        yield f"takes {profile.plan.loaded_gb:.1f} GB: more than its card has"
