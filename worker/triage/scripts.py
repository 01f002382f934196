"""Which scripts a text's letters are of, by their names in Unicode."""

import unicodedata
from collections import Counter
from functools import lru_cache

OTHER = "OTHER"
FOREIGN_SCRIPTS = (
    "HANGUL", "CYRILLIC", "ARABIC", "GREEK", "HEBREW", "THAI", "DEVANAGARI", "BENGALI", "TAMIL",
    "TELUGU", "GUJARATI", "KANNADA", "MALAYALAM", "GURMUKHI", OTHER,
)  # fmt: skip
"""Those that langdetect can read, and all that it cannot."""
SCRIPTS = {"LATIN", "HIRAGANA", "KATAKANA", "CJK", *FOREIGN_SCRIPTS}
OF_NO_SCRIPT = {"Lm"}
"""Letters that only modify others, in any script."""


def count_scripts(text: str) -> Counter[str]:
    """How many letters of each script the text has; what is no letter counts for nothing."""
    return Counter(name for char in text if char.isalpha() and (name := counted_as(char)))


@lru_cache(maxsize=8192)
def counted_as(letter: str) -> str | None:
    name = script(letter)
    if name in SCRIPTS:
        return name
    return None if unicodedata.category(letter) in OF_NO_SCRIPT else OTHER


def script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]
