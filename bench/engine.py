"""What the engine's settings are worth: continuous batching, the prefix cache, the grammar.

`python -m bench.engine VARIANT` measures one engine in a process of its own and prints JSON.
"""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from bench.bare import demo_prompts, generate, report, sampling, start
from bench.report import many, row, write_section
from bench.speed import run
from bench.ways import STATIC, mixed_lengths, ratios_to_free, ways_of_batching
from bench.workload import workload
from models.demo.prompt import TAXONOMY, example_prompt
from schemas.reply import canonical_json, reply_schema
from tests.tekken import tekken_encoder, write_tokenizer
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.engine.tokens import PromptEncoder
from worker.triage import prompts

TICKETS = 192
ALONE = 48
"""Tickets for one at a time, which is slow."""
SHORT, TURNS = 64, 24
"""Where a few percent count: many short turns, one way after the other, each held against its own
neighbour in time."""
TEKKEN = 131_072
STEP_S = 0.016
"""A step of Nemo in AWQ with 16 sequences on an RTX 4090: 16 of the published 1,020 tokens/s."""


def measure(rounds: int) -> None:
    """Each engine in turn, some rounds."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    for number in range(1, rounds + 1):
        for name in VARIANTS:
            print(f"round {number} of {rounds}: {name}", flush=True)
            found[name].append(run("bench.engine", name))
    write_section(
        "Engine",
        text=f"The demonstration model in vLLM alone, several engines in turn (rounds: {rounds}), "
        f"{TICKETS} held-out tickets; tokens a second are those written. Static: {STATIC} requests "
        "go in together, and the next when all have ended. The prefix cache is shown with the "
        "production prompt (triage-1), of which the demonstration model understands nothing: "
        "prompts are as long as in production, and the grammar makes the answers valid. With a "
        f"grammar and without: {TURNS} turns in each round of the same {SHORT} tickets, answers of "
        "the same lengths, the prompts in the cache, so that only writing counts; half of the "
        "turns' ratios lie between the two that stand beside the median. The product's plugins, "
        "which make grammars cheaper on CPUs, help xgrammar alone.",
        rows=rows(found),
    )


def rows(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    def of(variant: str, key: str) -> list[float]:
        return [one[key] for one in found[variant]]

    def turns(variant: str, key: str) -> list[float]:
        return [ratio for one in found[variant] for ratio in one[key]]

    def ratio(top: tuple[str, str], bottom: tuple[str, str]) -> list[float]:
        return [a / b for a, b in zip(of(*top), of(*bottom), strict=True)]

    return [
        *(
            line
            for name, what in (("mixed", "answers of 16 to 512 tokens"), ("ours", "our answers"))
            for line in (
                row(f"(b) {what}: continuous / static batches of 16, tokens/s",
                    ratio(("batching", f"{name} continuous"), ("batching", f"{name} static")), 2),
                row(f"(b) {what}: continuous / one at a time, tokens/s",
                    ratio(("batching", f"{name} continuous"), ("batching", f"{name} alone")), 2),
                row(f"{what}: the longest of 16 / their mean", of("batching", f"{name} spread"), 2),
            )
        ),
        row("(d) prompt tokens from the cache, of all", of("cached", "share"), 3),
        row("(d) tickets/s with the prefix cache / without",
            ratio(("cached", "tickets_s"), ("uncached", "tickets_s")), 2),
        many("(e) tokens/s with the grammar / without", turns("grammar", "grammar"), 3),
        row("xgrammar alone, Tekken's vocabulary: microseconds a token", of("matcher", "us"), 1),
        row("the same for 16 sequences, share of a step of Nemo's 16 ms on a 24 GB card",
            of("matcher", "share"), 3),
        many("(e) the same for one JSON Schema: xgrammar / without grammar",
             turns("grammar", "schema"), 3),
        many("(e) the same: llguidance / without grammar", turns("llguidance", "schema"), 3),
    ]  # fmt: skip


async def batching() -> dict[str, float]:
    """Our answers and answers of mixed lengths, in three ways each."""
    asked, grammar = demo_prompts(TICKETS)
    ways = {
        "ours": [sampling(grammar.ebnf, grammar.max_tokens)] * TICKETS,
        "mixed": mixed_lengths(TICKETS),
    }
    llm = start()
    await generate(llm, asked[:STATIC], ways["ours"][:STATIC])
    found = {
        f"{name} {how}": value
        for name, each in ways.items()
        for how, value in (await ways_of_batching(llm, asked, each, alone=ALONE)).items()
    }
    llm.shutdown()
    return found


async def prefix(*, enable_prefix_caching: bool) -> dict[str, float]:
    """The production prompt, at its real length."""
    profile = load_profile("demo")
    encoder = PromptEncoder(profile.model_path)
    instruction = prompts.instruction("triage-1", TAXONOMY, "en")
    asked = [
        encoder.encode(replace(example_prompt(one), instruction=instruction))
        for one in workload(TICKETS)
    ]
    grammar = reply_grammar(TAXONOMY)
    llm = start(enable_prefix_caching=enable_prefix_caching)
    parameters = sampling(grammar.ebnf, 100)  # as long as an answer usually is
    await generate(llm, asked[:STATIC], parameters)
    found = await generate(llm, asked[STATIC:], parameters)
    llm.shutdown()
    return {
        "share": found.cached_share,
        "tickets_s": len(found.outputs) / found.seconds,
    }


async def grammar(*, backend: str) -> dict[str, list[float]]:
    """Tokens a second with our grammar and with the JSON Schema, each as turns' ratios to none."""
    from vllm.sampling_params import StructuredOutputsParams  # noqa: PLC0415

    asked, ours = demo_prompts(SHORT)
    config: dict[str, Any] = {"backend": backend, "disable_any_whitespace": True}
    llm = start(structured_outputs_config=config)
    schema = StructuredOutputsParams(json=reply_schema(TAXONOMY))
    ways = {"schema": sampling(None, ours.max_tokens, structured_outputs=schema)}
    if backend == "xgrammar":
        ways["grammar"] = sampling(ours.ebnf, ours.max_tokens)
    found = {
        name: await ratios_to_free(llm, asked, forced, turns=TURNS) for name, forced in ways.items()
    }
    llm.shutdown()
    return found


