"""A profile in vLLM's own words: as arguments of its engine, and as a line for `vllm serve`."""

import shlex
from dataclasses import fields
from typing import Any

from worker.engine.profiles import Profile
from worker.errors import SettingsError

OF_A_PROCESS = ("distributed_executor_backend", "disable_log_stats")
"""How this product runs an engine in its own process; a server needs neither."""


def engine_arguments(profile: Profile) -> dict[str, Any]:
    """The profile as arguments of vLLM's own `AsyncEngineArgs`."""
    return {
        "model": profile.model_path,
        "revision": profile.revision,
        **({"load_format": profile.load_format} if profile.load_format else {}),
        "quantization": profile.quantization,
        "kv_cache_dtype": profile.kv_cache_dtype,
        "dtype": profile.dtype,
        "max_model_len": profile.max_model_len,
        "max_num_seqs": profile.max_num_seqs,
        "gpu_memory_utilization": profile.memory_share,
        "enable_prefix_caching": profile.enable_prefix_caching,
        "block_size": profile.block_size,
        "enable_chunked_prefill": profile.enable_chunked_prefill,
        "enforce_eager": profile.enforce_eager,
        "scheduling_policy": "priority",
        "distributed_executor_backend": "uni",
        "structured_outputs_config": {"backend": "xgrammar"},
        "disable_log_stats": False,
    }


def serve_command(profile: Profile) -> str:
    """The `vllm serve` line that starts the same engine as a server."""
    words = ["vllm", "serve", profile.model_path]
    for name, value in engine_arguments(profile).items():
        flag = f"--{name.replace('_', '-')}"
        if name in (*OF_A_PROCESS, "model") or value is None or value is False:
            continue
        if name == "structured_outputs_config":
            words += ["--structured-outputs-config.backend", value["backend"]]
        elif value is True:
            words.append(flag)
        else:
            words += [flag, str(value)]
    words.append("--enable-prompt-tokens-details")  # so that it tells what came from its cache
    before = [f"{name}={value}" for name, value in profile.environment.items()]
    return shlex.join([*before, *words])


def unknown_arguments(profile: Profile) -> list[str]:
    """Arguments that the installed vLLM does not have.

    Raises:
        SettingsError: no vLLM is installed.
    """
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415  # seconds of imports
    except ImportError as error:
        raise SettingsError("no vLLM is installed here: run this where workers run") from error
    known = {field.name for field in fields(AsyncEngineArgs)}
    arguments: dict[str, Any] = engine_arguments(profile)
    return sorted(arguments.keys() - known)
