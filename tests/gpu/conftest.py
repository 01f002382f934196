"""The production profile, with random weights where TRIAGE_MODEL_DIR holds none."""

from pathlib import Path

import pytest

from bench.models import production_profile
from worker.engine.profiles import NVIDIA_DRIVER


@pytest.fixture(scope="session")
def card() -> None:
    if not NVIDIA_DRIVER.exists():
        pytest.fail("there is no NVIDIA GPU here: run this where there is one")


@pytest.fixture(scope="session")
def profile_file(card: None) -> Path:
    return production_profile()
