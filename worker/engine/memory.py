"""What a model takes of a card: weights, KV cache, activations, overhead. Arithmetic, no GPU.

Gigabytes are 10⁹ bytes, as in the cards' and the models' data sheets.
"""

import json
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from worker.errors import SettingsError

GB = 1e9
ACTIVATIONS_GB = 1.0
"""Activations and workspace at the batches that fit such cards (published for Nemo 12B)."""
OVERHEAD_GB = 0.7
"""CUDA's context and the runtime."""


class Precision(StrEnum):
    """How weights are kept. AWQ INT4 takes 4.59 bits a parameter: 7.0 GB for Nemo's 12.2 billion
    as published; `packed` counts what a build is loaded with.
    """

    FP16 = "fp16"
    FP8 = "fp8"
    AWQ = "awq"

    @property
    def bytes(self) -> float:
        """Bytes a parameter, as published: of the whole model."""
        return {"fp16": 2.0, "fp8": 1.0, "awq": 7.0 / 12.2}[self.value]

    @property
    def packed(self) -> float:
        """Bytes of a parameter that is quantized. AWQ keeps a scale of 16 bits and a zero of 4 for
        each 128 of 4 bits.
        """
        return {"fp16": 2.0, "fp8": 1.0, "awq": (4 + 20 / 128) / 8}[self.value]


KV_BYTES = {"fp16": 2, "fp8": 1}
OF_OTHER_FAMILIES = ("num_local_experts", "num_experts", "n_routed_experts", "kv_lora_rank")
"""In the config.json of models with experts, or with a cache of another kind."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model that decide what it takes."""

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    max_context: int
    rope_base: float = 10_000.0
    tekken: bool = False

    @classmethod
    def of_config(cls, path: Path) -> Self:
        """Read a `config.json` of the Llama family (Mistral, Llama, Phi-3, Qwen 2.5).

        Raises:
            SettingsError: it cannot be read, or lacks a size.
        """
        try:
            config = read_config(path)
            heads = int(config["num_attention_heads"])
            return cls(
                name=str(path.parent.name or path),
                layers=int(config["num_hidden_layers"]),
                hidden=int(config["hidden_size"]),
                intermediate=int(config["intermediate_size"]),
                heads=heads,
                kv_heads=int(config.get("num_key_value_heads") or heads),
                head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
                vocabulary=int(config["vocab_size"]),
                tied=bool(config.get("tie_word_embeddings", False)),
                max_context=int(config["max_position_embeddings"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"{path}: not the config.json of such a model: {error}") from error

    @property
    def embeddings(self) -> int:
        """Parameters of the embeddings and the head, which are one where they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """How many parameters there are."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        feed_forward = 3 * self.hidden * self.intermediate
        layer = attention + feed_forward + 2 * self.hidden
        return self.embeddings + self.layers * layer + self.hidden

    def kv_bytes(self, cache: str) -> int:
        """Bytes of KV cache for one token; `cache` is fp16 or fp8."""
        return 2 * self.layers * self.kv_heads * self.head_dim * KV_BYTES[cache]


def read_config(path: Path) -> dict[str, Any]:
    """
    Raises:
        OSError: there is no such file.
        ValueError: it is no JSON, or the model's parameters are not those of a `Shape`.
    """
    config: dict[str, Any] = json.loads(path.read_text())
    for name in OF_OTHER_FAMILIES:
        if config.get(name):
            raise ValueError(f"{name} is set: such models are not counted here")
    return config


@dataclass(frozen=True, slots=True)
class Plan:
    """What a model takes of a card of `card_gb` gigabytes, of which vLLM may use `share`."""

    shape: Shape
    precision: Precision
    cache: str
    context: int
    sequences: int
    card_gb: float
    share: float

    @property
    def weights_gb(self) -> float:
        return self.shape.parameters * self.precision.bytes / GB

    @property
    def kv_gb(self) -> float:
        """The KV cache of one sequence as long as the context."""
        return self.context * self.shape.kv_bytes(self.cache) / GB

    @property
    def total_gb(self) -> float:
        """With one sequence of the whole context, by the published weights."""
        return self.weights_gb + self.kv_gb + ACTIVATIONS_GB + OVERHEAD_GB

    @property
    def loaded_gb(self) -> float:
        """The same with the weights of a build as it is loaded: embeddings and head stay in 16
        bits. The least with which the engine starts.
        """
        return self.total_gb + self._kept_gb

    @property
    def usable_gb(self) -> float:
        return self.card_gb * self.share

    @property
    def fits(self) -> bool:
        return self.loaded_gb <= self.usable_gb

    @property
    def kv_tokens(self) -> int:
        """Tokens of KV cache that the card has room for, shared by all sequences."""
        left_gb = self.usable_gb - (self.loaded_gb - self.kv_gb)
        return max(0, int(left_gb * GB / self.shape.kv_bytes(self.cache)))

    @property
    def _kept_gb(self) -> float:
        quantized = self.shape.parameters - self.shape.embeddings
        loaded_gb = (2 * self.shape.embeddings + self.precision.packed * quantized) / GB
        return max(0.0, loaded_gb - self.weights_gb)

    @property
    def tokens_each(self) -> int:
        """Tokens for each of `sequences` that run at once."""
        return self.kv_tokens // self.sequences


def known_shapes() -> dict[str, Shape]:
    """The models that `triage plan` knows by name."""
    found = tomllib.loads(files("worker.engine").joinpath("models.toml").read_text("utf-8"))
    return {name: Shape(name=name, **sizes) for name, sizes in found.items()}


def shape_of(model: str) -> Shape:
    """A known model, or the one whose `config.json` this is (or the folder it is in).

    Raises:
        SettingsError: it is neither.
    """
    known = known_shapes()
    if model in known:
        return known[model]
    path = Path(model)
    if path.is_dir():
        path /= "config.json"
    if not path.is_file():
        raise SettingsError(
            f"{model} is no known model ({', '.join(known)}) and no config.json: name one of them"
        )
    return Shape.of_config(path)
