"""What a process is told before vLLM is imported in it."""

from worker.engine.profiles import NVIDIA_DRIVER, Profile


def environment(profile: Profile) -> dict[str, str]:
    """What vLLM reads from the environment; it must be set before vLLM is imported."""
    return {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for what was asked for
        # xgrammar asks for CUDA when it is imported; in a child forked after that CUDA is unusable.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        # It would be compiled when the engine starts on a card (docs/decisions/without-nvcc.md).
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        # Torch's other threads would wait without sleeping (docs/decisions/beside-a-card.md).
        **({"OMP_NUM_THREADS": "1"} if NVIDIA_DRIVER.exists() else {}),
        **profile.environment,
    }
