"""What the engine tells of labels beside vLLM: the likeliest tokens, under the grammar's mask."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Client
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from worker.engine import alternatives
from worker.engine import teller as of_engine
from worker.engine.alternatives import NAME, RECORD, Listener, Wanted, value_places
from worker.engine.teller import Teller

VOCABULARY = 50
OPEN, BETWEEN, NEXT, MARK, COLON, WORD = range(6)
TEXTS = {OPEN: '{"', BETWEEN: '":"', NEXT: '","', MARK: '"', COLON: ":"}
FIELD = [OPEN, WORD, BETWEEN]
"""`{"x":"`: the next token is of the first label's value."""
pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def teller(monkeypatch: pytest.MonkeyPatch) -> Teller:
    tokenizer = SimpleNamespace(decode=lambda ids: "".join(TEXTS.get(one, "x") for one in ids))
    monkeypatch.setattr(of_engine, "cached_tokenizer_from_config", lambda _: tokenizer)
    return Teller(SimpleNamespace(model_config=None), torch.device("cpu"), False)  # type: ignore[arg-type]


def asking(wanted: Wanted, forced: StructuredOutputsParams | None = None) -> SamplingParams:
    return SamplingParams(extra_args={NAME: asdict(wanted)}, structured_outputs=forced)


def joined(*rows: tuple[int, SamplingParams, list[int]]) -> BatchUpdate:
    added = [(index, params, None, written) for index, params, written in rows]
    return BatchUpdate(batch_size=len(rows), removed=[], added=added, moved=[])


def random_logits(rows: int) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(7))


