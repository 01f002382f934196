"""AWQ on CPUs without AVX-512, for which vLLM has no INT4 kernel.

vLLM's build for such CPUs (Intel's before Ice Lake and for desktops, AMD's before Zen 4) lacks the
operator, takes its kernel all the same, and fails at the first token. Here the INT4 weights are
unpacked once, when the model is loaded: the same numbers, in 32 bits, multiplied by torch. Made
for the demonstration model, whose weights take 10 MB so; a model of billions wants a GPU anyway.

vLLM calls `bring_kernel` in each of its processes (the entry point `vllm.general_plugins`).
"""

import os

from worker.engine.machine import has_avx512

KERNEL_WITHOUT_OPERATOR = "CPUWNA16LinearKernel"


def bring_kernel() -> None:
    """Register the kernel below where vLLM's own cannot run; else nothing."""
    from vllm.platforms import current_platform  # noqa: PLC0415  # only engines have vLLM

    if not current_platform.is_cpu() or has_avx512():
        return
    from vllm.model_executor.kernels.linear import register_linear_kernel  # noqa: PLC0415
    from vllm.platforms import PlatformEnum  # noqa: PLC0415

    from worker.engine.unpacked import UnpackedLinearKernel  # noqa: PLC0415

    disabled = os.environ.get("VLLM_DISABLED_KERNELS")
    names = filter(None, [disabled, KERNEL_WITHOUT_OPERATOR])
    os.environ["VLLM_DISABLED_KERNELS"] = ",".join(names)
    register_linear_kernel(UnpackedLinearKernel, PlatformEnum.CPU)
