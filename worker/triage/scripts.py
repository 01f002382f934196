"""Which scripts a text's letters are of, by their names in Unicode."""

import unicodedata
from collections import Counter

FOREIGN_SCRIPTS = ("HANGUL", "CYRILLIC", "ARABIC", "GREEK", "HEBREW", "THAI", "DEVANAGARI")
SCRIPTS = ("LATIN", "HIRAGANA", "KATAKANA", "CJK", *FOREIGN_SCRIPTS)


def count_scripts(text: str) -> Counter[str]:
    """How many letters of each script the text has; other characters count for nothing."""
    return Counter(name for char in text if char.isalpha() and (name := script(char)) in SCRIPTS)


def script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]
