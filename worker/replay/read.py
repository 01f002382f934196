"""What replays there are and how far each is, as JSON. Writes nothing."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.tickets.rows import Act, Replay, Rerun
from worker.tickets.states import ANSWERED

DONE = Rerun.state.in_(ANSWERED)
"""Not those that were cancelled."""


def replays(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """The newest replays, at most `limit`, with how many tickets each has, did and promoted."""
    newest = select(Replay).order_by(Replay.id.desc()).limit(limit)
    return [report(session, replay) for replay in session.scalars(newest)]


def replay(session: Session, replay_id: int) -> dict[str, Any] | None:
    """One replay, with what came of its tickets and what people did with it."""
    found = session.get(Replay, replay_id)
    if found is None:
        return None
    states = session.execute(
        select(Rerun.state, Rerun.reason, func.count())
        .where(Rerun.replay_id == replay_id)
        .group_by(Rerun.state, Rerun.reason)
        .order_by(func.count().desc())
    )
    acts = session.scalars(
        select(Act)
        .where(
            Act.action.startswith("replay "),
            (Act.result["replay"].as_integer() == replay_id)
            | (Act.selection["replay"].as_integer() == replay_id),
        )
        .order_by(Act.id)
    )
    return report(session, found) | {
        "selection": found.selection,
        "states": [
            {"state": state, "reason": reason, "tickets": count} for state, reason, count in states
        ],
        "acts": [
            {
                "at": act.at.isoformat(),
                "by": act.actor,
                "action": act.action,
                "reason": act.reason,
                "result": act.result,
            }
            for act in acts
        ],
    }


def report(session: Session, replay: Replay) -> dict[str, Any]:
    tickets, done, promoted = session.execute(
        select(func.count(), func.count().filter(DONE), func.count(Rerun.promoted_at)).where(
            Rerun.replay_id == replay.id
        )
    ).one()
    return {
        "id": replay.id,
        "state": replay.state,
        "by": replay.actor,
        "reason": replay.reason,
        "how": how(replay),
        "rate": replay.rate,
        "created_at": replay.created_at.isoformat(),
        "ended_at": replay.ended_at and replay.ended_at.isoformat(),
        "tickets": tickets,
        "done": done,
        "promoted": promoted,
    }


def how(replay: Replay) -> str:
    """What the tickets are run again with, in a few words."""
    if replay.as_it_was:
        return "as it was"
    given = {
        "profile": replay.profile,
        "prompt": replay.prompt_version,
        "taxonomy": replay.taxonomy and replay.taxonomy["version"],
    }
    changed = [f"{name} {value}" for name, value in given.items() if value]
    return f"with {', '.join(changed)}" if changed else "as the workers are set now"
