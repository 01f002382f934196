"""The way back: what a helpdesk's API is to the rest of the product.

Nothing here posts in public unless it is told to twice (`Draft.public` comes of two settings).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

TAGGED = ("category", "language", "sentiment")
MARKER = "[ticket-triage {}]"
"""Stands at the end of every text of ours, with the id of the reply."""


def signed(reply: str, marker: str) -> str:
    return f"{reply}\n\n{marker}"


@dataclass(frozen=True, slots=True)
class Draft:
    """What goes back to a ticket. `marker` stands in every text of ours, and tells it again.

    `labels` are category, type, priority, sentiment and language; `fields` says which of them go
    into which custom field. `note` is the draft with summary and labels, for people to read;
    `reply` the bare reply. `sent` are the texts that we may have posted in public to this
    conversation before, `earlier` the labels that we may have given it.
    """

    external_id: str
    marker: str
    labels: Mapping[str, str]
    summary: str
    reply: str
    fields: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    sent: Collection[str] = ()
    earlier: Collection[tuple[str, str]] = ()

    @property
    def tags(self) -> list[str]:
        """`category__billing` and the like."""
        return self.tags_of(*TAGGED)

    def tags_of(self, *names: str) -> list[str]:
        return [f"{name}__{self.labels[name]}" for name in names if self.labels[name]]

    def outdated(self, there: Iterable[str], *names: str) -> list[str]:
        """Of the tags that are there, those that an earlier reply of ours gave and that say
        otherwise now: of `names`, else of what is a tag everywhere.
        """
        names = names or TAGGED
        given = {
            f"{name}__{value}"
            for name, value in self.earlier
            if name in names and self.labels[name] not in ("", value)
        }
        return sorted(given.intersection(there))

    def all_tags(self, there: Iterable[str]) -> list[str]:
        """Ours in place of our earlier ones, beside those that are not ours."""
        return sorted({*there, *self.tags} - {*self.outdated(there)})

    @property
    def note(self) -> str:
        """A note for the desk, in plain text."""
        labels = ", ".join(f"{name}: {value}" for name, value in self.labels.items())
        return f"{self.summary}\n\n{self.reply}\n\n{labels}\n{self.marker}"

    @property
    def signed_reply(self) -> str:
        """The reply as a true draft, which its marker tells again until a person sends it."""
        return signed(self.reply, self.marker)

    def custom_fields(self) -> dict[str, str]:
        """Values of custom fields, by the helpdesk's id of the field."""
        return {self.fields[name]: self.labels[name] for name in self.fields if name in self.labels}


@dataclass(frozen=True, slots=True)
class Remote:
    """A conversation as it is over there: whether a person has answered what the customer wrote
    last, when one last answered anything, our own note if it has one.

    `version` is what an update must still find; `tags` those it has.
    """

    touched: bool
    answered_at: datetime | None = None
    ours: str | None = None
    version: str = ""
    tags: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


class Outlet(Protocol):
    """One helpdesk's API. Safe to share between threads."""

    def look(self, draft: Draft) -> Remote:
        """What became of its ticket over there, before it is written.

        Raises:
            OutletError: see `worker.errors`.
        """
        ...

    def write(self, draft: Draft, remote: Remote) -> str:
        """Write labels and draft, in place of our earlier ones; the id of our note or draft.

        Raises:
            OutletError: see `worker.errors`.
        """
        ...

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        """Tickets since then, oldest first, each as the body of a webhook that brings it.

        Raises:
            OutletError: see `worker.errors`.
        """
        ...
