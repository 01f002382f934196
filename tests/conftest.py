"""What every test may use. The folder of a test says what it needs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.taxonomy import Taxonomy, load_taxonomy
from schemas.thresholds import Thresholds
from worker.embedded import EmbeddedPostgres
from worker.engine.grammar import reply_grammar
from worker.triage import prompts
from worker.triage.desk import Desk
from worker.triage.language import LanguageDetector

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see neither the developer's TRIAGE_ variables nor a .env file."""
    for name in list(os.environ):
        if name.startswith("TRIAGE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def detector() -> LanguageDetector:
    return LanguageDetector()


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="session")
def desk(taxonomy: Taxonomy, detector: LanguageDetector) -> Desk:
    return Desk(
        taxonomy=taxonomy,
        language="en",
        prompt_version="demo-1",
        instruction=prompts.instruction("demo-1", taxonomy, "en"),
        grammar=reply_grammar(taxonomy),
        temperature=0.0,
        seed=0,
        thresholds=Thresholds.same(suggest=0.5, auto=0.9),
        deadline_s=5.0,
        detector=detector,
    )


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres of the tests' own, empty; stopped at the end."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    yield server.url
    server.stop()
