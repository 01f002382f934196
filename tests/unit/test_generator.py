"""The demonstration model's ticket generator: true labels, and a held-out set that is held out."""

from itertools import islice

import pytest

from models.demo.prompt import TAXONOMY
from models.demo.tickets import LANGUAGES, examples, phrases, situations
from schemas.reply import Reply, canonical_json


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_label_is_a_reply_the_product_accepts(split: str) -> None:
    for example in islice(examples(split, seed=1), 480):
        Reply.parse(canonical_json(example.label), TAXONOMY)


def test_every_entity_stands_in_its_ticket() -> None:
    for example in islice(examples("train", seed=2), 480):
        text = f"{example.subject}\n{example.body}"
        assert all(entity["value"] in text for entity in example.label["entities"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_heldout_phrase_is_a_training_phrase(language: str) -> None:
    bank = phrases(language)
    banks = [
        *bank["situations"].values(),
        *(one["subjects"] for one in bank["situations"].values()),
        *bank["mentions"].values(),
        *bank["urgency"].values(),
        *bank["tone"].values(),
    ]

    for one in banks:
        assert one["heldout"]
        assert not set(one["train"]) & set(one["heldout"])


def test_every_language_has_every_situation_and_every_category_has_some() -> None:
    names = set(situations())

    assert all(set(phrases(language)["situations"]) == names for language in LANGUAGES)
    assert {one["category"] for one in situations().values()} == set(TAXONOMY.values)


def test_the_same_seed_gives_the_same_tickets() -> None:
    first, second = (list(islice(examples("train", seed=7), 20)) for _ in range(2))

    assert first == second
