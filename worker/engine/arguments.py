"""A profile in vLLM's own words: as arguments of its engine, and as a line for `vllm serve`."""

import argparse
import shlex
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn

from worker.engine.profiles import Profile
from worker.errors import SettingsError

if TYPE_CHECKING:
    from vllm.engine.arg_utils import AsyncEngineArgs

OF_A_PROCESS = ("distributed_executor_backend", "disable_log_stats")
"""How this product runs an engine in its own process; a server needs neither."""
ON_UNLESS_TOLD = ("enable_prefix_caching", "enable_chunked_prefill")
OF_THE_SERVER = "--enable-prompt-tokens-details"
"""Has it tell what came from its cache; the only word that is no argument of an engine."""


def engine_arguments(profile: Profile, attention: str | None = None) -> dict[str, Any]:
    """The profile as arguments of vLLM's own `AsyncEngineArgs`; `attention`: which kernels."""
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
        "attention_backend": attention or profile.attention_backend,
        "scheduling_policy": "priority",
        "distributed_executor_backend": "uni",
        "structured_outputs_config": {"backend": "xgrammar"},
        "disable_log_stats": False,
    }


def serve_command(profile: Profile) -> str:
    """The `vllm serve` line that starts the same engine as a server."""
    environment = [f"{name}={value}" for name, value in profile.environment.items()]
    return shlex.join([*(["env", *environment] if environment else []), *serve_words(profile)])


def serve_words(profile: Profile) -> list[str]:
    words = ["vllm", "serve", profile.model_path]
    for name, value in engine_arguments(profile).items():
        flag = f"--{name.replace('_', '-')}"
        if name in (*OF_A_PROCESS, "model") or value is None:
            continue
        if value is False:
            words += [f"--no-{flag[2:]}"] if name in ON_UNLESS_TOLD else []
        elif name == "structured_outputs_config":
            words += ["--structured-outputs-config.backend", value["backend"]]
        elif value is True:
            words.append(flag)
        else:
            words += [flag, str(value)]
    return [*words, OF_THE_SERVER]


def refused_words(profile: Profile) -> list[str]:
    """What the installed vLLM's own command line says against the profile; nothing: all is well.

    Raises:
        SettingsError: no vLLM is installed.
    """
    known = installed_arguments()
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415

    class Parser(FlexibleArgumentParser):
        def error(self, message: str) -> NoReturn:
            """What it does not know ends the process otherwise, whatever `exit_on_error` says."""
            raise ValueError(message)

    parser = Parser(exit_on_error=False)  # type: ignore[no-untyped-call]
    known.add_cli_args(parser)
    model, *words = serve_words(profile)[2:]
    words.remove(OF_THE_SERVER)
    try:
        parser.parse_args(["--model", model, *words])
    except (argparse.ArgumentError, ValueError) as error:
        return [str(error)]
    return []


def unknown_arguments(profile: Profile) -> list[str]:
    """Arguments that the installed vLLM does not have.

    Raises:
        SettingsError: no vLLM is installed.
    """
    known = {field.name for field in fields(installed_arguments())}
    return sorted(engine_arguments(profile).keys() - known)


def installed_arguments() -> "type[AsyncEngineArgs]":
    """
    Raises:
        SettingsError: no vLLM is installed.
    """
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415  # seconds of imports
    except ImportError as error:
        raise SettingsError("no vLLM is installed here: run this where workers run") from error
    return AsyncEngineArgs
