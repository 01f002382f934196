"""Sixty plausible days of a support desk, so that every panel has something to show.

Invented, and marked so: external ids begin with `history-`. The same seed gives the same days.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from models.demo.tickets import Example, examples
from schemas.reply import LABELS, label_values
from schemas.taxonomy import Taxonomy
from worker.cli.desks import SCRIPTED, read_taxonomy
from worker.database import Sessions, opened, transaction
from worker.engine.profiles import load_profile
from worker.errors import TriageError
from worker.queues import Queue
from worker.settings import Settings
from worker.tickets import read, store
from worker.tickets.states import Outcome, State
from worker.tickets.store import Past

DAYS = 60
A_DAY, AT_WEEKENDS = 70, 15
OUTAGE_DAYS_AGO, OUTAGE_FACTOR = 9, 3
NEW_PROMPT_DAYS_AGO = 21
HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 16, 15, 13, 10, 13, 15, 14, 12, 9, 6, 4, 3, 2, 2, 1)
"""How much of a day's tickets comes in each hour."""
SOURCES = {"zendesk": 5, "zammad": 3, "generic": 1}
RIGHT = 0.93
BATCH, REPLAYED = 500, 60


def fill(sessions: Sessions, taxonomy: Taxonomy, *, profile: str, now: datetime) -> int:
    """Write the days before `now`, a transaction for each batch; how many tickets they have."""
    desk = InventedDesk(taxonomy, profile, random.Random(DAYS))
    written = 0
    past = desk.tickets(now)
    while batch := list(islice(past, BATCH)):
        with transaction(sessions) as session:
            store.write_past(session, batch)
        written += len(batch)
    with transaction(sessions) as session:
        store.write_refusals(session, list(desk.refusals(now)))
        store.write_past_replay(
            session,
            tickets=REPLAYED,
            state="done",
            actor="Ana",
            reason="is the new prompt better?",
            selection={},
            as_it_was=False,
            prompt_version="history-3",
            created_at=now - timedelta(hours=3),
            ended_at=now - timedelta(hours=2),
        )
    return written


def is_outage(text: Example) -> bool:
    return text.label["category"] == "outage" and text.language in {"de", "en"}


