"""On a card vLLM's kernel for log-probabilities is started with wider pieces."""

import inspect
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from worker.engine import wide_reads
from worker.engine.wide_reads import PIECE, WARPS, read_wide

PACKAGE = "vllm.v1.worker.gpu.sample"
MODULE = f"{PACKAGE}.logprob"


class Kernel:
    """One of Triton's, as far as it is used here; remembers how it was started."""

    def __init__(self, *names: str) -> None:
        self.arg_names = names
        self.started: list[Any] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *given, **named: self.started.append((grid, given, named))


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A machine with a card, and in place of vLLM's own module there an empty one."""
    module = ModuleType(MODULE)
    source = inspect.getsource(import_module(MODULE))
    assert re.search(r"def _topk_log_softmax_kernel\([^)]*\bBLOCK_SIZE\b", source)  # still
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(import_module(PACKAGE), "logprob", module)
    monkeypatch.setattr(wide_reads, "NVIDIA_DRIVER", tmp_path)
    return module


def test_the_kernel_is_started_with_wider_pieces(vllm: ModuleType) -> None:
    kernel = vllm._topk_log_softmax_kernel = Kernel("logits_ptr", "BLOCK_SIZE")  # type: ignore[attr-defined]

    read_wide()
    read_wide()  # vLLM may call it in a process more than once
    vllm._topk_log_softmax_kernel[16,]("logits", 10, BLOCK_SIZE=1024, TOPK_BLOCK_SIZE=16)

    named = {"BLOCK_SIZE": PIECE, "TOPK_BLOCK_SIZE": 16, "num_warps": WARPS}
    assert kernel.started == [((16,), ("logits", 10), named)]


def test_another_kernel_stays_as_it_is(vllm: ModuleType) -> None:
    kernel = vllm._topk_log_softmax_kernel = Kernel("logits_ptr", "ROWS")  # type: ignore[attr-defined]

    read_wide()

    assert vllm._topk_log_softmax_kernel is kernel


def test_a_vllm_without_it_is_left_alone(vllm: ModuleType) -> None:
    read_wide()

    assert not hasattr(vllm, "_topk_log_softmax_kernel")


def test_nothing_is_touched_without_a_card(
    vllm: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wide_reads, "NVIDIA_DRIVER", tmp_path / "none")
    kernel = vllm._topk_log_softmax_kernel = Kernel("BLOCK_SIZE")  # type: ignore[attr-defined]

    read_wide()

    assert vllm._topk_log_softmax_kernel is kernel


def test_vllm_is_told_of_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="read_wide")

    assert [one.load() for one in found] == [read_wide]
