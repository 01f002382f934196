"""Thresholds are a file, one pair for each label field; what is wrong is said with its line."""

from pathlib import Path

import pytest

from schemas.thresholds import Thresholds, load_thresholds, thresholds_text
from worker.cli.desks import read_thresholds
from worker.errors import SettingsError
from worker.settings import load_settings

GOOD = Thresholds.same(suggest=0.5, auto=0.9)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "thresholds.toml"


def test_what_is_written_is_read_again(file: Path) -> None:
    file.write_text(thresholds_text(GOOD))

    assert load_thresholds(file) == GOOD
    assert read_thresholds(load_settings(thresholds=file)) == GOOD


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[priority]\nsuggest = 0.5000",
            "[priority]\nsuggest = 0.9500",
            ":10: priority.suggest: suggest (0.95) must be below auto (0.9)",
        ),
        ("[type]\nsuggest = 0.5000", "[type]\nsuggest = 1.5", ":6: type.suggest: Input should be"),
        ("[sentiment]", "[mood]", "sentiment: Field required"),
        ("auto = 0.9000", "automatic = 0.9", ":1: category.auto: Field required"),
        ("[type]", "[type", ": "),
    ],
)
def test_a_mistake_is_refused_with_file_and_line(
    file: Path, old: str, new: str, message: str
) -> None:
    file.write_text(thresholds_text(GOOD).replace(old, new, 1))

    with pytest.raises(SettingsError, match="TRIAGE_THRESHOLDS") as error:
        read_thresholds(load_settings(thresholds=file))

    assert str(file) in str(error.value)
    assert message in str(error.value)