def end_of_label(teller: Teller, *written: list[int]) -> None:
    """One step more, after the next label of each has begun."""
    for one in written:
        one.append(NEXT)
    teller.apply(random_logits(len(written)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["vLLM's", "the model's"])
def test_tokens_are_told_with_their_log_probabilities(
    listener: Listener, teller: Teller, dtype: torch.dtype
) -> None:
    logits, wanted, written = random_logits(2).to(dtype), listener.expect(1), list(FIELD)
    teller.update_state(joined((0, SamplingParams(), []), (1, asking(wanted), written)))

    passed_on = teller.apply(logits.clone())
    end_of_label(teller, written)
    told = listener.collect(wanted, [3])

    assert torch.equal(passed_on, logits)
    assert list(told[3]) == list(range(VOCABULARY))
    expected = logits.float().log_softmax(-1)[1].tolist()
    assert list(told[3].values()) == pytest.approx(expected, abs=1e-5)


def test_what_the_grammar_forbids_has_no_probability(listener: Listener, teller: Teller) -> None:
    logits, wanted, written = random_logits(1), listener.expect(1), list(FIELD)
    logits[:, 2:] = -math.inf
    logits[:, 1] = logits[:, 0] - 20  # and of what is never written nothing is said
    teller.update_state(joined((0, asking(wanted), written)))

    teller.apply(logits)
    end_of_label(teller, written)
    told = listener.collect(wanted, [3])[3]

    assert told == {0: pytest.approx(0.0, abs=1e-5)}


ANSWER = [*FIELD, WORD, WORD, NEXT, WORD, MARK, COLON, MARK, WORD, NEXT, WORD, BETWEEN, WORD]
"""`{"x":"xx","x":"x","x":"x`, with the second field's punctuation in tokens of its own."""
VALUES = [3, 4, 5, 8, 9, 10, 11]


def test_of_values_alone_it_is_told_up_to_the_end_of_the_last_label(
    listener: Listener, teller: Teller
) -> None:
    wanted, written = listener.expect(2), list[int]()
    teller.update_state(joined((0, asking(wanted), written)))

    for token in ANSWER:
        teller.apply(random_logits(1))
        written.append(token)

    assert list(listener.collect(wanted, VALUES)) == VALUES


def test_the_worker_knows_what_it_will_be_told_of() -> None:
    marks_in = [TEXTS.get(one, "x").count('"') for one in range(VOCABULARY)].__getitem__

    assert list(value_places(ANSWER, marks_in, labels=2)) == VALUES
    assert list(value_places(ANSWER[:5], marks_in, labels=2)) == VALUES[:2]
    assert list(value_places(ANSWER, marks_in, labels=0)) == []


def test_the_rows_that_are_told_of_are_named_before_they_are_masked(
    listener: Listener, teller: Teller
) -> None:
    in_value, in_name, over = list(FIELD), [OPEN], ANSWER
    rows = [
        (index, asking(listener.expect(2)), written)
        for index, written in enumerate((in_value, in_name, over))
    ]
    teller.update_state(joined(*rows, (3, SamplingParams(), list(FIELD))))

    assert teller.rows() == teller.rows() == [0]


def test_a_request_is_known_by_its_row_wherever_the_batch_moves_it(
    listener: Listener, teller: Teller
) -> None:
    first, second = listener.expect(1), listener.expect(1)
    one, other = list(FIELD), list(FIELD)
    teller.update_state(joined((0, asking(first), one), (1, asking(second), other)))
    swapped = BatchUpdate(
        batch_size=2, removed=[], added=[], moved=[(0, 1, MoveDirectionality.SWAP)]
    )
    logits = random_logits(2)

    teller.update_state(swapped)
    teller.apply(logits)
    end_of_label(teller, one, other)

    told = [listener.collect(one, [3])[3] for one in (first, second)]
    assert [max(one, key=one.__getitem__) for one in told] == logits.argmax(-1).tolist()[::-1]


def test_a_request_that_leaves_is_told_of_so_far_and_no_further(
    listener: Listener, teller: Teller
) -> None:
    gone, stays, written = listener.expect(1), listener.expect(1), list(FIELD)
    teller.update_state(joined((0, asking(gone), list(FIELD)), (1, asking(stays), written)))
    teller.apply(random_logits(2))
    written.append(WORD)

    teller.update_state(BatchUpdate(batch_size=1, removed=[0], added=[], moved=[]))
    teller.apply(random_logits(2))
    end_of_label(teller, written)

    assert set(listener.collect(gone, [3])) == {3}
    assert set(listener.collect(stays, [3, 4])) == {3, 4}


def test_a_request_whose_row_another_takes_is_told_of_so_far(
    listener: Listener, teller: Teller
) -> None:
    gone, next_one, written = listener.expect(1), listener.expect(1), list(FIELD)
    teller.update_state(joined((0, asking(gone), list(FIELD))))
    teller.apply(random_logits(1))

    teller.update_state(joined((0, asking(next_one), written)))
    teller.apply(random_logits(1))
    end_of_label(teller, written)

    assert set(listener.collect(gone, [3])) == {3}
    assert set(listener.collect(next_one, [3])) == {3}


def test_a_request_that_comes_back_is_told_of_where_it_was(
    listener: Listener, teller: Teller
) -> None:
    wanted, written = listener.expect(1), list(FIELD)
    teller.update_state(joined((0, asking(wanted), written)))
    teller.apply(random_logits(1))
    written.append(WORD)

    teller.update_state(BatchUpdate(batch_size=0, removed=[0], added=[], moved=[]))
    teller.update_state(joined((0, asking(wanted), written)))
    teller.apply(random_logits(1))
    end_of_label(teller, written)

    assert set(listener.collect(wanted, [3, 4])) == {3, 4}


def test_a_place_that_comes_by_twice_is_told_of_once(listener: Listener, teller: Teller) -> None:
    wanted, written = listener.expect(1), list(FIELD)
    teller.update_state(joined((0, asking(wanted), written)))
    allowed = random_logits(1)
    allowed[:, 1:] = -math.inf

    teller.apply(random_logits(1))  # a prompt that is read in parts: this is no answer yet
    teller.apply(allowed)
    end_of_label(teller, written)

    assert set(listener.collect(wanted, [3])[3]) == {0}


def test_what_is_kept_is_told_as_what_is_looked_up(listener: Listener, teller: Teller) -> None:
    logits, wanted, written = random_logits(1), listener.expect(1), list(FIELD)
    teller.update_state(joined((0, asking(wanted), written)))

    teller.see(0, np.array([1, 4]), logits[0, [1, 4]].numpy())
    end_of_label(teller, written)
    told = listener.collect(wanted, [3])[3]

    assert list(told) == [1, 4]
    expected = logits[0, [1, 4]].log_softmax(-1).tolist()
    assert list(told.values()) == pytest.approx(expected, abs=1e-5)


def test_a_worker_that_is_gone_does_not_stop_the_engine(teller: Teller, tmp_path: Path) -> None:
    nobody, written = Wanted(str(tmp_path / "nobody.sock"), key=1, labels=1), list(FIELD)
    teller.update_state(joined((0, asking(nobody), written)))
    teller.apply(random_logits(1))

    written.append(NEXT)

    assert teller.apply(random_logits(1)).shape == (1, VOCABULARY)


def test_what_was_not_told_is_not_waited_for_for_ever(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternatives, "PATIENCE_S", 0.05)
    wanted = listener.expect(3)

    assert listener.collect(wanted, [3]) == {}


def test_what_nobody_expects_is_dropped(listener: Listener) -> None:
    forgotten, wanted = listener.expect(1), listener.expect(1)
    listener.forget(forgotten)
    records = np.zeros(2, RECORD)
    records["key"] = forgotten.key, wanted.key

    with Client(wanted.address, family="AF_UNIX") as teller:
        teller.send_bytes(records.tobytes())
        told = listener.collect(wanted, [0])

    assert set(told) == {0}
    assert listener._heard == {}
