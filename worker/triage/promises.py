"""What a drafted reply may not promise in the desk's name: guarantees, damages, gifts, sums.

Patterns for the five languages, as data. A sum or a percentage is a promise unless the ticket
itself names it.
"""

import re
from collections.abc import Iterator

from worker.triage.prose import in_one_width

FORBIDDEN: dict[str, re.Pattern[str]] = {
    "a guarantee": re.compile(
        r"\b(?:garantier(?:e|en|t)|verbindlich zu(?:sagen|gesagt)?)\b"
        r"|\b(?:garantissons|garantis|garantit|nous nous engageons à)\b"
        r"|\bguarantee(?:s|d)?\b|\bwe promise\b"
        r"|保証(?:いた|致)?します|(?:お)?約束(?:いた|致)?します"
        r"|保证(?![期金书])|保證(?![期金書])|承诺|承諾",
        re.IGNORECASE,
    ),
    "damages or blame": re.compile(
        r"\b(?:wir haften|unsere Schuld|Schaden[s]?ersatz|entschädig\w+)\b"
        r"|\b(?:nous sommes responsables|dommages et intérêts|dommages-intérêts|indemnis\w+)"
        r"|\b(?:we are liable|our fault|we accept liability|compensat\w+|damages of)\b"
        r"|賠償|弊社の(?:責任|過失)|慰謝料"
        r"|赔偿|賠償|我(?:们|們|方)的?(?:责任|責任|过错|過錯)",
        re.IGNORECASE,
    ),
    "something for ever": re.compile(
        r"\b(?:lebenslang\w*|für immer (?:kostenlos|gratis|frei)|dauerhaft (?:kostenlos|gratis))\b"
        r"|\bà vie\b|\bgratuit\w* pour toujours\b"
        r"|\b(?:for life|lifetime|free forever|forever free)\b"
        r"|(?:永久|生涯|一生|無期限)(?:に|で)?無料|終身無料"
        r"|(?:永久|终身|終身|永远|永遠)(?:地)?(?:免费|免費)",
        re.IGNORECASE,
    ),
}
SUM = re.compile(
    r"(?:[€$£¥￥]\s?\d[\d.,]*|\d[\d.,]*\s?"
    r"(?:€|\$|£|¥|%|％|EUR\b|USD\b|CHF\b|Euro\b|euros?\b|dollars?\b|Prozent\b|percent\b|pour cent\b"
    r"|万円|円|万元|元|美元|欧元|块|割引))",
    re.IGNORECASE,
)
AMOUNT = re.compile(r"\d[\d.,]*")
CENTS = re.compile(r"(.*?)([.,](\d{1,2}))?")


def promises(reply: str, ticket: str) -> Iterator[str]:
    """Each forbidden promise in `reply`, in words; what the ticket says itself is none."""
    for what, pattern in FORBIDDEN.items():
        if found := pattern.search(reply):
            yield f"{what}: {found[0]!r}"
    named = {value(amount) for amount in AMOUNT.findall(in_one_width(ticket))}
    for found in SUM.finditer(in_one_width(reply)):
        if value(AMOUNT.findall(found[0])[0]) not in named:
            yield f"a sum: {found[0]!r}"


def value(amount: str) -> str:
    """The same for `1.050`, `1,050` and `1050,00`, another one for `10.50`."""
    whole, _, cents = CENTS.fullmatch(amount.rstrip(".,")).groups()  # type: ignore[union-attr]
    return re.sub(r"\D", "", whole) + f".{cents or '':0<2}"
