"""Generates labelled support tickets in five languages by combining phrases.

The phrases are data (`data/*.toml`): for each of 48 situations a bank of core sentences, and
around them greetings, neutral details, urgency, mood, mentions of numbers, signatures. Every
bank has a `heldout` part that no training ticket ever uses, so that the reported accuracy is
accuracy on phrasings the model has not seen. Labels follow from what was combined; nothing is
guessed afterwards.
"""

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from models.demo.noise import roughen

Split = Literal["train", "heldout"]
Bank = dict[str, Any]

DATA = Path(__file__).parent / "data"
LANGUAGES = ("de", "fr", "ja", "zh", "en")
UNSPACED = {"ja", "zh"}
TONES = ("very_negative", "negative", "positive", "very_positive")


@dataclass(frozen=True, slots=True)
class Example:
    """One generated ticket and the output the model should give for it."""

    language: str
    situation: str
    subject: str
    body: str
    label: dict[str, Any]


@cache
def situations() -> Bank:
    return tomllib.loads((DATA / "situations.toml").read_text())


@cache
def phrases(language: str) -> Bank:
    return tomllib.loads((DATA / f"{language}.toml").read_text())


def examples(split: Split, *, seed: int, noise: bool = True) -> Iterator[Example]:
    """Endless examples; languages and situations take turns so that every label is balanced."""
    rng = random.Random(seed)
    turns = [(language, situation) for language in LANGUAGES for situation in situations()]
    while True:
        rng.shuffle(turns)
        for language, situation in turns:
            yield example(rng, language, situation, split, noise=noise)


