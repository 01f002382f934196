"""Language detection against bare langdetect and lingua, on real texts of the five languages.

LANGID_DATA names a folder with the files `tatoeba.jsonl` and `lingua_words_pairs_sentences.jsonl`,
each line with `text`, `lang` and (in the second) `kind`.
"""

import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import langdetect
from langdetect.detector_factory import DetectorFactory
from langdetect.lang_detect_exception import LangDetectException
from lingua import Language, LanguageDetectorBuilder

from bench.report import write_table
from worker.triage.language import NAMES, LanguageDetector

KINDS = ("sentences", "Tatoeba", "word pairs", "single words")
Detect = Callable[[str], str | None]


def measure(_rounds: int) -> None:
    folder = os.environ.get("LANGID_DATA")
    if not folder:
        print("language: LANGID_DATA is not set, left out", flush=True)
        return
    texts = read(Path(folder))
    detectors = {"langdetect": bare_langdetect(), "lingua": lingua_of_five(), "ours": ours()}
    rows = []
    for kind in KINDS:
        for code in NAMES:
            cell = texts[kind, code]
            shares = {
                name: sum(detect(text) == code for text in cell) / len(cell)
                for name, detect in detectors.items()
            }
            figures = " | ".join(f"{shares[name]:.3f}" for name in detectors)
            rows.append(f"| {kind} | {code} | {len(cell)} | {figures} |")
    cost_ms = statistics.median(milliseconds(detectors["ours"], texts))
    write_table(
        "Language detection",
        text=f"Share of texts whose language is told rightly; bare langdetect (seeded), lingua "
        f"built for the five languages, and ours. Ours costs {cost_ms:.2f} ms a text (median).",
        head="| text | language | texts | langdetect | lingua | ours |",
        rows=rows,
    )


def read(folder: Path) -> dict[tuple[str, str], list[str]]:
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in (folder / "tatoeba.jsonl").read_text().strip().split("\n"):
        one = json.loads(line)
        texts["Tatoeba", one["lang"]].append(one["text"])
    names = {"sentences": "sentences", "word-pairs": "word pairs", "single-words": "single words"}
    for line in (folder / "lingua_words_pairs_sentences.jsonl").read_text().strip().split("\n"):
        one = json.loads(line)
        texts[names[one["kind"]], one["lang"]].append(one["text"])
    return texts


def bare_langdetect() -> Detect:
    factory = DetectorFactory()
    factory.load_profile(str(Path(langdetect.__file__).parent / "profiles"))
    factory.set_seed(0)

    def detect(text: str) -> str | None:
        detector = factory.create()
        detector.append(text)
        try:
            return str(detector.detect())[:2]
        except LangDetectException:
            return None

    return detect


def lingua_of_five() -> Detect:
    codes = {
        Language.GERMAN: "de", Language.FRENCH: "fr", Language.JAPANESE: "ja",
        Language.CHINESE: "zh", Language.ENGLISH: "en",
    }  # fmt: skip
    detector = LanguageDetectorBuilder.from_languages(*codes).build()

    def detect(text: str) -> str | None:
        found = detector.detect_language_of(text)
        return codes[found] if found else None

    return detect


def ours() -> Detect:
    detector = LanguageDetector()
    return lambda text: detector.detect(text).code


def milliseconds(detect: Detect, texts: dict[tuple[str, str], list[str]]) -> list[float]:
    times = []
    for cell in texts.values():
        for text in cell:
            started = time.perf_counter()
            detect(text)
            times.append(1000 * (time.perf_counter() - started))
    return times
