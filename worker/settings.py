"""All settings: read once from the environment (prefix `TRIAGE_`), checked, then passed along."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas import taxonomy
from worker.errors import SettingsError


class Settings(BaseSettings):
    """One field per setting; the description is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="TRIAGE_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
    )

    data_dir: Path = Field(
        Path("var"), description="Where the embedded stack keeps its data, sockets and logs."
    )
    database_url: str = Field(
        "",
        description="Postgres as an SQLAlchemy URL, postgresql+psycopg://user:password@host/name. "
        "Empty: `triage up` and `triage demo` start an embedded Postgres.",
    )
    broker_url: str = Field(
        "",
        description="The Celery broker, amqp://… or redis://…. "
        "Empty: `triage up` and `triage demo` start an embedded Redis.",
    )

    gateway_host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port the gateway listens on.")
    max_body_bytes: int = Field(
        1_048_576, ge=1024, description="Webhook bodies larger than this are refused with 413."
    )
    webhook_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Signing secret of each source, e.g. TRIAGE_WEBHOOK_SECRETS__ZENDESK=…. "
        "A source without a secret is refused.",
    )

    profile: str = Field(
        "auto",
        description="Engine profile: a name from `worker/engine/profiles/`, or `auto` "
        "(nemo-awq-32k with an NVIDIA GPU, else demo), or `scripted` (tests, no model).",
    )
    in_flight: int = Field(
        16, ge=1, le=256, description="Tickets a worker triages at once; they share one batch."
    )
    deadline_s: float = Field(
        120.0, gt=0, description="Seconds one ticket may spend in the engine, waiting included."
    )

    taxonomy: Path = Field(taxonomy.DEFAULT, description="The taxonomy file (TOML).")
    desk_language: str = Field(
        "en", pattern="^(de|en|fr|ja|zh)$", description="Language of the summaries."
    )
    suggest_confidence: float = Field(
        0.5, ge=0, le=1, description="Below this in any label field a person decides."
    )
    auto_confidence: float = Field(
        0.9, ge=0, le=1, description="From this on in every label field nobody has to look."
    )

    lease_s: float = Field(
        300.0, gt=0, description="Seconds a worker holds a ticket; then the sweep takes it back."
    )
    max_attempts: int = Field(
        4, ge=1, le=100, description="Attempts on a ticket before a person gets it."
    )
    backoff_base_s: float = Field(
        5.0, gt=0, description="Upper bound of the first retry's delay in seconds; doubles."
    )
    backoff_cap_s: float = Field(
        600.0, gt=0, description="Upper bound of any retry's delay in seconds."
    )
    sweep_interval_s: float = Field(
        30.0, gt=0, description="Seconds between two sweeps for forgotten tickets."
    )
    ready_file: Path = Field(
        Path("var/run/worker.ready"),
        description="Exists while the worker takes tickets: for a container's health check.",
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least log level written."
    )


def load_settings(**overrides: object) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a setting makes no sense; one line that names the variable.
    """
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "TRIAGE_" + "__".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}") from error
    refuse_contradictions(settings)
    return settings


def refuse_contradictions(settings: Settings) -> None:
    """Settings that are fine alone but make no sense together."""
    if settings.lease_s <= settings.deadline_s:
        raise SettingsError(
            f"TRIAGE_LEASE_S is {settings.lease_s:g} but must be above "
            f"TRIAGE_DEADLINE_S ({settings.deadline_s:g}): a running ticket would be taken away"
        )
    if settings.suggest_confidence > settings.auto_confidence:
        raise SettingsError(
            f"TRIAGE_SUGGEST_CONFIDENCE is {settings.suggest_confidence:g} but must not be above "
            f"TRIAGE_AUTO_CONFIDENCE ({settings.auto_confidence:g})"
        )
