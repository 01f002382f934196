"""Grammars on CPUs: every request gets what it would by vLLM's own masks."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from worker.engine import cpu_masks
from worker.engine.ahead import AheadGrammar
from worker.engine.logits import Numbers, as_floats, as_integers
from worker.engine.teller import Teller

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

REQUESTS = ("a", "b", "c", "d", "e")
WITH_GRAMMAR = ("d", "a", "gone", "e")
"""In the scheduler's order; one has left the batch, two have no grammar."""
ALL_WITH_GRAMMAR = ("d", "a", "c", "e", "b")
VOCABULARY = 6144


class Grammar(AheadGrammar):
    """Allows some tokens, whatever was written before; counts the masks that are asked for."""

    def __init__(self, allowed: "np.ndarray[Any, Any]", *, is_over: bool = False) -> None:
        self.mask = np.packbits(allowed, bitorder="little").view(np.int32)
        self.filled = 0
        self.reader = None
        self._allowed, self._is_over = allowed, is_over

    def is_terminated(self) -> bool:
        return self._is_over

    def allows(self, token: int) -> bool:
        return bool(self._allowed[token])

    def fill_bitmask(self, bitmask: torch.Tensor, idx: int) -> None:
        self.filled += 1
        bitmask[idx] = torch.from_numpy(self.mask)


@pytest.fixture(autouse=True)
def accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    """These grammars have nothing of xgrammar's to be accepted by."""
    monkeypatch.setattr(
        cpu_masks, "accept", lambda asked: [one.allows(token) for one, token in asked]
    )


def of_vllm() -> Any:
    """The module anew: in the one that others import, ours may be in its place by now."""
    spec = importlib.util.find_spec("vllm.v1.structured_output.utils")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TellsOf(Teller):
    """Of some rows."""

    def __init__(self, rows: list[int]) -> None:
        self._of = rows
        self.saw: dict[int, tuple[list[int], list[float]]] = {}

    def rows(self) -> list[int]:
        return self._of

    def see(self, index: int, allowed: Numbers, logits: Numbers) -> None:
        self.saw[index] = allowed.tolist(), logits.tolist()


def request(grammar: Grammar) -> Any:
    grammar.is_held = True if grammar.is_held is None else grammar.is_held
    return SimpleNamespace(structured_output_request=SimpleNamespace(grammar=grammar))


