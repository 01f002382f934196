"""One ticket: what was written, its journey, what it shows, and the form that corrects it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from schemas.correction import CorrectionRequest
from schemas.desks import Taxonomies
from schemas.mistakes import first_mistake
from schemas.reply import FIELDS, TEXTS, label_values
from worker.database import Sessions, transaction
from worker.ops import read
from worker.ops.access import Access
from worker.ops.rendering import render
from worker.tickets import store

SEEN = "seen_"
"""Before a field's name: the fingerprint of what the form showed in it."""


@dataclass(frozen=True, slots=True)
class TicketPage:
    """The page of a ticket, and what its form does."""

    sessions: Sessions
    taxonomies: Taxonomies
    access: Access

    def show(
        self, ticket_id: int, user: str, *, form: Mapping[str, str] | None = None, mistake: str = ""
    ) -> HTMLResponse:
        """The page; with a `form` that was refused, what stands in it stays.

        Raises:
            HTTPException: 404, there is no such ticket.
        """
        found = self._found(ticket_id)
        path = f"/ops/tickets/{ticket_id}/corrections"
        return render(
            "ticket.html",
            status=422 if mistake else 200,
            user=user,
            **found,
            allowed=label_values(self.taxonomies.of(found["row"].source)),
            texts=TEXTS,
            shown={"note": "", **current(found["report"]), **(form or {})},
            seen={field: fingerprint(value) for field, value in current(found["report"]).items()},
            path=path,
            token=self.access.form_token(user, path),
            mistake=mistake,
        )

    def correct(self, ticket_id: int, form: Mapping[str, str], user: str) -> Response:
        """Keep what was changed in the form; back to the page, with the mistake if there is one.

        Raises:
            HTTPException: 404, there is no such ticket, or its text was erased.
        """
        found = self._found(ticket_id)
        values, now = changed(form), current(found["report"])
        if not values:
            return self.show(ticket_id, user, form=form, mistake="Nothing was changed.")
        if others := [
            field for field in values if form.get(SEEN + field) != fingerprint(now[field])
        ]:
            mistake = f"Somebody changed {', '.join(others)} meanwhile: this is what it is now."
            return self.show(ticket_id, user, mistake=mistake)
        given = {"by": user, "note": form.get("note") or None,
                 "values": values}  # fmt: skip
        try:
            correction = CorrectionRequest.model_validate(
                given, context=self.taxonomies.of(found["row"].source)
            )
        except ValidationError as error:
            mistake = first_mistake(error, whole="correction")
            return self.show(ticket_id, user, form=form, mistake=mistake)
        with transaction(self.sessions) as session:
            is_kept = store.correct(
                session, ticket_id, correction.values, by=correction.by, note=correction.note
            )
        if not is_kept:
            raise HTTPException(404, f"the text of ticket {ticket_id} was erased")
        return RedirectResponse(f"/ops/tickets/{ticket_id}#corrections", status_code=303)

    def _found(self, ticket_id: int) -> dict[str, Any]:
        with transaction(self.sessions) as session:
            found = read.ticket(session, ticket_id)
        if found is None:
            raise HTTPException(404, f"there is no ticket {ticket_id}")
        return found


def current(report: Mapping[str, Any]) -> dict[str, str]:
    """Each field's value that counts: the newest correction, else the model's."""
    values = {field: report[field] or "" for field in FIELDS}
    return values | {one["field"]: one["value"] for one in report["corrections"]}


def changed(form: Mapping[str, str]) -> dict[str, str]:
    """The fields whose value is another than the form had when it was shown."""
    return {
        field: form[field]
        for field in FIELDS
        if form.get(field) and form.get(SEEN + field, "") != fingerprint(form[field])
    }


def fingerprint(value: str) -> str:
    """The same for what a browser sends back unchanged."""
    return hashlib.sha256(value.replace("\r\n", "\n").strip().encode()).hexdigest()
