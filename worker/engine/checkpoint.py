"""A model's files on this machine: where they are, what they say, and which build they make."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from worker.engine.memory import quant_method
from worker.engine.profiles import Profile
from worker.engine.shape import read_config
from worker.errors import NotDownloaded, SettingsError

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
DECIDING = ("config.json", "tokenizer.json", *WEIGHTS)
"""The files that decide what a model writes."""
OURS = "models/"
"""Where this repository keeps models of its own: the hub is not asked for those."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The folder of a model, and its `config.json`."""

    folder: Path
    config: dict[str, Any]

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Find the profile's model: a folder, or what was downloaded from the hub before.

        Raises:
            NotDownloaded: the hub may have it, this machine has not.
            SettingsError: it names a folder that is not there, or has no `config.json`.
        """
        folder = Path(profile.model_path)
        if not folder.is_dir():
            folder = downloaded(profile)
        return cls(folder, read_config(folder / "config.json"))

    @classmethod
    def fetched(cls, profile: Profile) -> Self:
        """The same; of what is not on this machine the hub is asked for `config.json` alone.

        Raises:
            SettingsError: the hub does not give it, or it is wrong.
        """
        try:
            return cls.of(profile)
        except NotDownloaded:
            config = fetch_config(profile.model, profile.revision)
            return cls(config.parent, read_config(config))

    @property
    def rope_base(self) -> float | None:
        """The base of the rotary position embedding (`rope_theta`), wherever it is written."""
        for place in (self.config, self.config.get("rope_parameters") or {}):
            if place.get("rope_theta"):
                return float(place["rope_theta"])
        return None

    @property
    def context(self) -> int:
        """Tokens that the model was made for; 0 if it does not say."""
        return int(self.config.get("max_position_embeddings") or 0)

    @property
    def is_stretched(self) -> bool:
        """Whether its positions are scaled to a longer context than that."""
        scaling = self.config.get("rope_parameters") or self.config.get("rope_scaling") or {}
        return "factor" in scaling

    @property
    def window(self) -> int | None:
        """Tokens that a token looks back to; None: all (full attention)."""
        if self.config.get("use_sliding_window") is False:
            return None
        found = self.config.get("sliding_window")
        return int(found) if found else None

    @property
    def dtype(self) -> str | None:
        """What it calculates in where a profile's `dtype` is `auto`; None: it does not say."""
        return self.config.get("dtype") or self.config.get("torch_dtype")

    @property
    def quantization(self) -> str | None:
        """How its weights are kept (`awq`, …); None: in 16 bits."""
        return quant_method(self.config)

    def build(self, profile: Profile) -> str:
        """SHA-256 over what decides the answers: the files, and how the profile runs them.

        Reads all weights: seconds for each ten gigabytes.
        """
        digest = hashlib.sha256()
        for word in (profile.quantization or "", profile.kv_cache_dtype, profile.dtype):
            digest.update(word.encode() + b"\0")
        for path in self._deciding_files():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").digest()
            digest.update(path.name.encode() + b"\0" + found)
        return digest.hexdigest()

    def _deciding_files(self) -> Iterator[Path]:
        for pattern in DECIDING:
            yield from sorted(self.folder.glob(pattern))


def on_this_machine(profile: Profile) -> Profile:
    """The profile with its model's folder for the hub's name, if the whole model was downloaded: a
    start must not wait for a hub that is away.
    """
    try:
        folder = Checkpoint.of(profile).folder
    except NotDownloaded:
        return profile
    if not is_whole(folder):
        return profile
    return profile.model_copy(update={"model": str(folder), "revision": None})


def is_whole(folder: Path) -> bool:
    """Whether all weights are there, and the tokenizer, which is fetched before them."""
    shards = {
        name for index in folder.glob("*.index.json")
        for name in read_config(index).get("weight_map", {}).values()
    }  # fmt: skip
    needs_index = any("-of-" in path.name for pattern in WEIGHTS for path in folder.glob(pattern))
    return (
        (folder / "tokenizer.json").is_file()
        and all((folder / name).is_file() for name in shards)
        and (bool(shards) or not needs_index)
    )


def downloaded(profile: Profile) -> Path:
    """
    Raises:
        NotDownloaded: it was not.
        SettingsError: no model of the hub can have this name, or it is a folder's.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # only where models are
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    no_folder = SettingsError(
        f"there is no folder {profile.model}: put the model's files there, or name another "
        "folder, or a model of the hub, as `model` in the profile"
    )
    if profile.model.startswith(OURS):
        raise no_folder
    not_here = NotDownloaded(
        f"{profile.model} is not on this machine: `hf download {profile.model}` (a gated one "
        "wants HF_TOKEN), or name a folder as `model` in the profile"
    )
    try:
        folder = Path(
            snapshot_download(profile.model, revision=profile.revision, local_files_only=True)
        )
    except HFValidationError as error:
        raise no_folder from error
    except LocalEntryNotFoundError as error:
        raise not_here from error
    if not any(
        any(folder.glob(pattern)) for pattern in WEIGHTS
    ):  # its config.json alone was fetched
        raise not_here
    return folder


def fetch_config(model: str, revision: str | None) -> Path:
    """A model's `config.json` from the hub: small, and it says soon that there is no hub.

    Raises:
        SettingsError: the hub cannot be reached, or does not give it.
    """
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  # only where models are

    try:
        return Path(hf_hub_download(model, "config.json", revision=revision))
    except (OSError, ValueError) as error:
        raise no_model(model, error) from error


def no_model(model: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"there is no model {model} here, and the hub gives none ({type(error).__name__}): "
        f"`hf download {model}` where the hub can be reached, or name a folder as `model` in "
        "the profile"
    )
