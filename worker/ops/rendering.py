"""How pages are made: templates that escape, and headers that allow nothing else."""

import secrets
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from schemas.reply import LABELS
from worker.ops.filters import PERIODS
from worker.tickets.states import State
from worker.triage.language import NAMES

POLICY = (
    "default-src 'none'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a browser may do with a page; the nonce is for the style that a chart brings along."""
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def at(moment: datetime | str | None) -> str:
    """A time as people read it, UTC."""
    if moment is None:
        return "–"
    when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{when:%Y-%m-%d %H:%M:%S}"


def length(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"


def drawn(svg: str, nonce: str) -> Markup:
    """A chart of `worker.charts`, whose style the page lets through."""
    return Markup(svg.replace("<style", f'<style nonce="{nonce}"'))  # noqa: S704  # our own SVG


TEMPLATES = Environment(
    loader=ChoiceLoader([PackageLoader("worker.ops"), PackageLoader("worker.replay")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"at": at, "length_of_time": length, "drawn": drawn}
TEMPLATES.globals |= {
    "labels": LABELS,
    "names": NAMES,
    "periods": list(PERIODS),
    "states": list(State),
}


def render(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from its template; every one needs `user`."""
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        TEMPLATES.get_template(name).render(**values, nonce=nonce),
        status_code=status,
        headers={**HEADERS, "Content-Security-Policy": POLICY.format(nonce=nonce)},
    )


class Page(APIRoute):
    """A route whose refusals are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return mistake(404, "There is no such page.")
            except HTTPException as error:
                return mistake(error.status_code, error.detail, headers=error.headers)

        return handle_page


def mistake(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page that says in one sentence what is wrong."""
    page = render("mistake.html", status=status, user="", message=message)
    page.headers.update(headers or {})
    return page
