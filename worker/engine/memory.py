"""What a model takes of a card: weights, KV cache, activations, overhead. Arithmetic, no GPU.

Gigabytes are 10⁹ bytes, as in the cards' and the models' data sheets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from worker.engine.shape import Shape
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


def quant_method(config: Mapping[str, Any]) -> str | None:
    """The word for it in a `config.json`; None: it says nothing of it."""
    kept = config.get("quantization_config") or {}
    return kept.get("quant_method") if isinstance(kept, dict) else str(kept)


def precision_of(config: Mapping[str, Any]) -> Precision | None:
    """How a checkpoint's weights are kept, by its `config.json`; None: in 16 bits.

    Raises:
        SettingsError: in a way that is not counted here.
    """
    if not config.get("quantization_config"):
        return None
    method = quant_method(config)
    if method not in (Precision.AWQ, Precision.FP8):
        raise SettingsError(f"its weights are kept as {method}: name a --precision like it")
    return Precision(method)


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
