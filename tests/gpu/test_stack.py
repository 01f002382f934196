"""The whole product on a GPU, webhook to reply, with the production profile's engine."""

from pathlib import Path

import pytest

from bench.stack import WARM_UP, warm_stack
from schemas.reply import label_values
from worker.cli.desks import read_taxonomy
from worker.database import transaction
from worker.settings import load_settings
from worker.tickets import read

pytestmark = [pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]


def test_what_webhooks_bring_stands_answered_in_postgres(profile_file: Path) -> None:
    taxonomy = read_taxonomy(load_settings())

    with warm_stack(str(profile_file)) as (_, sessions), transaction(sessions) as session:
        tickets = read.latest(session, state=None, limit=2 * WARM_UP)

    assert len(tickets) == WARM_UP
    for ticket in tickets:
        assert (ticket["state"], ticket["attempts"]) in {("replied", 1), ("needs_human", 1)}
        for name, values in label_values(taxonomy).items():
            assert ticket[name] in values
            assert 0.0 <= ticket["confidence"][name] <= 1.0