def both(
    grammars: Sequence[Grammar],
    logits: torch.Tensor,
    *,
    greedy: bool,
    teller: TellsOf | None = None,
    names: Sequence[str] = WITH_GRAMMAR,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits as we leave them, and as vLLM does."""
    for grammar in grammars:
        grammar.is_held = greedy
    asking = {name: request(grammar) for name, grammar in zip(names, grammars, strict=True)}
    wanted = cpu_masks.Constraints(asking, VOCABULARY)  # type: ignore[arg-type]
    everything = np.full(VOCABULARY // 32, -1, np.int32)
    masks = np.stack([everything if one.is_terminated() else one.mask for one in grammars])
    batch = SimpleNamespace(
        req_ids=REQUESTS,
        logitsprocs=SimpleNamespace(non_argmax_invariant=[object(), teller or TellsOf([])]),
    )
    scheduled = SimpleNamespace(scheduled_spec_decode_tokens={})
    ours, vllms = logits.clone(), logits.clone()
    apply = cpu_masks.holding(of_vllm().apply_grammar_bitmask)
    for found, result in ((wanted, ours), (masks, vllms)):
        output = SimpleNamespace(grammar_bitmask=found, structured_output_request_ids=names)
        apply(scheduled, output, batch, result)
    return ours, vllms


def made_up(
    vocabulary: int, allowed: float, dtype: torch.dtype, *, count: int = len(WITH_GRAMMAR)
) -> tuple[list[Grammar], Any]:
    rng = np.random.default_rng(8)
    grammars = [Grammar(rng.random(VOCABULARY) < allowed) for _ in range(count)]
    return grammars, torch.from_numpy(rng.normal(size=(len(REQUESTS), vocabulary))).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("vocabulary", [VOCABULARY, VOCABULARY - 7])
@pytest.mark.parametrize("allowed", [0.0, 0.01, 0.5, 1.0])
def test_masks_as_vllm_does(dtype: torch.dtype, vocabulary: int, allowed: float) -> None:
    ours, vllms = both(*made_up(vocabulary, allowed, dtype), greedy=False)

    assert torch.equal(ours, vllms)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("allowed", [0.01, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shift", [0.0, -100.0])
def test_a_greedy_answer_goes_on_as_with_vllms_masks(
    dtype: torch.dtype, allowed: float, shift: float
) -> None:
    grammars, logits = made_up(VOCABULARY, allowed, dtype)
    logits += shift  # none is positive any more

    ours, vllms = both(grammars, logits, greedy=True)

    assert ours.argmax(dim=1).tolist() == vllms.argmax(dim=1).tolist()


@pytest.mark.parametrize("highest", [3.0, 0.0, -0.0, -3.0])
def test_of_tokens_that_are_equally_likely_the_same_is_taken(highest: float) -> None:
    grammars, _ = made_up(VOCABULARY, 0.5, torch.bfloat16)
    logits = torch.full((len(REQUESTS), VOCABULARY), highest, dtype=torch.bfloat16)
    logits[:, ::2] = -abs(highest)

    ours, vllms = both(grammars, logits, greedy=True)

    assert ours.argmax(dim=1).tolist() == vllms.argmax(dim=1).tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("allowed", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("shift", [0.0, -100.0])
@pytest.mark.parametrize("told", [[], [0, 3]])
def test_where_all_answers_are_greedy_the_sampler_finds_its_tokens_chosen(
    dtype: torch.dtype, allowed: float, shift: float, told: list[int]
) -> None:
    grammars, logits = made_up(VOCABULARY, allowed, dtype, count=len(REQUESTS))
    teller = TellsOf(told)
    ours, vllms = both(grammars, logits + shift, greedy=True, teller=teller, names=ALL_WITH_GRAMMAR)

    sampled = cpu_masks.choosing(Mock(side_effect=AssertionError))(
        None, logits=ours, sampling_metadata="metadata"
    )

    assert sampled.sampled_token_ids.dtype == torch.int32
    assert sampled.sampled_token_ids.tolist() == vllms.float().argmax(dim=1, keepdim=True).tolist()
    assert sampled.logprobs_tensors is None
    assert teller.saw == {row: possible(vllms[row]) for row in told}


def possible(masked: torch.Tensor) -> tuple[list[int], list[float]]:
    allowed = torch.isfinite(masked).nonzero().flatten()
    return allowed.tolist(), masked[allowed].float().tolist()


def test_no_mask_is_found_where_it_is_known_what_is_allowed() -> None:
    grammars, logits = made_up(VOCABULARY, 0.5, torch.bfloat16, count=len(REQUESTS))
    by_name = dict(zip(ALL_WITH_GRAMMAR, grammars, strict=True))
    known = SimpleNamespace(allowed=np.array([7, 11]))
    by_name["a"].reader = known  # type: ignore[assignment]
    by_name["e"].reader = new = SimpleNamespace(allowed=None)  # type: ignore[assignment]
    teller = TellsOf([REQUESTS.index("a"), REQUESTS.index("e")])

    ours, vllms = both(grammars, logits, greedy=True, teller=teller, names=ALL_WITH_GRAMMAR)

    tokens = getattr(ours, cpu_masks.CHOSEN)
    assert tokens[0] == 7 + 4 * int(logits[0, 11] > logits[0, 7])
    assert teller.saw[0] == ([7, 11], logits[0, [7, 11]].float().tolist())
    assert (by_name["a"].filled, by_name["e"].filled) == (0, 1)
    assert new.allowed.tolist() == possible(vllms[REQUESTS.index("e")])[0]


def test_rows_are_listed_anew_where_the_batch_changes() -> None:
    requests = {name: request(made_up(VOCABULARY, 1.0, torch.bfloat16)[0][0]) for name in REQUESTS}
    rows = cpu_masks.Rows()

    def listed(names: str, batch: str) -> list[int]:
        return [row for row, _, _ in rows.going_on(requests, list(names), list(batch))]

    assert listed("da", "abcde") == [3, 0]
    assert listed("da", "abcde") == [3, 0]
    assert listed("da", "dbcae") == [0, 3]
    assert listed("dax", "dbcae") == [0, 3]
    assert listed("d", "dbcae") == [0]


@pytest.mark.parametrize("greedy", [True, False])
def test_where_one_answer_is_not_vllms_sampler_chooses(greedy: bool) -> None:
    names = WITH_GRAMMAR if greedy else ALL_WITH_GRAMMAR
    grammars, logits = made_up(VOCABULARY, 1.0, torch.bfloat16, count=len(names))
    ours, _ = both(grammars, logits, greedy=greedy, names=names)
    sample = Mock(return_value="sampled")

    found = cpu_masks.choosing(sample)("sampler", ours, "metadata", predict_bonus_token=True)

    assert found == "sampled"
    sample.assert_called_once_with("sampler", ours, "metadata", predict_bonus_token=True)


def test_what_the_grammar_allows_needs_no_mask() -> None:
    grammars, logits = made_up(VOCABULARY, 1.0, torch.bfloat16)

    both(grammars, logits, greedy=True)

    assert [one.filled for one in grammars] == [0, 0, 0, 0]


def test_rows_of_which_probabilities_are_told_get_their_masks() -> None:
    grammars, logits = made_up(VOCABULARY, 0.5, torch.bfloat16)
    told = [REQUESTS.index("a"), REQUESTS.index("e")]

    ours, vllms = both(grammars, logits, greedy=True, teller=TellsOf(told))

    assert torch.equal(ours[told], vllms[told])
    assert [one.filled for one in grammars[1::2]] == [1, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_integers_become_the_logits_that_they_are(dtype: torch.dtype) -> None:
    logits = torch.tensor([0.0, -0.0, 1.5, -2.25, 1e-7, 3e4, -torch.inf]).to(dtype)

    floats = as_floats(as_integers(logits), dtype)

    assert floats.dtype == np.float32
    assert floats.tolist() == logits.float().tolist()


def test_after_the_grammars_end_everything_goes() -> None:
    nothing = np.zeros(VOCABULARY, bool)
    _, logits = made_up(VOCABULARY, 1.0, torch.bfloat16)

    ours, _ = both([Grammar(nothing, is_over=True) for _ in WITH_GRAMMAR], logits, greedy=True)

    assert torch.equal(ours, logits)


@pytest.mark.parametrize(
    ("changes", "greedy"),
    [
        ({}, True),
        ({"temperature": 0.7}, False),
        ({"logprobs": 3}, False),
        ({"presence_penalty": 0.5}, False),
        ({"frequency_penalty": 0.5}, False),
        ({"repetition_penalty": 1.1}, False),
        ({"min_tokens": 5}, False),
        ({"logit_bias": {7: 1.0}}, False),
        ({"bad_words": ["nein"]}, False),
        ({"allowed_token_ids": [1, 2]}, False),
        ({"logprob_token_ids": [1, 2]}, False),
    ],
)
def test_only_greedy_answers_are_held_against_the_grammar(
    changes: dict[str, Any], greedy: bool
) -> None:
    from vllm import SamplingParams  # noqa: PLC0415  # seconds

    asked = SamplingParams(**{"temperature": 0.0} | changes)

    assert cpu_masks.is_greedy(asked) is greedy


@pytest.mark.parametrize(
    ("executor", "guesses", "is_ours"),
    [("uni", None, True), ("mp", None, False), ("ray", None, False), ("uni", "ngram", False)],
)
def test_masks_are_found_where_the_model_runs_elsewhere_or_tokens_are_guessed_ahead(
    executor: str, guesses: str | None, is_ours: bool
) -> None:
    manager = Mock()
    manager.vllm_config.parallel_config.distributed_executor_backend = executor
    manager.vllm_config.speculative_config = guesses
    find_masks = Mock(return_value="masks")

    found = cpu_masks.constraining(find_masks)(manager, {}, [], {})

    assert isinstance(found, cpu_masks.Constraints) is is_ours
    assert find_masks.called is not is_ours


def test_vllm_takes_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="hold_against_grammar")
    assert [one.load() for one in found] == [cpu_masks.bring_masks]
    taken = (
        "from vllm.plugins import load_general_plugins; load_general_plugins();"
        "from vllm.v1.worker.gpu_model_runner import apply_grammar_bitmask as taken;"
        "from vllm.v1.structured_output import StructuredOutputManager as manager;"
        "from vllm.v1.worker.gpu_model_runner import Sampler as sampler;"
        "print(taken.__module__, manager.grammar_bitmask.__module__, sampler.forward.__module__)"
    )

    run = subprocess.run([sys.executable, "-c", taken], capture_output=True, text=True, check=True)

    assert run.stdout.split()[-3:] == ["worker.engine.cpu_masks"] * 3
