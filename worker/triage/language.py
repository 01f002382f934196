"""Which language a ticket is written in: script rules first, then langdetect, then lingua.

Kana means Japanese, Han without it Chinese unless Japanese-only forms or words say otherwise.
Longer Latin text goes to langdetect as an open question, which also finds languages the desk does
not serve. Short or doubtful Latin text, where langdetect is weak, goes to lingua, held to German,
French and English. The requester's locale breaks ties only.
"""

import re
import unicodedata
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from lingua import Language, LanguageDetectorBuilder

from worker.triage.langdetected import FirstOpinion
from worker.triage.prose import prose
from worker.triage.scripts import FOREIGN_SCRIPTS, OTHER, count_scripts, script

NAMES = {"de": "German", "fr": "French", "ja": "Japanese", "zh": "Chinese", "en": "English"}
"""The languages a desk can serve, by ISO 639-1 code."""
UNDETERMINED = "und"
"""ISO 639-2's code for a language that nobody here can name."""
TRADITIONAL = "zh-Hant"
TRADITIONAL_LOCALES = re.compile(r"zh[-_](?:hant|tw|hk|mo)", re.IGNORECASE)

LOOKED_AT_CHARS, READ_CHARS = 6000, 1500
"""A language shows in the first characters of prose; the rest of a long ticket costs time only."""

LETTERS_IN_ONE_IDEOGRAPH = 3
"""A Chinese or Japanese character says about as much as three Latin letters."""
KANA_SHARE = 0.1
"""Japanese has more kana than this among its characters; Chinese texts quote a word at most."""
JAPANESE_FORM_SHARE = 0.02
"""A Chinese text may quote one Japanese name; a Japanese one has its own forms throughout."""
HONG_KONG_FORMS = "裏銹"
"""Written so in Hong Kong too, though Big5 lacks them."""
JAPANESE_WORDS = re.compile(
    "株式会社|有限会社|御中|貴社|弊社|至急|見積|請求書|領収|返品|返金|返答|納品|注文|宛名|宛先|不具合|手続|"
    "振込|未着|発送|出荷|入荷|再起動|取扱|届出|勤怠|残業|稟議|値引|割引|受付|予約|"
    "苦情|依頼|変更希望|発行希望|交換希望|再設定|保証|証明書|担当者|御礼|御社|(?<!圖)書類|有給|資料請求|返送|電源入"
)
"""Words that need no kana and that Chinese does not have, or writes otherwise."""

CHINESE_WORDS = re.compile("[的了是我你他她們们這这還还沒没嗎吗呢]")
"""Words that stand in almost every Chinese sentence and in no Japanese compound."""

CHINESE_PRONOUNS = re.compile("[我你她们們这這还還沒嗎吗呢]")
"""Those of them that stand in no word of Japanese, as 的, 是, 了, 他 and 没 do in compounds."""

FOREIGN_CHARS, LONG_CHARS = 40, 60
"""From so many letters on langdetect is believed that a text is none of the desk's languages, or
which of them: it takes short German for Afrikaans, English for Danish. Of 3,800 German, French
and English sentences none from 40 letters on is taken for foreign (docs/decisions/language.md)."""
CERTAIN_PROBABILITY = 0.98
TIE = 0.1
"""Two languages whose probabilities differ by less are as good as equal: the locale decides."""
OPINIONS = {"de": Language.GERMAN, "fr": Language.FRENCH, "en": Language.ENGLISH}


@dataclass(frozen=True, slots=True)
class Detected:
    """A text's language. `code` is ISO 639-1 (`zh` for all Chinese), `und` for one that is not
    known, None where there are no letters.

    `evidence` names the rule that decided; `probability` is 1 where a script decides. `tag` is
    `zh-Hant` or `zh-Hans` where the characters of a Chinese text tell, else the code.
    """

    code: str | None
    probability: float
    evidence: str
    script: str | None = None

    @property
    def tag(self) -> str | None:
        return f"{self.code}-{self.script}" if self.script else self.code


