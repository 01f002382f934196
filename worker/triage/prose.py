"""What of a ticket is prose: links, code, log lines and machine words have no language."""

import re
import unicodedata

SPACED = "A-Za-z0-9\u00c0-\u024f\u0370-\u052f"
"""Latin, Greek and Cyrillic letters: Japanese and Chinese go on behind an address at once."""
LINK = (
    rf"(?i:[a-z]{{2,12}}://|www\.)(?:[{SPACED}._~:/?#@!$&'*+,;=%-]*[{SPACED}/#&=_~%+-]"
    r"|[^\s<>]+)"  # a host in another script
)
MAIL = rf"(?<![{SPACED}_.+-])[{SPACED}_.+-]++@[{SPACED}-]+(?:\.[{SPACED}-]+)+"
"""A full stop, a comma or a bracket behind them is not part of them."""
TLDS = (
    "com|net|org|info|biz|shop|store|online|site|xyz|top|club|link|eu|de|at|ch|li|lu|fr|ca|jp|cn|tw|hk|mo|sg"
    "|uk|ie|au|nz|pt|nl|dk|pl|cz|ru|test|example"
)
OF_PRODUCTS = "io|app|ai|dev|co"
"""Also the end of names such as Socket.io and Mail.app."""
HOST = (
    rf"(?<![{SPACED}@._/-])(?:(?:[A-Za-z0-9-]{{2,63}}\.)+(?:{TLDS})|(?:[a-z0-9-]{{2,63}}\.)+(?:{OF_PRODUCTS}))"
    rf"(?![{SPACED}-])(?:/[{SPACED}._~/?#&=%+-]*[{SPACED}/#&=_~%+-]|/)?"
)
"""A host without a scheme, which mail programs make a link of all the same. In "erledigt.Bitte" a
blank is missing; words such as `it` and `me` are therefore no ends of hosts here.
"""
CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
INLINE = re.compile(
    rf"{LINK}|{MAIL}"
    r"|`[^`\n]*`"  # code
    r"|<[^>\n]{1,200}>"  # tags
    r"|(?:[A-Za-z]:\\|~?/)[\w.\\/-]{3,}"  # paths
    r"|(?<![A-Za-z0-9])[A-Za-z0-9]++(?:_[A-Za-z0-9]+)+"  # names with underscores
    r"|(?<![A-Za-z0-9])[A-Za-z]++(?:\.[A-Za-z][A-Za-z0-9]*){2,}"  # names with dots
    r"|\b[A-Z]*\d[A-Z\d-]*\b|\b[A-Z]{2,}-\d+\b"  # order numbers, versions
)
LOG_LINE = re.compile(
    r"^\s*(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d:\d\d"
    r"|(?:DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b"
    r"|at [\w.$]+\(|File \"|Traceback|Caused by:|\$ |> |#\d+ 0x|\{\")"
)


def in_one_width(text: str) -> str:
    """Full-width letters, digits and signs as everybody else writes them."""
    return unicodedata.normalize("NFKC", text)


def prose(text: str) -> str:
    """The lines and words of `text` that a person wrote as language; may be empty.

    Linear in the length of `text`.
    """
    text = CODE_BLOCK.sub(" ", text)
    lines = (line for line in text.splitlines() if not LOG_LINE.match(line))
    return "\n".join(INLINE.sub(" ", line) for line in lines)
