"""Engine profiles: which model runs how. One TOML file each, checked when read."""

import tomllib
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from worker.engine.memory import Plan, Precision
from worker.engine.shape import Shape, known_shapes
from worker.errors import SettingsError

DIRECTORY = Path(__file__).parent
REPOSITORY = DIRECTORY.parent.parent.parent
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


PLACES = ("{instruction}", "{ticket}")
"""What a prompt's shape says where the texts go."""


class Sampling(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(ge=0, le=2)
    seed: int


class Size(BaseModel):
    """What the profile is made for: a model of `engine/models.toml`, and the least card for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    precision: Precision
    card_gb: float = Field(gt=0)

    @field_validator("model")
    @classmethod
    def is_known(cls, model: str) -> str:
        if model not in known_shapes():
            raise ValueError(f"no model of that name: it is one of {', '.join(known_shapes())}")
        return model


class Profile(BaseModel):
    """One way to run a model. Fields carry vLLM's names where they are vLLM's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str = Field(min_length=1)
    revision: str | None = None
    quantization: str | None = Field(
        None, min_length=1, description="vLLM's name for how weights are kept; None: 16 bits."
    )
    kv_cache_dtype: str
    dtype: str
    max_model_len: int = Field(ge=512)
    max_num_seqs: int = Field(ge=1)
    memory_share: float = Field(gt=0, le=1)
    enable_prefix_caching: bool
    block_size: int | None = Field(None, description="KV cache block in tokens; None: vLLM's own.")
    enable_chunked_prefill: bool
    enforce_eager: bool
    prompt_version: str
    prompt_shape: str = Field(description="What the model's own chat template writes.")
    size: Size | None = Field(None, description="For the memory it takes; None where any has it.")
    sampling: Sampling
    load_format: str | None = Field(None, description="`dummy`: random weights, for a measurement.")
    attention_backend: str | None = Field(
        None, description="vLLM's name for it; None: what is right for the card."
    )
    environment: dict[str, str] = Field(default_factory=dict)

    @field_validator("prompt_shape")
    @classmethod
    def has_places(cls, shape: str) -> str:
        if missing := [one for one in PLACES if one not in shape]:
            raise ValueError(f"it has no {' and no '.join(missing)}")
        return shape

    @property
    def kept_as(self) -> str | None:
        """How the weights are kept, whatever kernel reads them: `awq`, `fp8`; None: in 16 bits."""
        return self.quantization and self.quantization.removesuffix("_marlin")

    @property
    def plan(self) -> Plan | None:
        """The memory it takes on the least card for it; None where that does not matter."""
        if self.size is None:
            return None
        shape = known_shapes()[self.size.model]
        return self.planned(shape, self.size.precision, self.size.card_gb)

    def planned(self, shape: Shape, precision: Precision, card_gb: float) -> Plan:
        """The memory that a model of this shape takes of such a card."""
        return Plan(
            shape=shape,
            precision=precision,
            cache="fp8" if self.kv_cache_dtype.startswith("fp8") else "fp16",
            context=self.max_model_len,
            sequences=self.max_num_seqs,
            card_gb=card_gb,
            share=self.memory_share,
        )

    @property
    def model_path(self) -> str:
        """A directory of this repository if there is one of that name, else a hub's name."""
        local = REPOSITORY / self.model
        return str(local) if local.is_dir() else self.model


KEYS = [key for part in (Profile, Size, Sampling) for key in part.model_fields]


def load_profile(name: str) -> Profile:
    """Read the profile of this name, or the file if it ends in `.toml`; `auto` takes what the
    machine can run.

    Raises:
        SettingsError: there is no such profile, or its file makes no sense.
    """
    if name == "auto":
        name = "nemo-awq-32k" if NVIDIA_DRIVER.exists() else "demo"
    path = Path(name) if name.endswith(".toml") else DIRECTORY / f"{name}.toml"
    if not path.is_file():
        raise SettingsError(
            f"TRIAGE_PROFILE: there is no profile {name!r}; name a file that ends in .toml, or one "
            f"of {', '.join(profile_names())}"
        )
    try:
        return Profile.model_validate({"name": path.stem, **tomllib.loads(path.read_text("utf-8"))})
    except ValidationError as error:
        raise SettingsError(f"{path}: {'; '.join(mistakes(error))}") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error


def mistakes(error: ValidationError) -> list[str]:
    """What is wrong in a profile's file: keys that there are not first, as one may be misspelt."""
    unknown, other = list[str](), list[str]()
    for one in error.errors(include_url=False):
        place = ".".join(map(str, one["loc"]))
        if one["type"] != "extra_forbidden":
            other.append(f"{place}: {one['msg']}")
            continue
        known = get_close_matches(str(one["loc"][-1]), KEYS, n=1)
        meant = f" (did you mean {known[0]}?)" if known else ""
        unknown.append(f"{place}: there is no such key{meant}")
    return unknown + other


def profile_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))
