"""Which model a measurement of the hardware runs: real weights, the real shape, or a small one.

With a GPU it is Mistral Nemo 12B: its weights if TRIAGE_MODEL_DIR holds them in that precision,
otherwise random ones in the same shape, which take the same time. Without one it is the
demonstration model's shape.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.tekken import write_tokenizer
from worker.engine.attention import HOPPER
from worker.engine.machine import this_machine
from worker.engine.memory import Plan, Precision, precision_of
from worker.engine.profiles import DIRECTORY, NVIDIA_DRIVER, REPOSITORY
from worker.engine.shape import Shape, known_shapes, read_config
from worker.errors import SettingsError
from worker.settings import load_settings

PRODUCTION, PRODUCTION_ON_HOPPER = "nemo-awq-32k", "nemo-awq-32k-hopper"
NEMO = "Mistral Nemo 12B"
SHARE = 0.94
"""What vLLM may take of a card's memory here; a gigabyte and more stays for `bytes_s`."""
KILO = 1024
WHOLE_CONTEXT = 128 * KILO
FILLED = {"kv_connector": "DecodeBenchConnector", "kv_role": "kv_both"}
"""vLLM fills the cache with a number: to read prompts of 128k takes minutes, on a CPU hours."""
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}


@dataclass(frozen=True, slots=True)
class Model:
    """A shape, how its weights come, and what of the table this machine can measure."""

    name: str
    label: str
    shape: Shape
    device: str
    precisions: Sequence[str]
    contexts: Sequence[int]
    cache: str
    weights: Mapping[str, Path] = field(default_factory=dict)
    """The folder for each precision that has weights of its own."""

    @property
    def vocabulary(self) -> int:
        return self.shape.vocabulary

    @property
    def kv_bytes(self) -> int:
        return self.shape.kv_bytes(self.cache)

    def weight_bytes(self, precision: str) -> float:
        return self.shape.parameters * Precision(precision).bytes

    def fitting(self, precision: str) -> list[int]:
        """The contexts with which an engine starts on this machine."""
        memory_gb = this_machine().memory_gb
        return [
            context
            for context in self.contexts
            if Plan(self.shape, Precision(precision), self.cache, context, 1, memory_gb, SHARE).fits
        ]

    def start(self, precision: str, context: int) -> Any:
        """An engine for this context."""
        from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415
        from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

        arguments: dict[str, Any] = {
            "model": str(
                self.weights.get(precision) or without_weights(self.name, self.shape, precision)
            ),
            "load_format": "auto" if precision in self.weights else "dummy",
            "skip_tokenizer_init": True,
            "quantization": "fp8" if precision == "fp8" else None,
            "kv_cache_dtype": "fp8" if self.cache == "fp8" else "auto",
            "dtype": "bfloat16",
            "max_model_len": context,
            "max_num_seqs": 16,
            "gpu_memory_utilization": SHARE,
            "distributed_executor_backend": "uni",
            "enforce_eager": self.device == "cpu",
            "kv_transfer_config": FILLED,
        }
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


def production_profile() -> Path:
    """The production profile as a file; with random weights where TRIAGE_MODEL_DIR holds none."""
    if weights := real_weights().get("awq"):
        is_hopper = this_machine().capability in HOPPER  # builds say FP16, which it does not take
        name = PRODUCTION_ON_HOPPER if is_hopper else PRODUCTION
        return changed_profile(name, model=str(weights))
    folder = without_weights(NEMO, known_shapes()["nemo-12b"], "awq")
    return changed_profile(PRODUCTION, model=str(folder), load_format="dummy")


def changed_profile(name: str, **words: str) -> Path:
    """A published profile as a file, with other words for some of its keys."""
    text = (DIRECTORY / f"{name}.toml").read_text("utf-8")
    for key, word in words.items():
        others = re.sub(rf"^{key} = .*\n", "", text, count=1, flags=re.MULTILINE)
        text = f"{key} = {json.dumps(word)}\n{others}"
    path = kept(name) / f"{name}.toml"
    path.write_text(text, "utf-8")
    return path


def without_weights(name: str, shape: Shape, precision: str) -> Path:
    """The folder of a model that has Nemo's tokenizer and a configuration, and no weights."""
    folder = kept(f"{name}-{precision}")
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(config(shape, precision)))
    return folder


def kept(name: str) -> Path:
    """The same folder each time: vLLM keeps what it has compiled by the model's path."""
    folder = load_settings().data_dir / "bench" / name.lower().replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def real_weights() -> dict[str, Path]:
    """What TRIAGE_MODEL_DIR holds, by its precision: weights in 16 bits become FP8 when loaded.

    Raises:
        SettingsError: there is none, or it is another model than Mistral Nemo 12B.
    """
    if not (said := os.environ.get("TRIAGE_MODEL_DIR")):
        return {}
    folder = Path(said)
    if not (folder / "config.json").is_file():
        raise SettingsError(f"TRIAGE_MODEL_DIR: {folder} has no config.json: name {NEMO}'s folder")
    config = read_config(folder / "config.json")
    if not Shape.of(config, name=str(folder)).is_like(known_shapes()["nemo-12b"]):
        raise SettingsError(f"TRIAGE_MODEL_DIR: {folder} is not {NEMO}: name its folder, or none")
    return {precision_of(config) or Precision.FP8: folder}


def config(shape: Shape, precision: str) -> dict[str, Any]:
    """A `config.json` of Mistral's family with these sizes."""
    sizes = asdict(shape)
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "num_hidden_layers": sizes["layers"],
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["intermediate"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["kv_heads"],
        "head_dim": sizes["head_dim"],
        "vocab_size": sizes["vocabulary"],
        "tie_word_embeddings": sizes["tied"],
        "max_position_embeddings": WHOLE_CONTEXT,
        "rope_theta": sizes["rope_base"],
        "sliding_window": None,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "torch_dtype": "bfloat16",
        **({"quantization_config": AWQ} if precision == "awq" else {}),
    }


def model_under_test() -> Model:
    if not NVIDIA_DRIVER.exists():
        shape = Shape.of_config(REPOSITORY / "models/demo/config.json")
        return Model(
            name="demonstration model",
            label=f"The demonstration model's shape ({shape.parameters / 1e6:.1f} M parameters) "
            "with random weights, on the CPU with one thread.",
            shape=shape,
            device="cpu",
            precisions=("fp16", "awq"),
            contexts=(4 * KILO, 32 * KILO, 128 * KILO),
            cache="fp16",
        )  # fmt: skip
    real, precisions = real_weights(), ("awq", "fp8")
    return Model(
        name=NEMO,
        label=f"{NEMO}: {', '.join(f'{one} with {whose(one, real)}' for one in precisions)}.",
        shape=known_shapes()["nemo-12b"],
        device="cuda",
        precisions=precisions,
        contexts=(4 * KILO, 32 * KILO, 128 * KILO),
        cache="fp8",
        weights=real,
    )


def whose(precision: str, real: Mapping[str, Path]) -> str:
    return "its own weights" if precision in real else "random weights"
