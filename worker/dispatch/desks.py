"""Which desk a claim is triaged for: the worker's own, one of several, or what a replay wants.

Each desk is kept in Postgres the first time something is asked with it.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from schemas.taxonomy import Taxonomy
from schemas.ticket import desk_of
from worker.engine.grammar import reply_grammar
from worker.errors import DeskUnknown
from worker.tickets import store
from worker.tickets.store import AsItWas, Claim, Setting
from worker.triage import prompts
from worker.triage.desk import Desk
from worker.triage.language import Detected


class Desks:
    """The desks of one worker. Safe to share: what two threads keep at once is kept once."""

    def __init__(
        self,
        own: Desk,
        in_postgres: Callable[[Callable[[Session], None]], Any],
        *,
        named: Mapping[str, Desk],
    ) -> None:
        """`named` are those of sources such as `zendesk/acme`, by name; all others have `own`."""
        self.own, self._named = own, named
        self._in_postgres = in_postgres
        self._kept: set[str] = set()
        self._changed: dict[Hashable, Desk] = {}

    def of(self, claim: Claim) -> Desk:
        """The desk that a claim is triaged for.

        Raises:
            DeskUnknown: a replay wants a prompt or a taxonomy that this version has not.
        """
        name = desk_of(claim.source)
        desk = self._named.get(name, self.own)
        if claim.setting:
            desk = self._as_wanted(name, desk, claim.setting)
        if desk.sha256 not in self._kept:
            columns = desk.asked_with()
            self._in_postgres(partial(store.keep_desk, sha256=desk.sha256, columns=columns))
            self._kept.add(desk.sha256)
        return desk

    def _as_wanted(self, name: str, desk: Desk, setting: Setting) -> Desk:
        key = (name, setting.key)
        if key not in self._changed:
            try:
                self._changed[key] = changed(desk, setting)
            except (OSError, ValueError) as error:
                raise DeskUnknown(f"this worker cannot ask as the replay wants: {error}") from error
        return self._changed[key]


def changed(own: Desk, setting: Setting) -> Desk:
    """A desk that asks as a replay wants it; what it makes of the answers is of today."""
    if was := setting.as_it_was:
        taxonomy = Taxonomy.model_validate(was.taxonomy)
        return replace(
            own,
            taxonomy=taxonomy,
            grammar=reply_grammar(taxonomy),
            language=was.desk_language,
            prompt_version=was.prompt_version,
            instruction=was.instruction,
            temperature=was.temperature,
            seed=was.seed,
        )
    version = setting.prompt_version or own.prompt_version
    taxonomy = Taxonomy.model_validate(setting.taxonomy) if setting.taxonomy else own.taxonomy
    return replace(
        own,
        taxonomy=taxonomy,
        grammar=reply_grammar(taxonomy),
        prompt_version=version,
        instruction=prompts.instruction(version, taxonomy, own.language),
    )


def language_then(was: AsItWas) -> Detected:
    """The language that a ticket was taken to be in."""
    _, _, script = (was.language["language_tag"] or "").partition("-")
    return Detected(
        code=was.language["language"],
        probability=was.language["language_probability"],
        evidence=was.language["language_evidence"],
        script=script or None,
    )
