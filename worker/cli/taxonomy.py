"""`triage taxonomy`: check the categories before workers use them."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from schemas.taxonomy import load_taxonomy, near_duplicates
from worker.engine.grammar import reply_grammar
from worker.errors import SettingsError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Check the categories before workers use them."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The taxonomy, a TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say whether a taxonomy file can be used, and which categories are easily mixed up.

    Exit code 0 also with warnings, 1 if the file cannot be used.
    """
    try:
        taxonomy = load_taxonomy(file)
    except (OSError, ValueError) as error:
        raise SettingsError(str(error)) from error
    grammar = reply_grammar(taxonomy)
    warnings = [f"{one} and {other}: {why}" for one, other, why in near_duplicates(taxonomy)]
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "version": taxonomy.version,
                    "categories": list(taxonomy.values),
                    "longest_output_tokens": grammar.max_tokens,
                    "warnings": warnings,
                }
            )
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[green]ok[/] {taxonomy.version}: {len(taxonomy.values)} categories, "
        f"at most {grammar.max_tokens} tokens an output"
    )
    for warning in warnings:
        console.print(f"[yellow]warning[/] {warning}")