async def rates() -> dict[str, float]:
    """Tokens a second with 1, 4, 8 and 16 tickets at once, each of them a new one."""
    counts = {at_once: min(TICKETS, ALONE * at_once) for at_once in (1, 4, 8, 16)}
    asked, ours = demo_prompts(STATIC + sum(counts.values()))
    new = iter(asked)
    llm = start()
    parameters = sampling(ours.ebnf, ours.max_tokens)
    await generate(llm, list(islice(new, STATIC)), parameters)
    found = {}
    for at_once, count in counts.items():
        some = list(islice(new, count))
        found[str(at_once)] = (await generate(llm, some, parameters, in_flight=at_once)).tokens_s
    llm.shutdown()
    return found


async def matcher() -> dict[str, float]:
    """Microseconds that xgrammar alone takes for a token of an answer, mask and acceptance, with
    Tekken's vocabulary; as 16 sequences' share of a step in production.
    """
    import xgrammar  # noqa: PLC0415  # imports torch: seconds

    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, fix_mistral_regex=True)
    vocabulary = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=TEKKEN)
    compiled = xgrammar.GrammarCompiler(vocabulary).compile_grammar(reply_grammar(TAXONOMY).ebnf)
    mask = xgrammar.allocate_token_bitmask(1, TEKKEN)
    taken, count, encoder = 0.0, 0, tekken_encoder()
    for example in workload(TICKETS):
        state = xgrammar.GrammarMatcher(compiled)
        for token in encoder.encode_text(canonical_json(example.label)):
            started = time.perf_counter()
            state.fill_next_token_bitmask(mask)
            assert state.accept_token(token)
            taken += time.perf_counter() - started
            count += 1
    return {"us": 1e6 * taken / count, "share": STATIC * taken / count / STEP_S}


VARIANTS = {
    "matcher": matcher,
    "batching": batching,
    "cached": lambda: prefix(enable_prefix_caching=True),
    "uncached": lambda: prefix(enable_prefix_caching=False),
    "grammar": lambda: grammar(backend="xgrammar"),
    "llguidance": lambda: grammar(backend="guidance"),
}


if __name__ == "__main__":
    report({**VARIANTS, "rates": rates}[sys.argv[1]])
