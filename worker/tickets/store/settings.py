"""How a desk was set when an attempt was made, kept so that it can be asked the same again."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from worker.tickets.rows import Attempt, Desk


@dataclass(frozen=True, slots=True)
class AsItWas:
    """All that an earlier attempt asked with, beside the ticket itself.

    `language` has the columns `language`, `language_tag`, `language_probability` and
    `language_evidence` of that attempt.
    """

    desk_sha256: str
    prompt_version: str
    desk_language: str
    taxonomy: Mapping[str, Any]
    instruction: str
    temperature: float
    seed: int
    language: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a replay asks with: all as it was, or some things otherwise. None: the worker's own.

    `faults` are what that earlier attempt was asked to repair. `profile` is the one that has to do
    it; None: any.
    """

    replay_id: int | None = None
    as_it_was: AsItWas | None = None
    prompt_version: str | None = None
    taxonomy: Mapping[str, Any] | None = None
    profile: str | None = None
    faults: tuple[str, ...] = ()

    @property
    def key(self) -> Hashable:
        """The same for all tickets that are asked with the same desk."""
        was = self.as_it_was
        return (was.desk_sha256, was.temperature, was.seed) if was else self.replay_id


def keep_desk(session: Session, sha256: str, columns: Mapping[str, Any]) -> None:
    """Keep how a desk is set, unless it is kept already."""
    session.execute(upsert(Desk).values(sha256=sha256, **columns).on_conflict_do_nothing())


def setting_of(session: Session, attempt_id: int) -> AsItWas:
    """What this attempt asked with; it must be one whose desk was kept."""
    attempt, desk = session.execute(
        select(Attempt, Desk)
        .join(Desk, Desk.sha256 == Attempt.desk_sha256)
        .where(Attempt.id == attempt_id)
    ).one()
    assert attempt.sampling is not None
    assert attempt.seed is not None
    return AsItWas(
        desk_sha256=desk.sha256,
        prompt_version=desk.prompt_version,
        desk_language=desk.language,
        taxonomy=desk.taxonomy,
        instruction=desk.instruction,
        temperature=attempt.sampling["temperature"],
        seed=attempt.seed,
        language={
            "language": attempt.language,
            "language_tag": attempt.language_tag,
            "language_probability": attempt.language_probability,
            "language_evidence": attempt.language_evidence,
        },
    )
