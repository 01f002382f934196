"""Which of vLLM's attention kernels an engine takes on a card.

vLLM's own choice, but where that would be FlashInfer and nothing can compile it: it compiles its
kernels when the engine starts, vLLM does not ask whether it can, and the start ends there
(docs/decisions/without-nvcc.md).
"""

from worker.engine.machine import Machine
from worker.engine.profiles import Profile

HOPPER = range(90, 100)
"""vLLM reads an FP8 cache there by its own FlashAttention 3, elsewhere by FlashInfer."""
BLACKWELL = range(100, 110)
"""For data centres: FlashInfer comes first there whatever the cache is kept in."""
TRITON = "TRITON_ATTN"
TRITON_READS_FP8 = 89


def attention_backend(profile: Profile, machine: Machine) -> str | None:
    """vLLM's name of the kernels to take; None: those that it chooses itself."""
    if profile.attention_backend:
        return profile.attention_backend
    if machine.capability is None or machine.compiles:
        return None
    needs_flashinfer = machine.capability in BLACKWELL or (
        has_fp8_cache(profile) and machine.capability not in HOPPER
    )
    return TRITON if needs_flashinfer else None


def has_fp8_cache(profile: Profile) -> bool:
    return profile.kv_cache_dtype.startswith("fp8")
