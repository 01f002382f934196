"""langdetect, asked among the languages that are written in a text's script."""

import json
from collections import Counter
from pathlib import Path

import langdetect
from langdetect.detector import Detector
from langdetect.detector_factory import DetectorFactory
from langdetect.lang_detect_exception import LangDetectException

from worker.triage.scripts import script

PROFILES = Path(langdetect.__file__).parent / "profiles"
TRIALS = 3
"""How often the languages are weighed, each time by other pieces of the text; the mean counts.
langdetect's 7 tell all 10,757 texts of `bench language` the same language, in half as much again
of the time."""


class FirstOpinion:
    """What langdetect says. Loads all profiles once; the same text always gets the same answer."""

    def __init__(self) -> None:
        profiles: dict[bool, list[str]] = {True: [], False: []}
        for path in sorted(PROFILES.iterdir()):
            profile = path.read_text("utf-8")
            profiles[is_latin(profile)].append(profile)
        self._languages = {latin: factory(those) for latin, those in profiles.items()}

    def ask(self, text: str, *, is_latin: bool) -> tuple[str | None, float]:
        """The language of a text in Latin or in other letters, and its probability."""
        detector: Detector = self._languages[is_latin].create()
        detector.n_trial = TRIALS
        detector.append(text)
        try:
            best = detector.get_probabilities()
        except LangDetectException:  # nothing its profiles know: digits, links, addresses
            return None, 0.0
        return (best[0].lang[:2], best[0].prob) if best else (None, 0.0)


def factory(profiles: list[str]) -> DetectorFactory:
    made = DetectorFactory()
    made.load_json_profile(profiles)
    made.set_seed(0)
    return made


def is_latin(profile: str) -> bool:
    """Whether a language's profile has been made of Latin text mostly."""
    counts: Counter[str] = Counter()
    for piece, count in json.loads(profile)["freq"].items():
        counts[script(piece[0])] += count
    return counts.most_common(1)[0][0] == "LATIN"
