"""Which language a ticket is written in: script rules first, langdetect for what is left.

Kana means Japanese, Han without it Chinese unless Japanese-only forms or the requester's locale
say otherwise. Latin text goes to langdetect: longer text as an open question, which also finds
languages the desk does not serve; short or doubtful text held to German, French and English.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import langdetect
from langdetect.detector import Detector
from langdetect.detector_factory import DetectorFactory
from langdetect.lang_detect_exception import LangDetectException

NAMES = {"de": "German", "fr": "French", "ja": "Japanese", "zh": "Chinese", "en": "English"}
"""The languages a desk can serve, by ISO 639-1 code."""

LATIN = ("de", "fr", "en")
READ_CHARS = 1500
"""A language shows in the first characters; the rest of a long ticket costs time only."""

FOREIGN_SCRIPTS = ("HANGUL", "CYRILLIC", "ARABIC", "GREEK", "HEBREW", "THAI", "DEVANAGARI")
SCRIPTS = ("LATIN", "HIRAGANA", "KATAKANA", "CJK", *FOREIGN_SCRIPTS)
LETTERS_IN_ONE_IDEOGRAPH = 3
"""A Chinese or Japanese character says about as much as three Latin letters."""
KANA_SHARE = 0.1
"""Japanese has more kana than this among its characters; Chinese texts quote a word at most."""
JAPANESE_FORM_SHARE = 0.02
"""A Chinese text may quote one Japanese name; a Japanese one has its own forms throughout."""
HONG_KONG_FORMS = "裏銹"
"""Written so in Hong Kong too, though Big5 lacks them."""
JAPANESE_WORDS = re.compile("株式会社|御中|至急|見積|請求書|領収書|返品希望")
"""Business words that need no kana."""

CERTAIN_CHARS = 40
CERTAIN_PROBABILITY = 0.98
"""Shorter or less certain than this, a text must be one of the desk's own languages: langdetect
takes short German for Afrikaans, English for Danish. Of 3,800 German, French and English
sentences none from 40 letters on is taken for foreign (docs/decisions/language.md)."""
PRIOR_OF_LOCALE = 0.5


@dataclass(frozen=True, slots=True)
class Detected:
    """A text's language. `code` is ISO 639-1 (`zh` for all Chinese), None if there is none.

    `evidence` names the rule that decided; `probability` is 1 where a script decides.
    """

    code: str | None
    probability: float
    evidence: str

    @property
    def is_supported(self) -> bool:
        return self.code in NAMES


class LanguageDetector:
    """Detects languages. Loads langdetect's profiles once; safe to share between threads."""

    def __init__(self) -> None:
        self._factory = DetectorFactory()
        self._factory.load_profile(str(Path(langdetect.__file__).parent / "profiles"))
        self._factory.set_seed(0)

    def detect(self, text: str, *, locale: str | None = None) -> Detected:
        """The language of `text`; `locale` (such as `ja-JP`) decides what the text leaves open."""
        text = unicodedata.normalize("NFKC", text[:READ_CHARS])
        scripts = count_scripts(text)
        if not scripts:
            return Detected(None, 0.0, "no letters")
        spoken = locale.replace("_", "-").split("-")[0].lower() if locale else None
        kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
        ideographs = kana + scripts["CJK"]
        if ideographs * LETTERS_IN_ONE_IDEOGRAPH >= scripts["LATIN"] and ideographs >= max(
            scripts[name] for name in FOREIGN_SCRIPTS
        ):
            return east_asian(text, kana=kana, ideographs=ideographs, spoken=spoken)
        if scripts.most_common(1)[0][0] == "LATIN":
            return self._latin(text, letters=scripts["LATIN"], spoken=spoken)
        code, probability = self._ask(text)
        return Detected(code, probability, "script")

    def _latin(self, text: str, *, letters: int, spoken: str | None) -> Detected:
        if letters >= CERTAIN_CHARS:
            code, probability = self._ask(text)
            if probability >= CERTAIN_PROBABILITY:
                return Detected(code, probability, "langdetect")
        code, probability = self._ask(text, prior=prior_over_latin(spoken))
        if code is None:
            return Detected(None, 0.0, "no words")
        return Detected(code, probability, "langdetect restricted")

    def _ask(self, text: str, prior: dict[str, float] | None = None) -> tuple[str | None, float]:
        detector: Detector = self._factory.create()
        if prior:
            detector.set_prior_map(prior)
        detector.append(text)
        try:
            best = detector.get_probabilities()
        except LangDetectException:  # nothing its profiles know: digits, links, addresses
            return None, 0.0
        return (best[0].lang[:2], best[0].prob) if best else (None, 0.0)


def count_scripts(text: str) -> Counter[str]:
    """How many letters of each script the text has; other characters count for nothing."""
    return Counter(name for char in text if char.isalpha() and (name := script(char)) in SCRIPTS)


def script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]


def east_asian(text: str, *, kana: int, ideographs: int, spoken: str | None) -> Detected:
    if kana >= KANA_SHARE * ideographs:
        return Detected("ja", 1.0, "kana")
    if sum(map(is_japanese_form, text)) >= JAPANESE_FORM_SHARE * ideographs + 0.5:
        return Detected("ja", 1.0, "Japanese forms")
    if JAPANESE_WORDS.search(text):
        return Detected("ja", 1.0, "Japanese words")
    if spoken == "ja":
        return Detected("ja", 1.0, "locale")
    return Detected("zh", 1.0, "han")


@lru_cache(maxsize=8192)
def is_japanese_form(char: str) -> bool:
    """Whether a kanji is written so in Japan alone: its own standard has it, China's have not."""
    if char == "々":
        return True
    return (
        script(char) == "CJK"
        and char not in HONG_KONG_FORMS
        and is_encodable(char, "shift_jis")
        and not is_encodable(char, "gb2312")
        and not is_encodable(char, "big5")
    )


def is_encodable(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def prior_over_latin(spoken: str | None) -> dict[str, float]:
    """Equal chances for the Latin languages; half of them for the requester's own, if known."""
    if spoken not in LATIN:
        return dict.fromkeys(LATIN, 1 / len(LATIN))
    others = (1 - PRIOR_OF_LOCALE) / (len(LATIN) - 1)
    return {code: PRIOR_OF_LOCALE if code == spoken else others for code in LATIN}
