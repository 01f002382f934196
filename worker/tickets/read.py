"""Reads tickets with what was made of them. Writes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row as ResultRow
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from schemas.reply import LABELS
from worker.tickets import store
from worker.tickets.rows import Attempt, Correction, Finding, Reply, Ticket, Writeback
from worker.tickets.states import FINAL
from worker.tickets.store.among import among


def reports(session: Session, ticket_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Each ticket as one JSON object, in the order of `ticket_ids`; unknown ids are left out."""
    rows = session.execute(joined().where(among(Ticket.id, ticket_ids))).all()
    findings = findings_of(session, [row.Attempt.id for row in rows if row.Attempt])
    corrections = corrections_of(session, [row.Ticket.id for row in rows])
    by_id = {
        row.Ticket.id: report(row, findings, corrections.get(row.Ticket.id, [])) for row in rows
    }
    return [by_id[ticket_id] for ticket_id in ticket_ids if ticket_id in by_id]


def source_of(session: Session, ticket_id: int) -> str | None:
    """A ticket's source; None if there is no such ticket."""
    return session.scalars(select(Ticket.source).where(Ticket.id == ticket_id)).one_or_none()


def latest(session: Session, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest tickets, at most `limit`, as `reports` gives them."""
    ids = select(Ticket.id).order_by(Ticket.id.desc()).limit(limit)
    if state:
        ids = ids.where(Ticket.state == state)
    return reports(session, session.scalars(ids).all())


def finished(session: Session, ticket_ids: Sequence[int]) -> int:
    """How many of these tickets have reached their end."""
    return session.execute(
        select(func.count()).where(among(Ticket.id, ticket_ids), Ticket.state.in_(FINAL))
    ).scalar_one()


def joined() -> Select[Ticket, Attempt, Reply]:
    """Tickets with their reply, and the attempt that made it or else the last that ended."""
    return (
        select(Ticket, Attempt, Reply)
        .outerjoin(Reply, Reply.id == Ticket.reply_id)
        .outerjoin(Attempt, Attempt.id == Ticket.attempt_id)
    )


def findings_of(session: Session, attempt_ids: Sequence[int]) -> dict[int, list[dict[str, str]]]:
    found: dict[int, list[dict[str, str]]] = {}
    for row in session.scalars(select(Finding).where(among(Finding.attempt_id, attempt_ids))):
        found.setdefault(row.attempt_id, []).append({"check": row.check_name, "detail": row.detail})
    return found


def corrections_of(session: Session, ticket_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What people wrote instead, by ticket, oldest first."""
    found: dict[int, list[dict[str, Any]]] = {}
    rows = select(Correction).where(among(Correction.ticket_id, ticket_ids)).order_by(Correction.id)
    for row in session.scalars(rows):
        found.setdefault(row.ticket_id, []).append(
            {
                "field": row.field,
                "value": row.value,
                "model_value": row.model_value,
                "by": row.corrected_by,
                "note": row.note,
                "at": row.created_at.isoformat(),
            }
        )
    return found


def dead_letters(session: Session, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Dead tickets, newest first, as `reports` gives them."""
    return reports(session, dead_ids(session, limit=limit))


def dead_ids(session: Session, *, limit: int | None = None) -> Sequence[int]:
    """Their ids alone."""
    ids = select(Ticket.id).where(*store.dead()).order_by(Ticket.id.desc()).limit(limit)
    return session.scalars(ids).all()


def attempts_of(session: Session, ticket_id: int) -> list[dict[str, Any]]:
    """Every attempt on a ticket: when, by whom, what came of it; oldest first."""
    rows = session.scalars(
        select(Attempt).where(Attempt.ticket_id == ticket_id).order_by(Attempt.id)
    )
    return [
        {
            "attempt": row.number,
            "replay": row.replay_id,
            "started_at": row.started_at.isoformat(),
            "worker": row.worker,
            "outcome": row.outcome,
            "error": row.error,
            "reason": row.reason,
        }
        for row in rows
    ]


def report(
    row: ResultRow[Ticket, Attempt, Reply],
    findings: Mapping[int, list[dict[str, str]]],
    corrections: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    ticket, attempt, reply = row.Ticket, row.Attempt, row.Reply
    return {
        "id": ticket.id,
        "source": ticket.source,
        "external_id": ticket.external_id,
        "state": ticket.state,
        "reason": ticket.reason,
        "language": ticket.language,
        "category": reply and reply.category,
        "type": reply and reply.type,
        "priority": reply and reply.priority,
        "sentiment": reply and reply.sentiment,
        "confidence": {name: reply.confidence[name] for name in LABELS} if reply else {},
        "disposition": reply.disposition if reply else "human",
        "disposition_reason": reply.disposition_reason if reply else ticket.reason,
        "entities": reply.entities if reply else [],
        "summary": reply and reply.summary,
        "reply": reply and reply.reply,
        "corrections": corrections,
        "findings": findings.get(attempt.id, []) if attempt else [],
        "attempts": ticket.attempts,
        "engine": engine(attempt) if attempt else None,
    }


def engine(attempt: Attempt) -> dict[str, Any]:
    return {
        "profile": attempt.profile,
        "prompt_tokens": attempt.prompt_tokens,
        "cached_tokens": attempt.cached_tokens,
        "output_tokens": attempt.output_tokens,
        "engine_ms": attempt.engine_ms,
        "queue_ms": attempt.queue_ms,
    }


def write_backs(session: Session, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """What was or will be written back, newest first."""
    chosen = (
        select(Writeback, Ticket.external_id)
        .join(Ticket, Ticket.id == Writeback.ticket_id)
        .order_by(Writeback.id.desc())
        .limit(limit)
    )
    if state:
        chosen = chosen.where(Writeback.state == state)
    return [
        {
            "ticket_id": row.ticket_id,
            "reply_id": row.reply_id,
            "source": row.source,
            "external_id": external_id,
            "state": row.state,
            "attempts": row.attempts,
            "reason": row.reason,
            "remote_id": row.remote_id,
            "created_at": row.created_at,
            "ended_at": row.ended_at,
        }
        for row, external_id in session.execute(chosen)
    ]
