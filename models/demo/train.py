"""Trains the demonstration model from nothing on generated tickets.

A five-layer model of the Mistral architecture learns to write the reply's JSON after the very
prompt the worker sends. The last part of the training sees weights rounded to INT4, so that
quantizing them afterwards costs next to nothing.

    python -m models.demo.train DIRECTORY --samples 150000 [--resume]

About 33 samples/s on two cores with bf16: 150,000 samples take about 80 minutes. A checkpoint is
written every 250 steps; `--resume` goes on from it.
"""

import argparse
import json
import math
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import parametrize
from transformers import MistralConfig, MistralForCausalLM

from models.demo.prompt import example_prompt
from models.demo.rounding import RoundedToInt4
from models.demo.tickets import Example, examples
from schemas.reply import canonical_json
from worker.engine.tokens import PromptEncoder

BATCH = 32
PEAK_RATE = 2e-3
WARM_UP_STEPS = 200
ROUNDED_SHARE = 0.15
"""The last part of the steps in which weights are rounded to INT4 in the forward pass."""
LABEL_WEIGHT = 4.0
"""Loss weight of the label fields against the text after them: they are few tokens."""
LABELS_ONLY_SHARE = 0.6
"""Samples that end after the labels: these are the hard part, the text after them is long."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Sample:
    ids: list[int]
    prompt_length: int
    label_end: int


def main() -> None:
    arguments = parse_arguments()
    directory: Path = arguments.directory
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    steps = arguments.samples // BATCH
    encoder, splitting = PromptEncoder(directory), splitting_encoder(directory)
    model = MistralForCausalLM(configuration(encoder))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    first = restore(directory, model, optimizer) if arguments.resume else 0
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {steps} steps", flush=True)
    run(model, optimizer, encoder, splitting, directory, first=first, steps=steps)
    unrounded(model)
    model.to(torch.float16).save_pretrained(directory)


def run(
    model: MistralForCausalLM,
    optimizer: torch.optim.Optimizer,
    encoder: PromptEncoder,
    splitting: PromptEncoder,
    directory: Path,
    *,
    first: int,
    steps: int,
) -> None:
    started, tokens = time.monotonic(), 0
    model.train()
    for step, batch in zip(
        range(first, steps), batches(encoder, splitting, seed=first), strict=False
    ):
        if step >= steps * (1 - ROUNDED_SHARE):
            rounded(model)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = batch_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += batch["input_ids"].numel()
        if step % 25 == 0:
            seconds = time.monotonic() - started
            left = seconds / (step - first + 1) * (steps - step)
            print(
                f"step {step}/{steps} loss {loss.item():.4f} {tokens / seconds:.0f} tokens/s "
                f"{left / 60:.0f} min left",
                flush=True,
            )
        if step % 250 == 249 and step < steps * (1 - ROUNDED_SHARE):
            checkpoint(directory, model, optimizer, step + 1)


def splitting_encoder(directory: Path) -> PromptEncoder:
    """The same tokenizer, but one merge in ten is left out at random (BPE dropout)."""
    copy = directory / "splitting"
    copy.mkdir(exist_ok=True)
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(directory / name, copy / name)
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["model"]["dropout"] = 0.1
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    return PromptEncoder(copy)


def configuration(encoder: PromptEncoder) -> MistralConfig:
    return MistralConfig(
        vocab_size=encoder.vocabulary_size,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=8192,
        sliding_window=None,
        rope_theta=10_000.0,
        tie_word_embeddings=True,
        attention_dropout=0.0,
        bos_token_id=encoder.id_of("<s>"),
        eos_token_id=encoder.id_of("</s>"),
        pad_token_id=encoder.id_of("<pad>"),
    )


def learning_rate(step: int, steps: int) -> float:
    if step < WARM_UP_STEPS:
        return PEAK_RATE * (step + 1) / WARM_UP_STEPS
    progress = (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS)
    return PEAK_RATE * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))


def batches(
    encoder: PromptEncoder, splitting: PromptEncoder, *, seed: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of samples of like length, so that little is spent on padding.

    Half the prompts are encoded with random sub-word splits, against learning by heart.
    """
    rng = random.Random(seed)
    stream = (
        sample(encoder if rng.random() < 0.5 else splitting, example, rng)
        for example in examples("train", seed=seed + 7)
    )
    while True:
        pool = sorted(islice(stream, BATCH * 32), key=lambda one: len(one.ids))
        groups = [pool[start : start + BATCH] for start in range(0, len(pool), BATCH)]
        rng.shuffle(groups)
        yield from (padded(group, encoder.id_of("<pad>")) for group in groups)


