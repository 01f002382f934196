"""Confidence: the probability of a label's value among the allowed ones, however it is spelled."""

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.thresholds import Thresholds
from worker.engine.contract import Token
from worker.triage.confidence import Disposition, can_become, disposition, of_labels, probability

THRESHOLDS = Thresholds.same(suggest=0.5, auto=0.9)
ALLOWED = {"category": ("billing", "bills", "hr", "hr_policy", "sales")}


def token(text: str, probability: float = 1.0, **others: float) -> Token:
    alternatives = tuple((other, math.log(p)) for other, p in others.items())
    return Token(text, math.log(probability), alternatives)


def category(*tokens: Token) -> float:
    return of_labels([token('{"category":"'), *tokens, token(',"type":"x"')], ALLOWED)["category"]


def test_the_tokens_that_decide_between_values_are_multiplied() -> None:
    assert category(token("bill", 0.8), token("ing", 0.5), token('"')) == pytest.approx(0.4)


def test_what_follows_the_decision_does_not_count() -> None:
    assert category(token("sa", 0.7), token("les", 0.6), token('"', 0.9)) == pytest.approx(0.7)


def test_other_spellings_of_the_same_value_count() -> None:
    assert category(token("sales", 0.7, sal=0.2, hr=0.1), token('"')) == pytest.approx(0.9)


def test_a_value_that_begins_another_is_decided_by_its_closing_quote() -> None:
    assert category(token("hr", 0.9), token('"', 0.6, _policy=0.4)) == pytest.approx(0.54)


def test_a_token_that_only_precedes_the_value_does_not_count() -> None:
    tokens = [token('{"category":"', 0.1), token("hr", 0.9), token('"'), token("}")]

    assert of_labels(tokens, ALLOWED)["category"] == pytest.approx(0.9)


def test_a_token_that_holds_the_beginning_of_the_value_counts() -> None:
    tokens = [token('{"category":'), token('"sa', 0.8), token('les"')]

    assert of_labels(tokens, ALLOWED)["category"] == pytest.approx(0.8)


def test_a_field_that_was_not_written_has_no_confidence() -> None:
    assert of_labels([token('{"category":"bill')], ALLOWED) == {}


class Masked:
    """A random model under a grammar that allows some spellings: every distribution is known."""

    def __init__(self, values: list[str], seed: int) -> None:
        self.spellings = [f'{value}"' for value in values]
        self._vocabulary = sorted(
            {
                one[at : at + length]
                for one in self.spellings
                for at in range(len(one))
                for length in (1, 2, 3, 5)
            }
        )
        self._seed = seed

    def after(self, before: str) -> dict[str, float]:
        """The probability of each token that the grammar allows there."""
        rng = random.Random(f"{self._seed} {before}")
        weights = {
            text: rng.expovariate(1) ** 3
            for text in self._vocabulary
            if any(one.startswith(before + text) for one in self.spellings)
        }
        total = sum(weights.values())
        return {text: weight / total for text, weight in weights.items()}

    def probability_of(self, spelling: str, before: str = "") -> float:
        """The sum over every way to spell it."""
        if before == spelling:
            return 1.0
        return sum(
            p * self.probability_of(spelling, before + text)
            for text, p in self.after(before).items()
            if spelling.startswith(before + text)
        )

    def write(self) -> Iterator[Token]:
        """What greedy decoding writes, with every alternative told."""
        before = ""
        while before not in self.spellings:
            told = self.after(before)
            chosen = max(told, key=lambda text: told[text])
            others = tuple((text, math.log(p)) for text, p in told.items() if text != chosen)
            yield Token(chosen, math.log(told[chosen]), others)
            before += chosen


def undecided(tokens: list[Token], written: str, spellings: list[str]) -> float:
    """The probability of spellings that were not written and do not tell yet which value comes."""
    before, came_so_far, total = "", 1.0, 0.0
    for one in tokens:
        for text, logprob in one.alternatives:
            open_ = can_become(before + text, spellings)
            if len(open_) > 1 and written in open_:
                total += came_so_far * math.exp(logprob)
        before, came_so_far = before + one.text, came_so_far * math.exp(one.logprob)
    return total


VALUES = st.lists(st.text("abr_", min_size=1, max_size=7), min_size=2, max_size=6, unique=True)


@settings(max_examples=300, deadline=None)
@given(values=VALUES, seed=st.integers(0, 10**6))
def test_it_is_the_sum_over_all_spellings_up_to_what_stays_undecided(
    values: list[str], seed: int
) -> None:
    model = Masked(values, seed)
    tokens = list(model.write())
    written = "".join(one.text for one in tokens)

    found = probability(tokens, 0, written, model.spellings)

    exact = model.probability_of(written)
    assert found <= exact + 1e-4
    assert found >= exact - undecided(tokens, written, model.spellings) - 1e-4


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

    verdict, reason = disposition(sure, THRESHOLDS)

    assert verdict is expected
    assert (reason is None) == (expected is Disposition.AUTO)


def test_the_reason_names_each_field_its_confidence_and_the_threshold() -> None:
    sure = {"category": 0.3, "type": 1.0, "priority": 0.45, "sentiment": 0.7}

    _, reason = disposition(sure, THRESHOLDS)

    assert reason == (
        "unsure: category 0.30 is below 0.5 (suggest), priority 0.45 is below 0.5 (suggest)"
    )


def test_every_field_has_its_own_threshold() -> None:
    strict = THRESHOLDS.model_dump() | {"priority": {"suggest": 0.9, "auto": 0.99}}
    sure = {"category": 1.0, "type": 1.0, "priority": 0.95, "sentiment": 1.0}

    assert disposition(sure, Thresholds(**strict))[0] is Disposition.SUGGEST
    assert disposition(sure, THRESHOLDS)[0] is Disposition.AUTO


def test_a_label_without_a_confidence_goes_to_a_person() -> None:
    assert disposition({"category": 1.0}, THRESHOLDS)[0] is Disposition.HUMAN


def test_what_follows_the_labels_is_not_even_read() -> None:
    def tokens() -> Iterator[Token]:
        yield token('{"category":"')
        yield token("sales", 0.9)
        yield token('"')
        raise AssertionError("read on")

    assert of_labels(tokens(), ALLOWED) == {"category": pytest.approx(0.9)}
