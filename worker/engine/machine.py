"""What this machine has for an engine: vLLM, a card, its memory, kernels for quantized weights."""

import importlib.util
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from worker.engine.memory import GB
from worker.errors import SettingsError

CPU_INFO = Path("/proc/cpuinfo")
CPU_KERNELS = ("awq",)
"""Quantizations that vLLM's CPU build runs, as tried with the demonstration model."""


@dataclass(frozen=True, slots=True)
class Machine:
    """`device` is the model of the GPU, or of the CPU where there is none: outputs may differ
    between two. `capability` is CUDA's, times ten (89 is Ada), None without a GPU. Memory is the
    card's, without one the machine's. `compiles`: FlashInfer's kernels are there, or can be made.
    """

    vllm: str
    device: str
    capability: int | None
    memory_gb: float
    compiles: bool = False

    @property
    def has_gpu(self) -> bool:
        return self.capability is not None


def this_machine() -> Machine:
    """Look at this machine; starts nothing on the card.

    Raises:
        SettingsError: no vLLM is installed, or one for cards that sees none.
    """
    try:
        import vllm  # noqa: PLC0415  # seconds of imports that only a worker should pay for
        from vllm.platforms import current_platform  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("no vLLM is installed here: `make setup`") from error
    if current_platform.is_cpu():
        return Machine(vllm.__version__, cpu(), None, psutil.virtual_memory().total / GB)
    capability = current_platform.get_device_capability()
    if capability is None:
        raise SettingsError(
            f"vLLM {vllm.__version__} is the one for cards, and sees none: a container needs "
            "`--gpus all` and NVIDIA's runtime, a machine the driver (`nvidia-smi` shows both)"
        )
    return Machine(
        vllm=vllm.__version__,
        device=str(current_platform.get_device_name()),
        capability=capability.to_int(),
        memory_gb=current_platform.get_device_total_memory() / GB,
        compiles=has_flashinfers_kernels(),
    )


def has_flashinfers_kernels() -> bool:
    """Whether it brings them along, or finds nvcc, where it looks for it, and ninja."""
    if importlib.util.find_spec("flashinfer_jit_cache"):
        return True
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    places = [f"{home}/bin/nvcc"] if home else ["nvcc", "/usr/local/cuda/bin/nvcc"]
    return any(map(shutil.which, places)) and shutil.which("ninja") is not None


def cpu() -> str:
    models = re.findall(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(), re.MULTILINE)
    name = models[0] if models else platform.machine()
    return name if has_avx512() else f"{name} without AVX-512"


def has_avx512() -> bool:
    """Without it, vLLM has no kernel for INT4 on a CPU: `old_cpus` brings one."""
    import torch  # noqa: PLC0415

    return bool(torch.cpu._is_avx512_supported())  # as vLLM asks


def free_gb() -> float:
    """Memory of the card that nobody has taken, in GB."""
    import torch  # noqa: PLC0415

    return float(torch.cuda.mem_get_info()[0]) / GB


def least_capability(quantization: str) -> int | None:
    """The compute capability that vLLM's kernels for it need; None: it does not know it."""
    from vllm.model_executor.layers.quantization import get_quantization_config  # noqa: PLC0415

    try:
        return int(get_quantization_config(quantization).get_min_capability())
    except ValueError:
        return None
