"""The grammar's mask on CPUs: what vLLM's own does, faster."""

import importlib.util
import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from worker.engine import cpu_masks

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

REQUESTS = ("a", "b", "c", "d", "e")
ORDER_OF_MASKS = ("d", "a", "gone", "e")
"""Those with a grammar, in the scheduler's order; one has left the batch, two have no grammar."""


def masked(by: Any, masks: "np.ndarray[Any, Any]", logits: torch.Tensor) -> torch.Tensor:
    found = logits.clone()
    by(
        SimpleNamespace(scheduled_spec_decode_tokens={}),
        SimpleNamespace(grammar_bitmask=masks, structured_output_request_ids=ORDER_OF_MASKS),
        SimpleNamespace(req_ids=REQUESTS),
        found,
    )
    return found


def of_vllm() -> Any:
    """The module anew: in the one that others import, ours may be in its place by now."""
    spec = importlib.util.find_spec("vllm.v1.structured_output.utils")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("vocabulary", [6144, 6137])
@pytest.mark.parametrize("allowed", [0.0, 0.01, 0.5, 1.0])
def test_masks_as_vllm_does(dtype: torch.dtype, vocabulary: int, allowed: float) -> None:
    rng = np.random.default_rng(8)
    bits = rng.random((len(ORDER_OF_MASKS), 6144)) < allowed
    masks = np.packbits(bits, axis=1, bitorder="little").view(np.int32)
    logits = torch.from_numpy(rng.normal(size=(len(REQUESTS), vocabulary))).to(dtype)

    expected = masked(of_vllm().apply_grammar_bitmask, masks, logits)

    assert torch.equal(masked(cpu_masks.apply_grammar_bitmask, masks, logits), expected)


def test_vllm_takes_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="mask_in_one_pass")
    assert [one.load() for one in found] == [cpu_masks.bring_mask]
    taken = (
        "from vllm.plugins import load_general_plugins; load_general_plugins();"
        "from vllm.v1.worker.gpu_model_runner import apply_grammar_bitmask as taken;"
        "print(taken.__module__)"
    )

    run = subprocess.run([sys.executable, "-c", taken], capture_output=True, text=True, check=True)

    assert run.stdout.split()[-1] == "worker.engine.cpu_masks"