def sample(encoder: PromptEncoder, example: Example, rng: random.Random) -> Sample:
    """A training sample; some have words left out, so that phrases are not learned by heart."""
    body = example.body
    if rng.random() < 0.3:
        body = with_words_left_out(body, example, rng)
    ids = encoder.encode(example_prompt(example, body=body))
    labels, _, rest = canonical_json(example.label).partition(',"entities"')
    label_ids = encoder.encode_text(labels)
    text_ids = [*encoder.encode_text(',"entities"' + rest), encoder.id_of("</s>")]
    if rng.random() < LABELS_ONLY_SHARE:
        text_ids = []
    return Sample(
        [*ids, *label_ids, *text_ids],
        prompt_length=len(ids),
        label_end=len(ids) + len(label_ids),
    )


def with_words_left_out(body: str, example: Example, rng: random.Random) -> str:
    values = [entity["value"] for entity in example.label["entities"]]
    pieces = body.split(" ") if " " in body else list(body)
    joiner = " " if " " in body else ""
    thinned = joiner.join(piece for piece in pieces if rng.random() > 0.1)
    return thinned if all(value in thinned for value in values) else body


def padded(group: list[Sample], pad: int) -> dict[str, torch.Tensor]:
    longest = max(len(one.ids) for one in group)
    inputs = torch.full((len(group), longest), pad)
    targets = torch.full((len(group), longest), IGNORED)
    weights = torch.ones((len(group), longest))
    for row, one in enumerate(group):
        inputs[row, : len(one.ids)] = torch.tensor(one.ids)
        targets[row, one.prompt_length : len(one.ids)] = torch.tensor(one.ids[one.prompt_length :])
        weights[row, one.prompt_length : one.label_end] = LABEL_WEIGHT
    return {"input_ids": inputs, "targets": targets, "weights": weights}


def batch_loss(model: MistralForCausalLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Weighted cross-entropy of the output tokens; padding stands right, so causality hides it."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=batch["input_ids"]).last_hidden_state[:, :-1]
        wanted = batch["targets"][:, 1:] != IGNORED
        logits = model.lm_head(hidden[wanted])
    losses = torch.nn.functional.cross_entropy(
        logits.float(), batch["targets"][:, 1:][wanted], reduction="none"
    )
    weights = batch["weights"][:, 1:][wanted]
    return (losses * weights).sum() / weights.sum()


def linears(model: MistralForCausalLM) -> Iterator[torch.nn.Linear]:
    return (m for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear))


def rounded(model: MistralForCausalLM) -> None:
    for linear in linears(model):
        if not parametrize.is_parametrized(linear):
            parametrize.register_parametrization(linear, "weight", RoundedToInt4())


def unrounded(model: MistralForCausalLM) -> None:
    for linear in linears(model):
        if parametrize.is_parametrized(linear):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


def checkpoint(
    directory: Path, model: MistralForCausalLM, optimizer: torch.optim.Optimizer, step: int
) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, directory / "checkpoint.part")
    (directory / "checkpoint.part").rename(directory / "checkpoint.pt")


def restore(directory: Path, model: MistralForCausalLM, optimizer: torch.optim.Optimizer) -> int:
    state: dict[str, Any] = torch.load(directory / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="holds the tokenizer; gets the model")
    parser.add_argument("--samples", type=int, default=150_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
