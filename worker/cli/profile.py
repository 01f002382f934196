"""`triage profile` and `triage plan`: which models run how, and what they take of a card."""

import json
from dataclasses import replace
from math import ceil
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from worker.cli.by_hand import AsJson
from worker.cli.tables import plain_table
from worker.engine.arguments import refused_words, serve_command, unknown_arguments
from worker.engine.memory import ACTIVATIONS_GB, KV_BYTES, OVERHEAD_GB, Plan, Precision, shape_of
from worker.engine.profiles import load_profile, profile_names
from worker.errors import SettingsError

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="PROFILE")]
KILO = 1024
LEAST_GB = 0.05
"""Less, as of a demonstration model, would be told as 0.0."""


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the profiles, with the least card for each."""
    profiles = [load_profile(name) for name in profile_names()]
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in profiles]))
        return
    table = plain_table("profile", "weights", "context", "at once", "card", "takes", "model")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for one in profiles:
        plan = one.plan
        table.add_row(
            one.name, one.quantization, f"{one.max_model_len:,}", str(one.max_num_seqs),
            f"{plan.card_gb:g} GB" if plan else "any", f"{plan.loaded_gb:.1f} GB" if plan else "–",
            Text(one.model, no_wrap=True, overflow="ellipsis"),  # `show` has it whole
        )  # fmt: skip
    Console(soft_wrap=True).print(table)


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
    console = Console(highlight=False, soft_wrap=True)
    is_well = True
    for name in names or profile_names():
        profile = load_profile(name)
        problems = [f"vLLM has no argument {one}" for one in unknown_arguments(profile)]
        problems += refused_words(profile)
        if profile.plan and not profile.plan.fits:
            problems.append(f"takes {profile.plan.loaded_gb:.1f} GB: more than its card has")
        is_well = is_well and not problems
        console.print(
            f"{'✗' if problems else '✓'} {name}" + "".join(f"\n    {p}" for p in problems)
        )
    if not is_well:
        raise typer.Exit(1)


def plan(
    model: Annotated[str, typer.Argument(help="A known model, or the path of a config.json.")],
    *,
    precision: Annotated[Precision, typer.Option(help="Of the weights.")] = Precision.AWQ,
    cache: Annotated[str, typer.Option(help="Precision of the KV cache: fp16 or fp8.")] = "fp8",
    context: Annotated[int, typer.Option(min=512, help="Tokens.")] = 32_768,
    sequences: Annotated[int, typer.Option(min=1, help="At once.")] = 16,
    card: Annotated[float, typer.Option(min=1, help="The card's memory in GB.")] = 24,
    share: Annotated[float, typer.Option(min=0.1, max=1, help="What vLLM may use of it.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Say what a model takes of a card, and how much room is left for batching.

    Exit code 4: it does not fit.
    """
    if cache not in KV_BYTES:
        raise SettingsError(f"--cache is {cache!r}, but must be one of {', '.join(KV_BYTES)}")
    shape = shape_of(model)
    made = Plan(shape, precision, cache, context, sequences, card, share)
    told = {
        "model": shape.name,
        "parameters": shape.parameters,
        "kv_bytes_per_token": shape.kv_bytes(cache),
        "weights_gb": round(made.weights_gb, 2),
        "kv_gb": round(made.kv_gb, 2),
        "activations_gb": ACTIVATIONS_GB,
        "overhead_gb": OVERHEAD_GB,
        "total_gb": round(made.total_gb, 2),
        "loaded_gb": round(made.loaded_gb, 2),
        "usable_gb": round(made.usable_gb, 2),
        "fits": made.fits,
        "kv_tokens": made.kv_tokens,
        "tokens_each": made.tokens_each,
        "profiles": matching(made),
    }
    if as_json:
        typer.echo(json.dumps(told))
    else:
        tell(made, matching(made))
    if not made.fits:
        raise typer.Exit(4)


def matching(made: Plan) -> list[str]:
    """The profiles of this model that fit the card, the longest context first."""
    fitting = [
        (-one.max_model_len, name)
        for name in profile_names()
        if (one := load_profile(name)).plan
        and one.plan.shape.name == made.shape.name
        and one.plan.loaded_gb <= made.usable_gb
    ]
    return [name for _, name in sorted(fitting)]


def remedies(made: Plan) -> list[str]:
    """Options of which each alone would make it fit; a larger card always would."""
    found = [f"--precision {one}" for one in Precision if replace(made, precision=one).fits]
    if (context := made.kv_tokens // KILO * KILO) > 0:
        found.append(f"--context {context}")
    return [*found, f"--card {ceil(made.loaded_gb / made.share)}"]


def tell(made: Plan, profiles: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    shape = made.shape
    table = plain_table("", "GB", "")
    for what, gb, why in (
        ("weights", made.weights_gb, f"{shape.parameters / 1e9:.3g} billion in {made.precision}"),
        ("KV cache", made.kv_gb, f"{made.context:,} tokens × {shape.kv_bytes(made.cache):,} bytes"),
        ("activations", ACTIVATIONS_GB, ""),
        ("overhead", OVERHEAD_GB, "CUDA and the runtime"),
        ("together", made.total_gb, f"of {made.usable_gb:.1f} GB that vLLM may use"),
    ):
        table.add_row(what, f"{gb:.1f}" if gb >= LEAST_GB else f"{gb:.3f}", why)
    console.print(table)
    if made.loaded_gb - made.total_gb >= LEAST_GB:
        console.print(f"{made.loaded_gb:.1f} as builds are loaded: embeddings and head in 16 bits.")
    if not made.fits:
        over = made.loaded_gb - made.usable_gb
        *others, last = remedies(made)
        console.print(f"\nDoes not fit: {over:.1f} GB too much. It would with "
                      f"{', '.join(others)}{' or ' if others else ''}{last}.")  # fmt: skip
    else:
        console.print(
            f"\nFits. Room for {made.kv_tokens:,} tokens of KV cache: {made.tokens_each:,} for "
            f"each of {made.sequences} at once."
        )
    if made.context > shape.max_context:
        console.print(f"{shape.name} knows contexts of {shape.max_context:,} tokens at most.")
    console.print(f"Profiles for this card: {', '.join(profiles) or 'none'}.")