def example(
    rng: random.Random, language: str, situation: str, split: Split, *, noise: bool = True
) -> Example:
    bank, facts = phrases(language), situations()[situation]
    is_spam = facts["category"] == "spam"
    urgency = None if is_spam else pick_weighted(rng, {None: 0.6, "urgent": 0.22, "low": 0.18})
    tone = None if is_spam else pick_weighted(rng, {None: 0.5, **dict.fromkeys(TONES, 0.125)})
    entities = Entities(rng, language)

    core = core_sentences(rng, bank["situations"][situation], split, entities)
    extras = [rng.choice(bank["details"]) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    if urgency:
        extras.append(rng.choice(bank["urgency"][urgency][split]))
    if tone:
        extras.append(rng.choice(bank["tone"][tone][split]))
    if not is_spam:
        for kind in rng.sample(MENTIONED, rng.choice((0, 0, 0, 1, 1, 2))):
            extras.append(entities.fill(rng.choice(bank["mentions"][kind][split])))
    rng.shuffle(extras)
    before = rng.choice((0, 0, 0, 1)) if extras else 0
    sentences = extras[:before] + core + extras[before:]

    subject = rng.choice(bank["situations"][situation]["subjects"][split])
    subject = entities.fill(subject) if rng.random() < 0.75 else ""
    body = letter(rng, language, sentences)
    if noise:
        body = roughen(rng, language, body, keep=[value for _, value in entities.used])
        body += quoted_history(rng, language, split)
    in_order = sorted(
        ((kind, value) for kind, value in entities.used if value in f"{subject}\n{body}"),
        key=lambda entity: f"{subject}\n{body}".find(entity[1]),
    )[:5]
    label = {
        "category": facts["category"],
        "type": facts["type"],
        "priority": urgency or facts["priority"],
        "sentiment": tone or "neutral",
        "entities": [{"kind": kind, "value": value} for kind, value in in_order],
        "summary": facts["summary"].replace("{about}", about(in_order)),
        "reply": reply(rng, language, situation, urgency, tone, in_order),
    }
    return Example(language, situation, subject, body, label)


MENTIONED = ("order", "invoice", "version", "error", "date", "product")
KIND = {"error": "error_code"}


class Entities:
    """Invents values for placeholders and remembers which were used."""

    def __init__(self, rng: random.Random, language: str) -> None:
        self.rng, self.language = rng, language
        self.used: list[tuple[str, str]] = []

    def fill(self, sentence: str) -> str:
        for placeholder in MENTIONED:
            if f"{{{placeholder}}}" in sentence:
                value = self.value(placeholder)
                sentence = sentence.replace(f"{{{placeholder}}}", value)
                entity = (KIND.get(placeholder, placeholder), value)
                if entity not in self.used:
                    self.used.append(entity)
        return sentence

    def value(self, placeholder: str) -> str:
        digits = lambda n: "".join(self.rng.choice("0123456789") for _ in range(n))  # noqa: E731
        pick = self.rng.choice
        if placeholder == "product":
            mentioned = [value for kind, value in self.used if kind == "product"]
            return mentioned[0] if mentioned else pick(phrases(self.language)["products"])
        if placeholder == "order":
            return pick((f"A-{digits(5)}", f"#{digits(6)}", f"ORD-{digits(6)}", digits(8)))
        if placeholder == "invoice":
            return pick((f"RE-2026-{digits(4)}", f"INV-{digits(6)}", f"R{digits(7)}"))
        if placeholder == "version":
            return pick((f"{digits(1)}.{digits(1)}.{digits(2)}", f"v{digits(1)}.{digits(1)}"))
        if placeholder == "error":
            return pick((f"E-{digits(4)}", f"ERR_{digits(3)}", f"0x{digits(4)}", f"E{digits(2)}"))
        return self.date()

    def date(self) -> str:
        day, month = self.rng.randint(1, 28), self.rng.randint(1, 12)
        if self.language in UNSPACED:
            return self.rng.choice((f"{month}月{day}日", f"2026年{month}月{day}日"))
        numeric = (
            f"{day:02d}.{month:02d}.2026"
            if self.language == "de"
            else f"{day:02d}/{month:02d}/2026"
        )
        return self.rng.choice((numeric, f"2026-{month:02d}-{day:02d}"))


def core_sentences(rng: random.Random, bank: Bank, split: Split, entities: Entities) -> list[str]:
    count = 2 if rng.random() < 0.3 else 1
    return [entities.fill(sentence) for sentence in rng.sample(bank[split], count)]


def letter(rng: random.Random, language: str, sentences: list[str]) -> str:
    bank = phrases(language)
    joiner = "" if language in UNSPACED else " "
    if rng.random() < 0.15:
        joiner = "\n"
    text = joiner.join(sentences)
    if rng.random() < 0.6:
        text = rng.choice(bank["greetings"]) + "\n\n" + text
    if rng.random() < 0.6:
        text += "\n\n" + rng.choice(bank["closings"])
        if rng.random() < 0.7:
            text += "\n" + rng.choice(bank["names"])
    return text


def quoted_history(rng: random.Random, language: str, split: Split) -> str:
    """In one mail of twelve: an older message below, often in another language. Not labelled."""
    if rng.random() > 1 / 12:
        return ""
    other = rng.choice(LANGUAGES)
    bank = phrases(other)["situations"][rng.choice(list(situations()))]
    lines = [line.replace("{product}", "X200") for line in rng.sample(bank[split], 1)]
    return f"\n\n{rng.choice(phrases(language)['history'])}\n" + "\n".join(
        f"> {line}" for line in lines
    )


def about(entities: list[tuple[str, str]]) -> str:
    """The first number of a ticket as the summary names it: ' (order A-48213)' or nothing."""
    for kind, value in entities:
        if kind in {"order", "invoice", "error_code", "product"}:
            return f" ({kind.replace('_', ' ')} {value})"
    return ""


def reply(
    rng: random.Random,
    language: str,
    situation: str,
    urgency: str | None,
    tone: str | None,
    entities: list[tuple[str, str]],
) -> str:
    """The drafted reply, one paragraph; empty for spam."""
    bank = phrases(language)
    parts, cores = bank["reply"], bank["situations"][situation]["reply"]
    if not cores:
        return ""
    middle = []
    if tone in {"negative", "very_negative"}:
        middle.append(rng.choice(parts["apology"]))
    elif tone:
        middle.append(rng.choice(parts["thanks"]))
    middle.append(rng.choice(cores))
    for kind, value in entities:
        if kind in {"order", "invoice"}:
            middle.append(parts["about"][kind].replace(f"{{{kind}}}", value))
            break
    if urgency == "urgent":
        middle.append(rng.choice(parts["urgent"]))
    joiner = "" if language in UNSPACED else " "
    return joiner.join((rng.choice(parts["greetings"]), *middle, rng.choice(parts["closings"])))


def pick_weighted(rng: random.Random, weights: dict[Any, float]) -> Any:
    return rng.choices(list(weights), list(weights.values()))[0]
