"""Replays: begun, paused, resumed, cancelled; and the claim on a rerun."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Select,
    bindparam,
    case,
    func,
    insert,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from worker.queues import Queue
from worker.tickets.rows import Attempt, Replay, Rerun, Ticket, table_of
from worker.tickets.states import State
from worker.tickets.store.among import among
from worker.tickets.store.attempts import lose_attempts
from worker.tickets.store.by_hand import act
from worker.tickets.store.claims import Claim, begin, faults_before, take, taking
from worker.tickets.store.erasing import hold_off_erasing
from worker.tickets.store.feeding import OPEN
from worker.tickets.store.settings import Setting, setting_of

RERUNS = table_of(Rerun).c
IS_HERE = (RERUNS.ticket_id == bindparam("this_ticket")) & RERUNS.replay_id.in_(
    select(table_of(Replay).c.id).where(table_of(Replay).c.state == "running")
)
TAKE_RERUN = taking(Rerun).where(
    IS_HERE, RERUNS.profile.is_(None) | (RERUNS.profile == bindparam("this_profile"))
)
PASS_ON_S = 1.0
"""A message that the wrong worker took is sent again after so long: it may take that one, too."""
PASS_ON = (
    update(table_of(Rerun))
    .where(IS_HERE, RERUNS.state == State.RECEIVED)
    .values(
        announced_at=None,
        not_before=func.greatest(
            RERUNS.not_before, func.now() + func.make_interval(0, 0, 0, 0, 0, 0, PASS_ON_S)
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a replay is to do, who wants it and why; fields as in `rows.Replay`."""

    actor: str
    reason: str | None
    selection: Mapping[str, Any]
    as_it_was: bool = False
    profile: str | None = None
    prompt_version: str | None = None
    taxonomy: Mapping[str, Any] | None = None
    rate: float | None = None


def begin_replay(
    session: Session, order: Order, chosen: Select[int, int | None], *, queues: Mapping[str, Queue]
) -> int:
    """Begin a replay over the chosen (ticket_id, base_attempt_id); its id.

    `queues` says for each profile on which queue there is a worker that has it. Of a replay as it
    was only those tickets are taken whose desk was kept and whose profile is among them.

    Raises:
        IntegrityError: another replay holds one of these tickets.
    """
    session.execute(text("set local statement_timeout = 0"))  # a million rows may take a minute
    hold_off_erasing(session)
    replay_id = session.execute(
        insert(Replay)
        .values(
            state="running",
            actor=order.actor,
            reason=order.reason,
            selection=order.selection,
            as_it_was=order.as_it_was,
            profile=order.profile,
            prompt_version=order.prompt_version,
            taxonomy=null() if order.taxonomy is None else order.taxonomy,
            rate=order.rate,
        )
        .returning(Replay.id)
    ).scalar_one()
    these = chosen.subquery()
    profile: Any = Attempt.profile if order.as_it_was else literal(order.profile)
    queue = case(
        *((profile == name, served.value) for name, served in queues.items()),
        else_=Queue.REPLAY.value,
    )
    rows = select(
        literal(replay_id), these.c.ticket_id, these.c.base_attempt_id, profile, queue,
        literal(State.RECEIVED.value),
    ).join(Attempt, Attempt.id == these.c.base_attempt_id)  # fmt: skip
    if order.as_it_was:
        rows = rows.where(Attempt.desk_sha256.is_not(None), Attempt.profile.in_(queues))
    columns = ["replay_id", "ticket_id", "base_attempt_id", "profile", "queue", "state"]
    session.execute(insert(Rerun).from_select(columns, rows))
    act(session, "replay run", by=order.actor, reason=order.reason, selection=order.selection,
        result={"replay": replay_id})  # fmt: skip
    return replay_id


def held_by_others(session: Session, chosen: Select[int, int | None]) -> Sequence[tuple[int, int]]:
    """How many of the chosen tickets which replay holds, as (replay id, tickets)."""
    these = chosen.subquery()
    rows = session.execute(
        select(Rerun.replay_id, func.count())
        .where(Rerun.state.in_(OPEN), Rerun.ticket_id.in_(select(these.c.ticket_id)))
        .group_by(Rerun.replay_id)
        .order_by(Rerun.replay_id)
    )
    return [(replay_id, count) for replay_id, count in rows]


def claim_rerun(
    session: Session, ticket_id: int, *, worker: str, lease_s: float, profile: str
) -> Claim | None:
    """Take a ticket's waiting rerun for this worker; None if there is none that it can do.

    One that another profile has to do is announced again.
    """
    this = {"this_ticket": ticket_id}
    rerun = take(session, TAKE_RERUN, **this, this_profile=profile, worker=worker, lease_s=lease_s)
    if rerun is None:
        session.execute(PASS_ON, this)
        return None
    ticket = session.get_one(Ticket, ticket_id)
    replay = session.get_one(Replay, rerun.replay_id)
    base = session.get_one(Attempt, rerun.base_attempt_id)
    setting = Setting(
        replay_id=replay.id,
        as_it_was=setting_of(session, base.id) if replay.as_it_was else None,
        prompt_version=replay.prompt_version,
        taxonomy=replay.taxonomy,
        profile=rerun.profile,
        faults=faults_before(session, ticket_id, base.replay_id, base.number)
        if replay.as_it_was
        else (),
    )
    waits_since = rerun.announced_at or rerun.not_before
    return begin(session, Rerun, rerun, ticket, waits_since=waits_since, setting=setting)


def replay_state(session: Session, replay_id: int) -> str:
    return session.execute(select(Replay.state).where(Replay.id == replay_id)).scalar_one()


def change_replay(
    session: Session,
    replay_id: int,
    state: str,
    *,
    be: Sequence[str],
    by: str | None = None,
    reason: str | None = None,
) -> bool:
    """Give a replay this state if it now is one of `be`; whether it was. `by` is audited."""
    found = session.execute(
        update(Replay)
        .where(Replay.id == replay_id, Replay.state.in_(be))
        .values(state=state, ended_at=func.now() if state in ("done", "cancelled") else None)
        .returning(Replay.id)
    ).scalar()
    if found is None:
        return False
    if state == "cancelled":  # what is in work too: its worker has lost its claim
        session.execute(text("set local statement_timeout = 0"))  # a million may take a minute
        cancelled = session.scalars(
            update(Rerun)
            .where(Rerun.replay_id == replay_id, Rerun.state.in_(OPEN))
            .values(
                state=State.IGNORED,
                reason=f"cancelled by {by}",
                claimed_by=None,
                claimed_until=None,
            )
            .returning(Rerun.ticket_id)
        ).all()
        theirs = among(Attempt.ticket_id, cancelled) & (Attempt.replay_id == replay_id)
        lose_attempts(session, theirs, reason=f"cancelled by {by}")
    if by is not None:
        act(session, f"replay {state}", by=by, reason=reason, result={"replay": replay_id})
    return True
