"""The pages under /ops: tickets, one ticket, replays, one replay. No script, nothing from outside.

Whatever a ticket says is text: it is escaped, and the content security policy forbids the rest.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from schemas.desks import Taxonomies
from schemas.reply import FIELDS
from worker import charts
from worker.database import Sessions, transaction
from worker.ops import read
from worker.ops.access import Access
from worker.ops.filters import Filters, Given
from worker.ops.forms import read_form
from worker.ops.rendering import Page, render
from worker.ops.ticket_page import TicketPage
from worker.replay import compare
from worker.replay import read as replays
from worker.replay.page import rows as side_by_side
from worker.tickets.rows import LARGEST_ID, Attempt, Ticket

COMPARED = 50
"""Changed tickets that the page of a replay shows side by side."""
STYLE = files("worker.ops").joinpath("static/ops.css").read_text(encoding="utf-8")


def router(sessions: Sessions, taxonomies: Taxonomies, access: Access) -> APIRouter:
    """The pages, for whom `access` lets in."""
    User = Annotated[str, Depends(access.user)]  # noqa: N806  # a type
    Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]  # noqa: N806
    pages = APIRouter(prefix="/ops", route_class=Page, include_in_schema=False)
    tickets = TicketPage(sessions, taxonomies, access)

    @pages.get("/ops.css")
    def style() -> Response:
        return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})

    @pages.get("")
    def overview(filters: Given, user: User) -> HTMLResponse:
        return overview_page(sessions, filters, user)

    @pages.get("/tickets/{ticket_id}")
    def ticket(ticket_id: Id, user: User) -> HTMLResponse:
        return tickets.show(ticket_id, user)

    @pages.post("/tickets/{ticket_id}/corrections")
    async def correct(ticket_id: Id, request: Request, user: User) -> Response:
        form = await read_form(request)
        access.refuse_forged(form.get("token", ""), user, request.url.path)
        return await run_in_threadpool(tickets.correct, ticket_id, form, user)

    @pages.get("/replays")
    def replay_list(user: User) -> HTMLResponse:
        with transaction(sessions) as session:
            return render("replays.html", user=user, replays=replays.replays(session, limit=100))

    @pages.get("/replays/{replay_id}")
    def replay(replay_id: Id, user: User) -> HTMLResponse:
        return replay_page(sessions, replay_id, user)

    return pages


def overview_page(sessions: Sessions, filters: Filters, user: str) -> HTMLResponse:
    with transaction(sessions) as session:
        flow = read.flow(session, filters)
        page = render(
            "overview.html",
            user=user,
            filters=filters,
            counts=read.counts(session, filters),
            oldest_s=read.oldest_wait_s(session),
            bad=read.bad_kinds(session, filters),
            sources=read.values_of(session, Ticket.source),
            profiles=read.values_of(session, Attempt.profile),
            refused=read.refused(session, filters),
            workers=read.workers(session),
            tickets=read.newest(session, filters),
            page_size=read.PAGE,
            flow=flow,
            chart=flow_chart(flow, filters),
        )
    if filters.refresh:
        page.headers["Refresh"] = str(filters.refresh)
    return page


def flow_chart(flow: Sequence[Any], filters: Filters) -> str:
    moment = "%H:%M" if filters.is_hourly else "%m-%d"
    names = ("received", "replied", "needs a person")
    series = {name: [one[place] for one in flow] for place, name in enumerate(names, 1)}
    return charts.bars([f"{one[0]:{moment}}" for one in flow], series)


def replay_page(sessions: Sessions, replay_id: int, user: str) -> HTMLResponse:
    with transaction(sessions) as session:
        found = replays.replay(session, replay_id)
        if found is None:
            raise HTTPException(404, f"there is no replay {replay_id}")
        changed = compare.changed(session, replay_id, most=COMPARED)
        return render(
            "replay.html",
            user=user,
            replay=found,
            measured=compare.summary(compare.pairs(session, replay_id)),
            fields=FIELDS,
            changes=list(compare.Change),
            pairs=[(pair, side_by_side(pair)) for pair in changed],
        )