class LanguageDetector:
    """Detects languages. Loads all profiles and models once; safe to share between threads."""

    def __init__(self) -> None:
        self._first = FirstOpinion()
        self._second = (
            LanguageDetectorBuilder.from_languages(*OPINIONS.values())
            .with_preloaded_language_models()
            .build()
        )

    def detect(
        self, text: str, *, locale: str | None = None, among: AbstractSet[str] = NAMES.keys()
    ) -> Detected:
        """The language of `text`; `locale` (such as `ja-JP`) decides what the text leaves open.

        Short Latin text is taken to be in one of the desk's own languages, `among`.
        """
        text = unicodedata.normalize("NFKC", text[:LOOKED_AT_CHARS])
        text = (prose(text).strip() or text)[:READ_CHARS]
        scripts = count_scripts(text)
        if not scripts:
            return Detected(None, 0.0, "no letters")
        spoken = locale.replace("_", "-").split("-")[0].lower() if locale else None
        kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
        ideographs = kana + scripts["CJK"]
        if ideographs * LETTERS_IN_ONE_IDEOGRAPH >= scripts["LATIN"] and ideographs >= max(
            scripts[name] for name in FOREIGN_SCRIPTS
        ):
            return east_asian(text, kana=kana, ideographs=ideographs, locale=locale or "")
        if scripts.most_common(1)[0][0] == "LATIN":
            return self._latin(text, letters=scripts["LATIN"], spoken=spoken, among=among)
        if scripts.most_common(1)[0][0] == OTHER:
            return Detected(UNDETERMINED, 1.0, "script")
        code, probability = self._first.ask(text, is_latin=False)
        return Detected(code or UNDETERMINED, probability, "script")

    def _latin(
        self, text: str, *, letters: int, spoken: str | None, among: AbstractSet[str]
    ) -> Detected:
        if letters >= FOREIGN_CHARS:
            code, probability = self._first.ask(text, is_latin=True)
            is_long_enough = letters >= LONG_CHARS or code not in OPINIONS
            if is_long_enough and probability >= CERTAIN_PROBABILITY:
                return Detected(code, probability, "langdetect")
        return self._second_opinion(text, spoken, among)

    def _second_opinion(self, text: str, spoken: str | None, among: AbstractSet[str]) -> Detected:
        """Which of the desk's Latin languages it is, of which there is no doubt."""
        values = {
            code: self._second.compute_language_confidence(text, language)
            for code, language in OPINIONS.items()
            if code in among or not among & OPINIONS.keys()
        }
        best = max(values, key=lambda code: values[code])
        if spoken in values and values[best] - values[spoken] < TIE:
            return Detected(spoken, round(values[spoken], 4), "locale")
        return Detected(best, round(values[best], 4), "lingua")


def name_of(tag: str) -> str:
    """A language's English name, as a prompt says it. `tag` is one of a `Detected`."""
    return "Traditional Chinese" if tag == TRADITIONAL else NAMES[tag[:2]]


def same_language(one: str | None, other: str | None) -> bool:
    """Whether two tags can be one language; a Chinese text may leave its script open."""
    if one is None or other is None or one[:2] != other[:2]:
        return False
    return one == other or len(one) == 2 or len(other) == 2


def east_asian(text: str, *, kana: int, ideographs: int, locale: str) -> Detected:
    if kana >= KANA_SHARE * ideographs:
        return Detected("ja", 1.0, "kana")
    if sum(map(is_japanese_form, text)) >= JAPANESE_FORM_SHARE * ideographs + 0.5:
        return Detected("ja", 1.0, "Japanese forms")
    if is_japanese_spelling(text) and not CHINESE_WORDS.search(text):
        return Detected("ja", 1.0, "Japanese spelling")
    if JAPANESE_WORDS.search(text) and not CHINESE_PRONOUNS.search(text):
        return Detected("ja", 1.0, "Japanese words")
    if locale.lower().startswith("ja"):
        return Detected("ja", 1.0, "locale")
    return chinese(text, locale)


def chinese(text: str, locale: str) -> Detected:
    """Traditional or simplified, by characters that only one of the two has; else by the locale."""
    traditional = sum(is_written_only_in(char, "big5", "gb2312") for char in text)
    simplified = sum(is_written_only_in(char, "gb2312", "big5") for char in text)
    if traditional != simplified:
        is_traditional = traditional > simplified
        name, code = ("traditional", "Hant") if is_traditional else ("simplified", "Hans")
        return Detected("zh", 1.0, f"{name} han", code)
    if TRADITIONAL_LOCALES.match(locale):
        return Detected("zh", 1.0, "han, locale", "Hant")
    return Detected("zh", 1.0, "han")


@lru_cache(maxsize=8192)
def is_written_only_in(char: str, standard: str, other: str) -> bool:
    return script(char) == "CJK" and is_encodable(char, standard) and not is_encodable(char, other)


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


def is_japanese_spelling(text: str) -> bool:
    """Whether these kanji stand together in Japan's standard and in neither of China's."""
    han = "".join(char for char in text if script(char) == "CJK" and char not in HONG_KONG_FORMS)
    return is_encodable(han, "shift_jis") and not (
        is_encodable(han, "gb2312") or is_encodable(han, "big5")
    )


def is_encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
