"""How pages are made: templates that escape, and headers that allow nothing else."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from schemas.reply import LABELS
from worker.ops.filters import PERIODS
from worker.tickets.states import State
from worker.triage.language import NAMES

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
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


TEMPLATES = Environment(
    loader=ChoiceLoader([PackageLoader("worker.ops"), PackageLoader("worker.replay")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"at": at, "length_of_time": length}
TEMPLATES.globals |= {
    "labels": LABELS,
    "names": NAMES,
    "periods": list(PERIODS),
    "states": list(State),
}


def render(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from its template; every one needs `user`."""
    return HTMLResponse(
        TEMPLATES.get_template(name).render(**values), status_code=status, headers=HEADERS
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
