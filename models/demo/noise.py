"""Makes generated tickets look typed by people: typos, lost accents, lower case, footers."""

import random
import unicodedata

LATIN = {"de", "fr", "en"}
UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
)
FOOTERS = ("Sent from my phone", "https://www.example.com/account", "-- \n+++", "🙏", "!!!", "...")


def roughen(rng: random.Random, language: str, text: str, *, keep: list[str]) -> str:
    """Add noise to `text` while leaving every string of `keep` (order numbers, …) intact."""
    changed = text
    if language in LATIN:
        if rng.random() < 0.12:
            changed = typos(rng, changed)
        if rng.random() < 0.08:
            changed = without_accents(language, changed)
        if rng.random() < 0.1:
            changed = changed.lower()
    if any(value not in changed for value in keep):
        changed = text
    if rng.random() < 0.08:
        changed += "\n" + rng.choice(FOOTERS)
    return changed


def typos(rng: random.Random, text: str) -> str:
    """About one letter in forty is dropped, doubled or swapped with the next."""
    letters = list(text)
    for place in range(len(letters) - 1):
        if letters[place].isalpha() and rng.random() < 1 / 40:
            match rng.randrange(3):
                case 0:
                    letters[place] = ""
                case 1:
                    letters[place] *= 2
                case _:
                    letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)


def without_accents(language: str, text: str) -> str:
    if language == "de":
        return text.translate(UMLAUTS)
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))
