"""The composition root: settings in, wired parts out."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

from schemas.taxonomy import Taxonomy, load_taxonomy
from worker import database
from worker.database import Sessions
from worker.dispatch.celery_app import make_app
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.engine.contract import Engine
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.engine.scripted import ScriptedEngine, first_labels
from worker.errors import SettingsError
from worker.settings import Settings
from worker.tickets.store import RetryPolicy
from worker.triage.confidence import Thresholds
from worker.triage.language import LanguageDetector
from worker.triage.pipeline import Desk
from worker.triage.prompts import available_versions

SCRIPTED = "scripted"


def open_database(settings: Settings, *, pool_size: int) -> Sessions:
    return database.sessions(database.connect(settings.database_url, pool_size=pool_size))


def make_publisher(settings: Settings, sessions: Sessions) -> Publisher:
    return Publisher(make_app(settings), sessions)


def make_desk(settings: Settings) -> Desk:
    """How this desk triages.

    Raises:
        SettingsError: the taxonomy cannot be read.
    """
    profile = load_profile("demo" if settings.profile == SCRIPTED else settings.profile)
    taxonomy = read_taxonomy(settings)
    assert profile.prompt_version in available_versions()
    return Desk(
        taxonomy=taxonomy,
        language=settings.desk_language,
        prompt_version=profile.prompt_version,
        grammar=reply_grammar(taxonomy),
        temperature=profile.sampling.temperature,
        seed=profile.sampling.seed,
        thresholds=Thresholds(settings.suggest_confidence, settings.auto_confidence),
        deadline_s=settings.deadline_s,
        detector=LanguageDetector(),
    )


def read_taxonomy(settings: Settings) -> Taxonomy:
    try:
        return load_taxonomy(settings.taxonomy)
    except (OSError, ValueError) as error:
        raise SettingsError(f"TRIAGE_TAXONOMY: {settings.taxonomy}: {error}") from error


def start_engine(settings: Settings) -> Engine:
    """Start the engine of the configured profile; returns when it can answer."""
    if settings.profile == SCRIPTED:
        return ScriptedEngine(first_labels(read_taxonomy(settings)))
    from worker.engine.vllm_engine import VllmEngine  # noqa: PLC0415  # only workers have vLLM

    return VllmEngine(load_profile(settings.profile))


def make_runtime(settings: Settings, engine: Engine, sessions: Sessions, publisher: Publisher,
                 desk: Desk) -> Runtime:  # fmt: skip
    return Runtime(
        sessions=sessions,
        publisher=publisher,
        engine=engine,
        desk=desk,
        worker=worker_name(),
        lease_s=settings.lease_s,
        retries=RetryPolicy(settings.max_attempts, settings.backoff_base_s, settings.backoff_cap_s),
    )


def worker_name() -> str:
    """Unique among running workers, and it says where to look: `worker-4711@host`."""
    return f"worker-{os.getpid()}@{socket.gethostname()}"


def stop_on_eof() -> None:
    """Stop this process, as by SIGTERM, when standard input ends: when its supervisor is gone."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stop-on-eof", daemon=True).start()


def until_signalled() -> Callable[[float], bool]:
    """A function that waits so many seconds and says whether SIGTERM or SIGINT has come."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped.wait
