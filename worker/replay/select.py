"""Which tickets a selection means, and what running them again will cost. Writes nothing.

Every filter is a subselect that one index answers alone, so that a plan over a million attempts
takes a second (tests/integration/test_replay_plan.py looks at the plans).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Text,
    bindparam,
    column,
    exists,
    func,
    select,
    table,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from schemas.selection import Selection
from worker.errors import TriageError
from worker.tickets.rows import Attempt, Correction, Reply, Ticket
from worker.tickets.states import State
from worker.tickets.store.among import among

EXAMPLES, SAMPLED = 5, 200
"""How many tickets a plan shows, and from how many it estimates tokens and time."""
bad_attempts = table("bad_attempts_v1", column("attempt_id"), column("kind", Text()))

NAMED: dict[str, InstrumentedAttribute[Any]] = {
    "source": Ticket.source,
    "language": Ticket.language,
    "category": Reply.category,
    "profile": Attempt.profile,
    "model": Attempt.model,
    "prompt_version": Attempt.prompt_version,
    "taxonomy_version": Attempt.taxonomy_version,
}
"""The filters by name, with the column whose values they take."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a selection comes to: tickets, some examples, and means over a sample of attempts.

    Tokens and milliseconds are of one ticket; None where nothing was measured.
    """

    count: int
    examples: Sequence[int]
    prompt_tokens: float | None
    output_tokens: float | None
    engine_ms: float | None


def look(session: Session, selection: Selection) -> Found:
    """Count a selection and estimate what it costs.

    Raises:
        TriageError: a filter has a value that no ticket has; names those there are.
    """
    refuse_unknown(session, selection)
    tickets, examples, *means = session.execute(looked_for(selection)).one()
    return Found(tickets, examples, *(None if mean is None else float(mean) for mean in means))


def looked_for(selection: Selection) -> Select[Any]:
    """The statement behind `look`: the selection is made once, then counted and sampled."""
    found = chosen(selection).cte("chosen").prefix_with("materialized", dialect="postgresql")
    count = select(func.count()).select_from(found).scalar_subquery()
    some = func.array(select(found.c.ticket_id).limit(EXAMPLES).scalar_subquery())
    sampled = select(found.c.base_attempt_id).limit(SAMPLED)
    return select(
        count,
        some,
        func.avg(Attempt.prompt_tokens),
        func.avg(Attempt.output_tokens),
        func.avg(Attempt.engine_ms),
    ).where(Attempt.id.in_(sampled))


def chosen(selection: Selection) -> Select[int, int | None]:
    """The tickets as (ticket_id, base_attempt_id): those that are done and whose text is there."""
    query = select(Ticket.id.label("ticket_id"), Ticket.attempt_id.label("base_attempt_id")).where(
        *is_done(), *conditions(selection)
    )
    if selection.limit:
        query = query.order_by(Ticket.received_at.desc()).limit(selection.limit)
    if selection.limit and selection.sample:
        newest = query.subquery()
        query = select(newest.c.ticket_id, newest.c.base_attempt_id)
    if selection.sample:
        mixed = func.hashint8extended(query.selected_columns[0], selection.seed)
        query = query.order_by(mixed).limit(selection.sample)
    return query


def is_done() -> tuple[ColumnElement[bool], ...]:
    """What the index `ix_tickets_selection` holds; its states have to stand in the statement."""
    states: BindParameter[Any] = bindparam(
        None, [State.REPLIED.value, State.NEEDS_HUMAN.value], expanding=True, literal_execute=True
    )
    return (Ticket.state.in_(states), Ticket.erased_at.is_(None), Ticket.attempt_id.is_not(None))


def conditions(selection: Selection) -> list[ColumnElement[bool]]:
    given: list[ColumnElement[bool]] = []
    if selection.since:
        given.append(Ticket.received_at >= selection.since)
    if selection.until:
        given.append(Ticket.received_at < selection.until)
    if selection.ids is not None:
        given.append(among(Ticket.id, selection.ids))
    if selection.corrected is not None:
        corrected = Ticket.id.in_(select(Correction.ticket_id))
        given.append(corrected if selection.corrected else ~corrected)
    if selection.reason:
        is_bad = bad_attempts.c.kind.in_(selection.reason)
        given.append(Ticket.attempt_id.in_(select(bad_attempts.c.attempt_id).where(is_bad)))
    given += named(selection, Ticket)
    if of_attempt := named(selection, Attempt):
        given.append(Ticket.attempt_id.in_(select(Attempt.id).where(*of_attempt)))
    if of_reply := [*named(selection, Reply), *of_confidence(selection)]:
        given.append(Ticket.reply_id.in_(select(Reply.id).where(*of_reply)))
    return given


def named(selection: Selection, of: type[Any]) -> list[ColumnElement[bool]]:
    """The filters by name that are on this table."""
    return [
        value.in_(wanted)
        for name, value in NAMED.items()
        if value.class_ is of and (wanted := getattr(selection, name))
    ]


def of_confidence(selection: Selection) -> list[ColumnElement[bool]]:
    given: list[ColumnElement[bool]] = []
    if selection.confidence_from is not None:
        given.append(Reply.least_confidence >= selection.confidence_from)
    if selection.confidence_below is not None:
        given.append(Reply.least_confidence < selection.confidence_below)
    return given


def refuse_unknown(session: Session, selection: Selection) -> None:
    """
    Raises:
        TriageError: a filter has a value that no ticket has; names those there are.
    """
    for name, value in NAMED.items():
        for wanted in getattr(selection, name):
            if not session.scalar(select(exists().where(value == wanted))):
                known = session.scalars(
                    select(value).where(value.is_not(None)).distinct().order_by(value)
                ).all()
                there_are = f"there are {', '.join(known)}" if known else "there are none yet"
                raise TriageError(f"no ticket has {name} {wanted!r}; {there_are}")
