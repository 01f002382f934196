"""What a replay changed, ticket by ticket and field by field. Writes nothing.

A field whose true value a person gave has improved or regressed, or neither; of the others it can
only be said that they changed.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from schemas.reply import FIELDS, LABELS
from worker.tickets import export
from worker.tickets.rows import Attempt, Finding, Reply, Rerun, Ticket
from worker.tickets.states import ANSWERED

AT_A_TIME = 500
BATCH = "batch"
"""What is left to differ when all that an attempt was made with is the same: which other tickets
shared the engine's batch, and with them the order of its sums."""
LINEAGE = {
    "prompt_hash": "prompt",
    "grammar_hash": "grammar",
    "model": "model",
    "quantization": "quantization",
    "engine_version": "engine version",
    "hardware": "hardware",
    "sampling": "sampling",
    "seed": "seed",
}
"""Columns of an attempt that decide its output, with their names in a report."""


class Change(StrEnum):
    UNCHANGED = "unchanged"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    CHANGED = "changed without a label"


@dataclass(frozen=True, slots=True)
class Pair:
    """A ticket's old and new result. A reply is None where there was none; `wanted` is what a
    person says of some fields."""

    ticket: Ticket
    rerun: Rerun
    old: Attempt
    new: Attempt
    old_reply: Reply | None
    new_reply: Reply | None
    old_findings: Sequence[str]
    new_findings: Sequence[str]
    wanted: Mapping[str, str]

    def values(self, field: str) -> tuple[str | None, str | None]:
        """The old and the new value of a field."""
        return value(self.old_reply, field), value(self.new_reply, field)

    def change(self, field: str) -> Change:
        """What became of a field."""
        old, new = self.values(field)
        if old == new:
            return Change.UNCHANGED
        wanted = self.wanted.get(field)
        if wanted is not None and wanted in (old, new):
            return Change.IMPROVED if new == wanted else Change.REGRESSED
        return Change.CHANGED

    @property
    def is_changed(self) -> bool:
        return any(self.change(field) is not Change.UNCHANGED for field in FIELDS)

    @property
    def is_same_output(self) -> bool:
        """Whether the model wrote the same, byte for byte."""
        return self.old.raw_output == self.new.raw_output

    def differences(self) -> list[str]:
        """What was not the same when the new output was made; the batch if all the rest was."""
        found = [
            name
            for column, name in LINEAGE.items()
            if getattr(self.old, column) != getattr(self.new, column)
        ]
        return found or [BATCH]


def value(reply: Reply | None, field: str) -> str | None:
    return getattr(reply, field) if reply else None


def pairs(
    session: Session, replay_id: int, ticket_ids: Sequence[int] | None = None
) -> Generator[Pair]:
    """The tickets of a replay that are done, streamed in the order of their ids."""
    old, new = aliased(Attempt), aliased(Attempt)
    old_reply, new_reply = aliased(Reply), aliased(Reply)
    said = export.corrections()
    query = (
        select(
            Ticket, Rerun, old, new, old_reply, new_reply,
            found_in(old), found_in(new), said.c.given,
        )
        .select_from(Rerun)
        .join(Ticket, Ticket.id == Rerun.ticket_id)
        .join(old, old.id == Rerun.base_attempt_id)
        .join(new, new.id == Rerun.attempt_id)
        .outerjoin(old_reply, old_reply.attempt_id == old.id)
        .outerjoin(new_reply, new_reply.id == Rerun.reply_id)
        .outerjoin(said, said.c.ticket_id == Ticket.id)
        .where(Rerun.replay_id == replay_id, Rerun.state.in_(ANSWERED))
        .order_by(Rerun.ticket_id)
        .execution_options(yield_per=AT_A_TIME)
    )  # fmt: skip
    if ticket_ids is not None:
        query = query.where(Rerun.ticket_id.in_(ticket_ids))
    with session.execute(query) as rows:
        for ticket, rerun, old_one, new_one, had, has, old_found, new_found, given in rows:
            yield Pair(
                ticket, rerun, old_one, new_one, had, has,
                old_found or (), new_found or (), given or {},
            )  # fmt: skip


def found_in(attempt: Any) -> Any:
    """The names of the checks that failed on an attempt, as an array."""
    return (
        select(func.array_agg(Finding.check_name))
        .where(Finding.attempt_id == attempt.id)
        .scalar_subquery()
    )


def changed(
    session: Session, replay_id: int, ticket_ids: Sequence[int] | None = None, *, most: int
) -> list[Pair]:
    """The first tickets that changed; of those that are asked for by id also the others."""
    with closing(pairs(session, replay_id, ticket_ids)) as found:
        wanted = (pair for pair in found if pair.is_changed or ticket_ids)
        return list(islice(wanted, most))


def summary(compared: Iterator[Pair]) -> dict[str, Any]:
    """All pairs in numbers, as JSON: changes by field, labels old × new, checks, determinism."""
    tickets = same = changed = 0
    changes: dict[str, Counter[str]] = {field: Counter() for field in FIELDS}
    confusion: dict[str, dict[str, Counter[str]]] = {
        field: defaultdict(Counter) for field in LABELS
    }
    states: dict[str, Counter[str]] = {"old": Counter(), "new": Counter()}
    checks: dict[str, Counter[str]] = {"old": Counter(), "new": Counter()}
    differences: Counter[str] = Counter()
    for pair in compared:
        tickets += 1
        changed += pair.is_changed
        for field in FIELDS:
            changes[field][pair.change(field)] += 1
        for field in LABELS:
            old, new = (shown or "–" for shown in pair.values(field))
            confusion[field][old][new] += 1
        states["old"][pair.old.outcome] += 1
        states["new"][pair.new.outcome] += 1
        checks["old"].update(pair.old_findings)
        checks["new"].update(pair.new_findings)
        if pair.is_same_output:
            same += 1
        else:
            differences.update(pair.differences())
    return {
        "tickets": tickets,
        "changed": changed,
        "fields": {
            field: {change.value: counts[change] for change in Change}
            for field, counts in changes.items()
        },
        "confusion": {field: {old: dict(new) for old, new in rows.items()}
                      for field, rows in confusion.items()},
        "outcomes": {when: dict(counts) for when, counts in states.items()},
        "checks": {when: dict(counts) for when, counts in checks.items()},
        "same_output": same,
        "differed_in": dict(differences.most_common()),
    }  # fmt: skip


def side_by_side(pair: Pair) -> dict[str, Any]:
    """One pair as JSON: each field's old and new value, and what became of it."""
    return {
        "ticket_id": pair.ticket.id,
        "source": pair.ticket.source,
        "external_id": pair.ticket.external_id,
        "language": pair.ticket.language,
        "subject": pair.ticket.subject,
        "promoted_at": pair.rerun.promoted_at and pair.rerun.promoted_at.isoformat(),
        "fields": {
            field: {
                "old": pair.values(field)[0],
                "new": pair.values(field)[1],
                "wanted": pair.wanted.get(field),
                "change": pair.change(field),
            }
            for field in FIELDS
        },
        "reason": {"old": pair.old.reason, "new": pair.new.reason},
        "findings": {"old": list(pair.old_findings), "new": list(pair.new_findings)},
        "same_output": pair.is_same_output,
        "differed_in": [] if pair.is_same_output else pair.differences(),
    }
