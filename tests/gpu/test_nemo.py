"""The way of a ticket on Mistral Nemo's architecture, on a GPU: the production profile's own
engine, with random weights where TRIAGE_MODEL_DIR holds none. What random weights write is
nonsense, but the grammar makes a reply of it, and all of the pipeline runs.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bench.models import AWQ
from bench.workload import workload
from schemas.reply import label_values
from worker.cli.desks import make_desk
from worker.engine import preflight
from worker.engine.checkpoint import Checkpoint
from worker.engine.machine import this_machine
from worker.engine.memory import GB
from worker.engine.profiles import Profile, load_profile
from worker.engine.vllm_engine import VllmEngine
from worker.errors import DeadlineExceeded
from worker.settings import load_settings
from worker.triage import pipeline
from worker.triage.desk import Desk
from worker.triage.pipeline import Triaged

pytestmark = [pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def profile(profile_file: Path) -> Profile:
    return load_profile(str(profile_file))


@pytest.fixture(scope="module")
def engine(profile: Profile) -> Iterator[VllmEngine]:
    engine = VllmEngine(profile)
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def desk() -> Desk:
    return make_desk(load_settings(profile="nemo-awq-32k", deadline_s=300.0))


@pytest.fixture(scope="module")
def triaged(engine: VllmEngine, desk: Desk) -> list[Triaged]:
    """32 tickets in five languages, 16 at once."""
    pipeline.warm_up(engine, desk)
    with ThreadPoolExecutor(16) as threads:
        return list(
            threads.map(
                lambda one: pipeline.triage(one.subject, one.body, None, engine, desk),
                workload(32),
            )
        )


def test_the_preflight_finds_the_profile_well(profile: Profile) -> None:
    found = [
        *preflight.of_machine(profile, this_machine()),
        *preflight.of_checkpoint(profile, Checkpoint.of(profile), this_machine()),
    ]

    assert [one for one in found if one.fix and not one.is_warning] == []


def test_every_ticket_has_labels_of_the_taxonomy(triaged: list[Triaged], desk: Desk) -> None:
    written = [one.reply for one in triaged if one.reply]

    assert len(written) == len(triaged)  # the grammar leaves no other way
    for reply in written:
        for field, values in label_values(desk.taxonomy).items():
            assert getattr(reply, field) in values


def test_every_label_has_a_probability(triaged: list[Triaged]) -> None:
    for one in triaged:
        assert set(one.confidence) == {"category", "type", "priority", "sentiment"}
        assert all(0.0 <= value <= 1.0 for value in one.confidence.values())


def test_most_of_a_prompt_comes_from_the_cache(triaged: list[Triaged]) -> None:
    told = [one.generation for one in triaged if one.generation]

    cached = sum(one.cached_tokens for one in told)
    assert cached / sum(one.prompt_tokens for one in told) >= 0.6


def test_a_request_past_its_deadline_leaves_the_engine(engine: VllmEngine, desk: Desk) -> None:
    hurried = replace(desk, deadline_s=0.05)
    ticket = workload(1)[0]

    with pytest.raises(DeadlineExceeded):
        pipeline.triage(ticket.subject, ticket.body, None, engine, hurried)
    assert pipeline.triage(ticket.subject, ticket.body, None, engine, desk).reply is not None


def test_the_plan_of_memory_agrees_with_what_vllm_found(
    engine: VllmEngine, profile: Profile
) -> None:
    config = engine._llm.vllm_config.cache_config
    assert profile.plan is not None
    card_gb = this_machine().memory_gb

    planned = replace(profile.plan, card_gb=card_gb)

    told = (config.num_gpu_blocks or 0) * config.block_size
    differ_gb = (told - planned.kv_tokens) * planned.shape.kv_bytes(planned.cache) / GB
    assert differ_gb == pytest.approx(0, abs=2.0)  # of weights, activations and overhead together


def test_the_folder_of_a_model_with_random_weights_is_quantized_as_the_profile_says() -> None:
    assert AWQ["quant_method"] == load_profile("nemo-awq-32k").kept_as
