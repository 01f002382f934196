"""The sizes of a model that decide what it takes: by name, or from its own `config.json`."""

import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from worker.errors import SettingsError

KV_BYTES = {"fp16": 2, "fp8": 1}
FAMILIES = ("llama", "mistral", "phi3", "qwen2")
"""The `model_type`s whose parameters are those of a `Shape`."""
OF_OTHER_FAMILIES = ("num_local_experts", "num_experts", "n_routed_experts", "kv_lora_rank")
"""In the config.json of models with experts, or with a cache of another kind."""


NO_LIMIT = sys.maxsize


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model that decide what it takes; `max_context` is NO_LIMIT if none is told."""

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
        return cls.of(read_config(path), name=str(path.parent.name or path))

    @classmethod
    def of(cls, config: Mapping[str, Any], *, name: str) -> Self:
        """
        Raises:
            SettingsError: it lacks a size, or is of a family that is counted otherwise.
        """
        try:
            refuse_other_families(config)
            hidden, heads = size(config, "hidden_size"), size(config, "num_attention_heads")
            return cls(
                name=name,
                layers=size(config, "num_hidden_layers"),
                hidden=hidden,
                intermediate=size(config, "intermediate_size"),
                heads=heads,
                kv_heads=size(config, "num_key_value_heads", heads),
                head_dim=size(config, "head_dim", hidden // heads),
                vocabulary=size(config, "vocab_size"),
                tied=bool(config.get("tie_word_embeddings", False)),
                max_context=size(config, "max_position_embeddings", NO_LIMIT),
            )
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise SettingsError(f"{name}: not the config.json of such a model: {error}") from error

    def is_like(self, other: "Shape") -> bool:
        """Whether both have the same parameters, whatever they are called."""
        alike = {"name", "max_context", "rope_base", "tekken"}
        return self == replace(other, **{field: getattr(self, field) for field in alike})

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
    return known[model] if model in known else Shape.of_config(config_path(model))


def config_path(model: str) -> Path:
    """
    Raises:
        SettingsError: there is none.
    """
    path = Path(model)
    if path.is_dir():
        path /= "config.json"
    if not path.is_file():
        raise SettingsError(
            f"{model} is no known model ({', '.join(known_shapes())}) and no config.json: name one "
            "of them"
        )
    return path


def read_config(path: Path) -> dict[str, Any]:
    """
    Raises:
        SettingsError: there is no such file, or it is no JSON object.
    """
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} cannot be read ({error}): take it from the model's own repository"
        ) from error
    if not isinstance(config, dict):
        raise SettingsError(f"{path}: not the config.json of a model, but JSON of another kind")
    return config


def refuse_other_families(config: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: the model's parameters are not those of a `Shape`.
    """
    for name in OF_OTHER_FAMILIES:
        if config.get(name):
            raise ValueError(f"{name} is set: such models are not counted here")
    family = config.get("model_type", FAMILIES[0])
    if family not in FAMILIES:
        raise ValueError(f"model_type is {family}: only {', '.join(FAMILIES)} are counted here")


def size(config: Mapping[str, Any], name: str, otherwise: int | None = None) -> int:
    """
    Raises:
        KeyError, TypeError, ValueError: it is not there, or no size.
    """
    found = int(config[name] if otherwise is None else config.get(name) or otherwise)
    if found < 1:
        raise ValueError(f"{name} is {found}")
    return found