def invent(database_url: str, settings: Settings) -> None:
    """Fill an empty database with the sixty days before now.

    Raises:
        TriageError: there are tickets already, which must not be mixed with invented ones.
    """
    with opened(database_url, pool_size=1) as sessions:
        with transaction(sessions) as session:
            if read.latest(session, state=None, limit=1):
                raise TriageError(
                    f"{settings.data_dir} has tickets already: take another TRIAGE_DATA_DIR for "
                    "--history"
                )
        profile = load_profile("demo" if settings.profile == SCRIPTED else settings.profile)
        fill(sessions, read_taxonomy(settings), profile=profile.name, now=datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class InventedDesk:
    taxonomy: Taxonomy
    profile: str
    rng: random.Random

    def tickets(self, now: datetime) -> Iterator[Past]:
        texts = examples("train", seed=DAYS, noise=False)
        of_outage = (text for text in examples("train", seed=1, noise=False) if is_outage(text))
        number = 0
        for days_ago in range(DAYS, -1, -1):
            midnight = (now - timedelta(days=days_ago)).replace(hour=0, minute=0, second=0)
            for place in range(self.volume(midnight, days_ago)):
                hour = self.rng.choices(range(24), HOURS)[0]
                at = midnight + timedelta(hours=hour, seconds=self.rng.uniform(0, 3600))
                if at < now - timedelta(minutes=10):
                    number += 1
                    text = next(of_outage if place >= 1.5 * A_DAY else texts)
                    yield self.ticket(number, at, days_ago, text)

    def volume(self, day: datetime, days_ago: int) -> int:
        usual = AT_WEEKENDS if day.weekday() >= 5 else A_DAY
        mean = A_DAY * OUTAGE_FACTOR if days_ago == OUTAGE_DAYS_AGO else usual
        return max(1, round(self.rng.gauss(mean, mean / 10)))

    def ticket(self, number: int, at: datetime, days_ago: int, example: Example) -> Past:
        what = self.rng.random()
        ticket = {
            "source": self.rng.choices(list(SOURCES), list(SOURCES.values()))[0],
            "external_id": f"history-{number}",
            "content_key": f"history-{number}",
            "subject": example.subject,
            "body": example.body,
            "queue": Queue.LIVE,
            "received_at": at,
            "not_before": at,
            "updated_at": at,
        }
        repeats = 1 if self.rng.random() < 0.03 else 0
        if what < 0.04:
            ignored = {"state": State.IGNORED, "reason": "an agent's reply", "attempts": 0}
            return Past({**ticket, **ignored, "language": None}, repeats=repeats)
        waited_s = self.rng.lognormvariate(0.3, 0.8) * (8 if days_ago == OUTAGE_DAYS_AGO else 1)
        attempt = self.attempt(example, at, waited_s, days_ago)
        if what < 0.048:
            return self.dead(ticket, attempt, repeats)
        return self.answered(ticket, attempt, example, repeats)

    def attempt(
        self, example: Example, at: datetime, waited_s: float, days_ago: int
    ) -> dict[str, Any]:
        engine_ms = int(self.rng.lognormvariate(7.6, 0.3))
        began = at + timedelta(seconds=waited_s)
        prompt_tokens = 620 + len(example.body) // 4
        return {
            "number": 1,
            "worker": f"worker-{1 + at.day % 2}",
            "started_at": began,
            "finished_at": began + timedelta(milliseconds=engine_ms + 20),
            "profile": self.profile,
            "model": self.profile,
            "prompt_version": "history-2" if days_ago < NEW_PROMPT_DAYS_AGO else "history-1",
            "taxonomy_version": self.taxonomy.version,
            "language": example.language,
            "language_tag": example.language,
            "queue_ms": int(waited_s * 1000),
            "engine_ms": engine_ms,
            "prompt_tokens": prompt_tokens,
            "cached_tokens": int(prompt_tokens * self.rng.uniform(0.7, 0.85)),
            "output_tokens": int(self.rng.gauss(140, 25)),
            "finish_reason": "stop",
        }

    def dead(self, ticket: Mapping[str, Any], attempt: dict[str, Any], repeats: int) -> Past:
        reason = "no answer within 120 s; raise TRIAGE_DEADLINE_S or add a worker"
        return Past(
            {**ticket, "state": State.NEEDS_HUMAN, "reason": reason, "attempts": 4,
             "language": attempt["language"]},
            {**attempt, "number": 4, "outcome": Outcome.RETRY, "reason": reason,
             "error": "DeadlineExceeded", "finish_reason": None, "output_tokens": None},
            repeats=repeats,
        )  # fmt: skip

    def answered(
        self, ticket: Mapping[str, Any], attempt: dict[str, Any], example: Example, repeats: int
    ) -> Past:
        said, confidence, wrong = self.labels(example)
        least = min(confidence.values())
        findings = []
        if self.rng.random() < 0.03:
            findings.append(("no_placeholder", "[Name]"))
        reason: str | None
        if findings:
            disposition, reason = "human", "failed checks: no_placeholder"
        elif least < 0.5:
            disposition, reason = "human", f"unsure: confidence {least:.2f} of 0.50"
        else:
            disposition, reason = ("auto", None) if least >= 0.9 else ("suggest", "unsure")
        state = State.NEEDS_HUMAN if disposition == "human" else State.REPLIED
        written_back = None
        if ticket["source"] == "zendesk" and state is State.REPLIED:
            written_back = "skipped" if self.rng.random() < 0.08 else "done"
        noticed = {name for name in wrong if self.rng.random() < 0.6}
        return Past(
            {**ticket, "state": state, "reason": reason if disposition == "human" else None,
             "attempts": 1, "language": example.language},
            {**attempt, "outcome": state, "reason": reason if disposition == "human" else None,
             "error": None},
            {**said, "entities": example.label["entities"], "summary": example.label["summary"],
             "reply": example.label["reply"], "confidence": confidence, "least_confidence": least,
             "disposition": disposition, "disposition_reason": reason,
             "created_at": attempt["finished_at"]},
            findings,
            {name: example.label[name] for name in noticed},
            repeats,
            written_back,
        )  # fmt: skip

    def labels(self, example: Example) -> tuple[dict[str, str], dict[str, float], set[str]]:
        """What the model said of each label, how sure it was, and where it was wrong."""
        said: dict[str, str] = {}
        confidence: dict[str, float] = {}
        wrong: set[str] = set()
        for name, allowed in label_values(self.taxonomy).items():
            truth = example.label[name]
            is_right = self.rng.random() < RIGHT
            said[name] = truth if is_right else self.rng.choice(allowed)
            confidence[name] = round(self.rng.betavariate(*((40, 1) if is_right else (6, 3))), 4)
            if said[name] != truth:
                wrong.add(name)
        assert set(said) == set(LABELS)
        return said, confidence, wrong

    def refusals(self, now: datetime) -> Iterator[dict[str, Any]]:
        for days_ago in range(0, DAYS, 4):
            hour = (now - timedelta(days=days_ago, hours=2)).replace(
                minute=0, second=0, microsecond=0, tzinfo=UTC
            )
            yield {
                "hour": hour,
                "source": "zammad",
                "kind": "bad signature",
                "refused": self.rng.randint(1, 9),
            }
