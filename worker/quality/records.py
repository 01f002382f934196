"""Results of quality gates, on file: which build was found as good as which other, on what."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from worker.errors import SettingsError
from worker.quality.gate import Comparison, Verdict

SHORT = 16


class GateRecord(BaseModel):
    """One gate. `build` is `Checkpoint.build` of the candidate, `cases` the SHA-256 of the file;
    `margin` is how much worse it might be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    build: str
    candidate: str
    reference: str
    engine_version: str
    cases_file: str
    cases: str
    margin: float
    comparison: Comparison
    at: datetime

    @property
    def has_passed(self) -> bool:
        return self.comparison.verdict is Verdict.PASSED

    @property
    def has_failed(self) -> bool:
        return self.comparison.verdict is Verdict.FAILED

    def write(self, folder: Path) -> Path:
        """Keep it: a later gate of the same build, reference, cases and margin takes its place."""
        folder.mkdir(parents=True, exist_ok=True)
        how = hashlib.sha256(f"{self.reference} {self.cases} {self.margin}".encode()).hexdigest()
        path = folder / f"{self.build[:SHORT]}-{how[:SHORT]}.json"
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read_all(cls, folder: Path, build: str) -> list[Self]:
        """Every gate of exactly this build.

        Raises:
            SettingsError: one of them cannot be read.
        """
        found = []
        for path in sorted(folder.glob(f"{build[:SHORT]}-*.json")):
            try:
                found.append(cls.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                raise SettingsError(f"{path} is no result of a gate: {error}") from error
        return [one for one in found if one.build == build]
