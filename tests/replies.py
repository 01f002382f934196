"""Replies as a model would write them."""

from typing import Any

from schemas.reply import canonical_json

GOOD: dict[str, Any] = {
    "category": "billing",
    "type": "problem",
    "priority": "high",
    "sentiment": "negative",
    "entities": [{"kind": "invoice", "value": "RE-2026-0412"}],
    "summary": "The customer was charged twice (invoice RE-2026-0412).",
    "reply": "Guten Tag! Wir bitten um Entschuldigung und prüfen die Rechnung RE-2026-0412 sofort. "
    "Viele Grüße, Ihr Kundenservice",
}
GERMAN_SUBJECT = "Doppelt abgebucht"
GERMAN_BODY = "Sie haben die Rechnung RE-2026-0412 zweimal von meinem Konto abgebucht."


def written(**changes: Any) -> str:
    """The good reply as raw output, with some fields changed."""
    return canonical_json({**GOOD, **changes})
