"""All settings: read once from the environment (prefix `TRIAGE_`), checked, then passed along."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas import taxonomy
from worker.errors import SettingsError
from worker.queues import QUEUES

Secret = Annotated[SecretStr, Field(min_length=8)]
"""An empty or guessed one would let anybody sign."""


class HelpdeskApi(BaseModel):
    """One source's API. docs/write-back.md says what each helpdesk needs.

    With `write_back` replies go back as drafts or internal notes; with `public` as well, and
    `allow_public_replies`, to the customer. `fields` says into which custom field a label goes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern="^https?://.+")
    token: SecretStr
    user: str = ""
    account: str = ""
    channel: str = ""
    fields: dict[str, str] = Field(default_factory=dict)
    write_back: bool = False
    public: bool = False


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
    api_token: SecretStr | None = Field(
        None, min_length=16, description="Bearer token for the gateway's /api; without one it is "
        "closed.",
    )  # fmt: skip
    ops_password: SecretStr | None = Field(
        None, min_length=8, description="Password of the gateway's /ops page (any user name: it is "
        "the one that corrections are signed with). Without one, or an API token, nobody sees it; "
        "`triage up` makes one.",
    )  # fmt: skip
    webhook_secrets: dict[str, Secret] = Field(
        default_factory=dict,
        description="Signing secret of each source, at least 8 characters, e.g. "
        "TRIAGE_WEBHOOK_SECRETS__ZENDESK=…. A source without a secret is refused.",
    )

    webhook_secrets_before: dict[str, Secret] = Field(
        default_factory=dict,
        description="The secret that a source had before, accepted as well while it is rotated.",
    )
    desks: Path | None = Field(
        None,
        description="Several desks on one service (TOML, docs/webhooks.md): webhooks of a desk go "
        "to /webhooks/{source}/{desk}, signed with TRIAGE_WEBHOOK_SECRETS__{SOURCE}_{DESK}.",
    )

    helpdesks: dict[str, HelpdeskApi] = Field(
        default_factory=dict,
        description="The API of a source, for writing back and for `triage reconcile`: "
        "TRIAGE_HELPDESKS__ZENDESK__URL, __TOKEN, __USER … (docs/write-back.md). Replies go back "
        "only where TRIAGE_HELPDESKS__ZENDESK__WRITE_BACK=true.",
    )
    allow_public_replies: bool = Field(
        False, description="The second of two settings without which nothing is ever posted in "
        "public; the first is TRIAGE_HELPDESKS__{SOURCE}__PUBLIC.",
    )  # fmt: skip

    profile: str = Field(
        "auto",
        description="Engine profile: a name from `worker/engine/profiles/`, a file of your own "
        "that ends in .toml, `auto` (nemo-awq-32k with an NVIDIA GPU, else demo), or `scripted` "
        "(tests, no model).",
    )
    servers: str = Field(
        "", pattern="^(https?://[^,]+(,https?://[^,]+)*)?$", description="Endpoints of `vllm "
        "serve`, with commas, that run the profile's model (docs/profiles.md); the worker then has "
        "no engine of its own. Empty: the engine runs in the worker.",
    )  # fmt: skip
    servers_key: SecretStr | None = Field(
        None, description="The `--api-key` that they were started with; none: they want none."
    )
    gates: Path = Field(
        Path("var/gates"),
        description="Where `triage quality gate` keeps its results, for `triage doctor --profile`.",
    )
    scripted_latency_s: float = Field(
        0.0, ge=0, description="Seconds the `scripted` engine takes for a ticket."
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
    thresholds: Path | None = Field(
        None,
        description="Thresholds of confidence for each label field (TOML), as `triage quality "
        "calibrate` writes them; instead of the two settings below.",
    )
    suggest_confidence: float = Field(
        0.5, ge=0, le=1, description="Below this in any label field a person decides."
    )
    auto_confidence: float = Field(
        0.9, ge=0, le=1, description="From this on in every label field nobody has to look."
    )

    engine_restarts: int = Field(
        5, ge=0, le=100, description="Times in a row a dead engine is started again before the "
        "worker ends; servers it waits for without end.",
    )  # fmt: skip

    queues: str = Field(
        "triage.live,triage.bulk,triage.replay",
        description=f"The queues a worker serves; of {', '.join(QUEUES)}.",
    )
    lease_s: float = Field(
        10.0, ge=2, le=3600, description="Seconds after which the sweep takes a ticket back whose "
        "worker is dead; a living one renews its leases four times as often.",
    )  # fmt: skip
    max_attempts: int = Field(
        4, ge=1, le=100, description="Failed attempts on a ticket before a person gets it."
    )
    max_repairs: int = Field(
        1, ge=0, le=1, description="Times an answer that failed a check is asked for again, with "
        "the fault named, before a person gets it; where the prompt version knows how.",
    )  # fmt: skip
    max_crashes: int = Field(
        3, ge=2, le=100, description="Times an engine or worker may die over a ticket before a "
        "person gets it.",
    )  # fmt: skip
    drain_s: float = Field(
        25.0, ge=0, description="Seconds a worker that is told to stop may take to finish what "
        "it is working on; the rest is given back.",
    )  # fmt: skip
    pause_bulk_after_s: float = Field(
        120.0, gt=0, description="Bulk and replay tickets wait while the oldest live ticket has "
        "waited longer than this many seconds.",
    )  # fmt: skip
    backoff_base_s: float = Field(
        5.0, gt=0, description="Upper bound of the first retry's delay in seconds; doubles."
    )
    backoff_cap_s: float = Field(
        600.0, gt=0, description="Upper bound of any retry's delay in seconds."
    )
    sweep_interval_s: float = Field(
        5.0, gt=0, description="Seconds between two sweeps for forgotten tickets."
    )
    ready_file: Path = Field(
        Path("var/run/worker.ready"),
        description="Exists while the worker takes tickets: for a container's health check.",
    )
    alive_file: Path | None = Field(
        None, description="`triage sweep` and `triage writeback run` touch it in every round: for "
        "a liveness probe. None: they touch nothing.",
    )  # fmt: skip
    metrics_host: str = Field(
        "127.0.0.1", description="Address on which a worker answers /metrics for Prometheus."
    )
    metrics_port: int = Field(
        9464, ge=0, le=65535, description="Port of a worker's /metrics; 0: none. (The gateway "
        "answers /metrics on its own port, to whom it lets in at /ops.)",
    )  # fmt: skip
    writeback_metrics_port: int = Field(
        9465, ge=0, le=65535, description="The same of `triage writeback run`."
    )
    otlp_endpoint: str = Field(
        "", pattern="^(https?://.+)?$", description="Where OpenTelemetry traces are sent (OTLP "
        "over HTTP), e.g. http://collector:4318. Empty: there are none.",
    )  # fmt: skip
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
    queues = settings.queues.split(",")
    if not set(queues) <= set(QUEUES) or len(set(queues)) < len(queues):
        raise SettingsError(
            f"TRIAGE_QUEUES is {settings.queues!r} but must list some of {', '.join(QUEUES)}, each "
            "once, with commas"
        )
    if settings.backoff_base_s > settings.backoff_cap_s:
        raise SettingsError(
            f"TRIAGE_BACKOFF_BASE_S is {settings.backoff_base_s:g} but must not be above "
            f"TRIAGE_BACKOFF_CAP_S ({settings.backoff_cap_s:g})"
        )
    for name, how in settings.helpdesks.items():
        if how.public and not settings.allow_public_replies:
            raise SettingsError(
                f"TRIAGE_HELPDESKS__{name.upper()}__PUBLIC would send replies to customers "
                "unseen: if that is meant, set TRIAGE_ALLOW_PUBLIC_REPLIES=true as well"
            )
    if settings.suggest_confidence >= settings.auto_confidence:
        raise SettingsError(
            f"TRIAGE_SUGGEST_CONFIDENCE is {settings.suggest_confidence:g} but must be below "
            f"TRIAGE_AUTO_CONFIDENCE ({settings.auto_confidence:g})"
        )
