"""A request whose labels are written asks vLLM for no more log-probabilities."""

from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest

from worker.engine.labels_only import (
    MARKS,
    end_with_labels,
    tell_labels_only,
    until_labels_end,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

TEXTS = {1: '{"', 2: "type", 3: '":"', 4: "bug", 5: '"', 6: '","', 7: "other"}
LABEL = (1, 2, 3, 4, 6)  # the last token opens what comes next, too


def marks_in(token: int) -> int:
    return TEXTS[token].count('"')


def asking(extra: dict[str, Any] | None) -> Any:
    return SimpleNamespace(logprobs=10, extra_args=extra)


def test_it_asks_until_the_last_mark_of_the_last_label() -> None:
    asked = asking(until_labels_end(labels=1))

    asks = []
    for token in LABEL:
        end_with_labels(asked, [token], marks_in)
        asks.append(asked.logprobs)

    assert asks == [10, 10, 10, 10, None]


def test_tokens_that_come_together_count_together() -> None:
    asked = asking(until_labels_end(labels=1))

    end_with_labels(asked, LABEL, marks_in)

    assert asked.logprobs is None


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of vLLM's scheduler, when it has told of a token of each, and of one that has ended."""
    from vllm.v1.core.sched.scheduler import Scheduler  # noqa: PLC0415  # seconds

    asked = {
        "labels": asking(until_labels_end(labels=1)),
        "nothing": asking(until_labels_end(labels=1)),
        "all": asking(None),
        "another's": asking({"anothers": 1}),
    }

    def told(*_given: Any) -> dict[int, Any]:
        of = {name: name != "nothing" for name in (*asked, "ended")}
        outputs = [
            SimpleNamespace(request_id=name, new_logprobs=is_told, new_token_ids=[1])
            for name, is_told in of.items()
        ]
        return {0: SimpleNamespace(outputs=outputs)}

    monkeypatch.setattr(Scheduler, "update_from_output", told)
    monkeypatch.setattr("worker.engine.labels_only.marks_by", lambda _: marks_in)
    monkeypatch.setattr("vllm.tokenizers.cached_tokenizer_from_config", lambda _: None)
    vllm_config = SimpleNamespace(model_config=None)
    named = {
        name: SimpleNamespace(request_id=name, sampling_params=one) for name, one in asked.items()
    }
    tell_labels_only()
    tell_labels_only()  # vLLM may call it in a process more than once
    made = SimpleNamespace(requests=named, vllm_config=vllm_config)
    Scheduler.update_from_output(made, None, None)  # type: ignore[arg-type]
    return asked


def test_a_requests_marks_are_counted_once_when_they_are_told(requests: Any) -> None:
    assert requests["labels"].extra_args == {MARKS: 3}
    assert requests["nothing"].extra_args == {MARKS: 4}


def test_who_wants_them_for_all_of_an_answer_gets_them(requests: Any) -> None:
    assert requests["all"] == asking(None)
    assert requests["another's"] == asking({"anothers": 1})


def test_vllm_is_told_of_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="tell_labels_only")

    assert [one.load() for one in found] == [tell_labels_only]
