"""What the engine tells of labels beside vLLM: the likeliest tokens, under the grammar's mask."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Client
from pathlib import Path

import numpy as np
import pytest
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from worker.engine import alternatives
from worker.engine.alternatives import COUNT, NAME, RECORD, Listener, Wanted
from worker.engine.teller import Teller

VOCABULARY = 50
pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def teller() -> Teller:
    return Teller(None, torch.device("cpu"), False)  # type: ignore[arg-type]  # reads none of it


def asking(wanted: Wanted) -> SamplingParams:
    return SamplingParams(extra_args={NAME: asdict(wanted)})


def joined(*rows: tuple[int, SamplingParams, list[int]]) -> BatchUpdate:
    added = [(index, params, None, written) for index, params, written in rows]
    return BatchUpdate(batch_size=len(rows), removed=[], added=added, moved=[])


def random_logits(rows: int) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(7))


def test_the_likeliest_tokens_are_told_with_their_log_probabilities(
    listener: Listener, teller: Teller
) -> None:
    logits, wanted = random_logits(2), listener.expect(1)
    teller.update_state(joined((0, SamplingParams(), []), (1, asking(wanted), [])))

    passed_on = teller.apply(logits.clone())
    told = listener.collect(wanted, written=1)

    expected = logits.log_softmax(-1)[1].topk(COUNT)
    assert torch.equal(passed_on, logits)
    assert list(told[0]) == expected.indices.tolist()
    assert list(told[0].values()) == pytest.approx(expected.values.tolist(), abs=1e-5)


def test_what_the_grammar_forbids_has_no_probability(listener: Listener, teller: Teller) -> None:
    logits, wanted = random_logits(1), listener.expect(1)
    logits[:, 2:] = -math.inf
    teller.update_state(joined((0, asking(wanted), [])))

    teller.apply(logits)
    told = listener.collect(wanted, written=1)[0]

    allowed = [logprob for logprob in told.values() if logprob > -math.inf]
    assert sum(map(math.exp, allowed)) == pytest.approx(1.0, abs=1e-5)
    assert len(allowed) == 2


def test_beyond_the_labels_nothing_is_told(listener: Listener, teller: Teller) -> None:
    wanted, written = listener.expect(2), list[int]()
    teller.update_state(joined((0, asking(wanted), written)))

    for token in range(5):
        teller.apply(random_logits(1))
        written.append(token)

    assert set(listener.collect(wanted, written=5)) == {0, 1}


def test_a_request_is_known_by_its_row_wherever_the_batch_moves_it(
    listener: Listener, teller: Teller
) -> None:
    first, second = listener.expect(1), listener.expect(1)
    teller.update_state(joined((0, asking(first), []), (1, asking(second), [])))
    swapped = BatchUpdate(
        batch_size=2, removed=[], added=[], moved=[(0, 1, MoveDirectionality.SWAP)]
    )
    logits = random_logits(2)

    teller.update_state(swapped)
    teller.apply(logits)

    best = logits.argmax(-1).tolist()
    assert next(iter(listener.collect(first, written=1)[0])) == best[1]
    assert next(iter(listener.collect(second, written=1)[0])) == best[0]


def test_a_request_that_leaves_is_told_of_so_far_and_no_further(
    listener: Listener, teller: Teller
) -> None:
    gone, stays, written = listener.expect(5), listener.expect(2), list[int]()
    teller.update_state(joined((0, asking(gone), []), (1, asking(stays), written)))
    teller.apply(random_logits(2))
    written.append(1)

    teller.update_state(BatchUpdate(batch_size=1, removed=[0], added=[], moved=[]))
    teller.apply(random_logits(2))

    assert set(listener.collect(gone, written=1)) == {0}
    assert set(listener.collect(stays, written=2)) == {0, 1}


def test_a_request_whose_row_another_takes_is_told_of_so_far(
    listener: Listener, teller: Teller
) -> None:
    gone, next_one = listener.expect(5), listener.expect(1)
    teller.update_state(joined((0, asking(gone), [])))
    teller.apply(random_logits(1))

    teller.update_state(joined((0, asking(next_one), [])))
    teller.apply(random_logits(1))

    assert set(listener.collect(gone, written=1)) == {0}
    assert set(listener.collect(next_one, written=1)) == {0}


def test_a_worker_that_is_gone_does_not_stop_the_engine(teller: Teller, tmp_path: Path) -> None:
    nobody = Wanted(str(tmp_path / "nobody.sock"), key=1, places=1)
    teller.update_state(joined((0, asking(nobody), [])))

    assert teller.apply(random_logits(1)).shape == (1, VOCABULARY)


def test_what_was_not_told_is_not_waited_for_for_ever(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternatives, "PATIENCE_S", 0.05)
    wanted = listener.expect(3)

    assert listener.collect(wanted, written=3) == {}


def test_what_nobody_expects_is_dropped(listener: Listener) -> None:
    forgotten, wanted = listener.expect(1), listener.expect(1)
    listener.forget(forgotten)
    records = np.zeros(2, RECORD)
    records["key"] = forgotten.key, wanted.key

    with Client(wanted.address, family="AF_UNIX") as teller:
        teller.send_bytes(records.tobytes())
        told = listener.collect(wanted, written=1)

    assert set(told) == {0}
    assert listener._heard == {}
