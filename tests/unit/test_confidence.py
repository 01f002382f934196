"""Confidence: the probability of a label's value, from the tokens that spell it."""

import math

import pytest

from worker.engine.contract import Token
from worker.triage.confidence import Disposition, Thresholds, disposition, of_labels

THRESHOLDS = Thresholds(suggest=0.5, auto=0.9)


def token(text: str, probability: float = 1.0) -> Token:
    return Token(text, math.log(probability))


def test_the_probabilities_of_all_tokens_that_spell_a_value_are_multiplied() -> None:
    tokens = [token('{"category":"'), token("bill", 0.8), token("ing", 0.5), token('","type":"x"')]

    assert of_labels(tokens)["category"] == pytest.approx(0.4)


def test_a_token_that_only_precedes_the_value_does_not_count() -> None:
    tokens = [token('{"category":"', 0.1), token("hr", 0.9), token('"', 1.0)]

    assert of_labels(tokens)["category"] == pytest.approx(0.9)


def test_the_closing_quote_counts_because_it_ends_the_choice() -> None:
    tokens = [token('{"category":"'), token("sales"), token('"', 0.6), token("}")]

    assert of_labels(tokens)["category"] == pytest.approx(0.6)


def test_a_field_that_was_not_written_has_no_confidence() -> None:
    assert of_labels([token('{"category":"bill')]) == {}


@pytest.mark.parametrize(
    ("weakest", "expected"),
    [
        (0.95, Disposition.AUTO),
        (0.9, Disposition.AUTO),
        (0.7, Disposition.SUGGEST),
        (0.49, Disposition.HUMAN),
    ],
)
def test_the_weakest_label_decides(weakest: float, expected: Disposition) -> None:
    sure = {"category": weakest, "type": 1.0, "priority": 1.0, "sentiment": 0.99}

    assert disposition(sure, THRESHOLDS) is expected


def test_a_label_without_a_confidence_goes_to_a_person() -> None:
    assert disposition({"category": 1.0}, THRESHOLDS) is Disposition.HUMAN
