"""`triage plan`: what a model takes of a card, and which profile to take."""

import json
from dataclasses import replace
from math import ceil
from typing import Annotated, Any

import typer
from rich.console import Console

from worker.cli.options import AsJson
from worker.cli.tables import plain_table
from worker.engine.memory import ACTIVATIONS_GB, OVERHEAD_GB, Plan, Precision, precision_of
from worker.engine.profiles import Profile, load_profile, profile_names
from worker.engine.shape import KV_BYTES, config_path, known_shapes, read_config, shape_of
from worker.errors import SettingsError

KILO = 1024
USUAL_CONTEXT = 32 * KILO
LEAST_GB = 0.05
"""Less, as of a demonstration model, would be told as 0.0."""


def plan(
    model: Annotated[str, typer.Argument(help="A known model, or the path of a config.json.")],
    *,
    precision: Annotated[Precision | None, typer.Option(
        help="Of the weights; else as the config.json says, or awq.")] = None,
    cache: Annotated[str, typer.Option(help="Precision of the KV cache: fp16 or fp8.")] = "fp8",
    context: Annotated[int | None, typer.Option(
        min=512, help="Tokens; else 32,768, or all that the model knows.")] = None,
    sequences: Annotated[int, typer.Option(min=1, max=4096, help="At once.")] = 16,
    card: Annotated[float, typer.Option(
        min=1, max=10_000, help="The card's memory in GB.")] = 24,
    share: Annotated[float, typer.Option(
        min=0.1, max=1, help="What vLLM may use of it.")] = 0.95,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say what a model takes of a card, how much room is left for batching, and which profile to
    take.

    Exit code 4: it does not fit, or does not know so long a context.
    """
    if cache not in KV_BYTES:
        raise SettingsError(f"--cache is {cache!r}, but must be one of {', '.join(KV_BYTES)}")
    shape = shape_of(model)
    precision = precision or weights_of(model)
    context = context or min(USUAL_CONTEXT, shape.max_context)
    made = Plan(shape, precision, cache, context, sequences, card, share)
    fitting = matching(made)
    is_beyond = context > shape.max_context
    if as_json:
        typer.echo(json.dumps(figures(made, fitting)))
    else:
        tell(made)
        if not is_beyond:
            tell_profiles(made, fitting)
    if not made.fits or is_beyond:
        raise typer.Exit(4)


def figures(made: Plan, fitting: list[Profile]) -> dict[str, Any]:
    """The plan for machines to read."""
    return {
        "model": made.shape.name,
        "parameters": made.shape.parameters,
        "kv_bytes_per_token": made.shape.kv_bytes(made.cache),
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
        "profile": next((one.name for one in fitting if does(one, made)), None),
        "profiles": [one.name for one in fitting],
    }


def weights_of(model: str) -> Precision:
    """As they are kept, or as they would be: nobody runs these models in 16 bits on such cards."""
    if model in known_shapes():
        return Precision.AWQ
    return precision_of(read_config(config_path(model))) or Precision.AWQ


def matching(made: Plan) -> list[Profile]:
    """The profiles of this model that fit the card: first those that do what is asked for, and of
    these the longest context.
    """
    fitting = [
        one
        for one in map(load_profile, profile_names())
        if one.plan
        and one.plan.shape.is_like(made.shape)
        and one.max_model_len <= made.shape.max_context
        and one.plan.loaded_gb <= made.card_gb * one.memory_share
    ]
    return sorted(fitting, key=lambda one: (not does(one, made), -one.max_model_len, one.name))


def does(one: Profile, made: Plan) -> bool:
    """Whether it is what was planned: context, sequences, precision of weights and cache."""
    assert one.plan is not None
    return (
        one.max_model_len >= made.context
        and one.max_num_seqs >= made.sequences
        and (one.plan.precision, one.plan.cache) == (made.precision, made.cache)
    )


def remedies(made: Plan) -> list[str]:
    """Options of which each alone would make it fit; a larger card always would."""
    found = [f"--precision {one}" for one in Precision if replace(made, precision=one).fits]
    if (context := min(made.kv_tokens, made.shape.max_context) // KILO * KILO) > 0:
        found.append(f"--context {context}")
    return [*found, f"--card {ceil(made.loaded_gb / made.share)}"]


def tell(made: Plan) -> None:
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
    if made.context > shape.max_context:
        console.print(
            f"\n{shape.name} knows contexts of {shape.max_context:,} tokens at most: "
            f"--context {shape.max_context}."
        )
    elif not made.fits:
        over = made.loaded_gb - made.usable_gb
        *others, last = remedies(made)
        console.print(f"\nDoes not fit: {over:.1f} GB too much. It would with "
                      f"{', '.join(others)}{' or ' if others else ''}{last}.")  # fmt: skip
    else:
        console.print(
            f"\nFits. Room for {made.kv_tokens:,} tokens of KV cache: {made.tokens_each:,} for "
            f"each of {made.sequences} at once."
        )


def tell_profiles(made: Plan, fitting: list[Profile]) -> None:
    """Which profile to take, and what else would fit."""
    taken = [one.name for one in fitting if does(one, made)]
    others = ", ".join(one.name for one in fitting if not does(one, made))
    asked = f"{made.context:,} tokens × {made.sequences} at once in {made.precision}"
    if taken:
        said = f"Take the profile {' or '.join(taken)}."
        said += f" Others for this card: {others}." if others else ""
    elif others:
        said = f"No profile for this card has {asked}; there are {others}: begin with a copy."
    else:
        said = f"No profile is for {made.shape.name} on such a card: begin with a copy of one."
    Console(highlight=False, soft_wrap=True).print(said)
