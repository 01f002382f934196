"""`triage doctor --profile`: is all there that a profile needs? And what a gate said of a build."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from worker.cli import compose
from worker.cli.desks import SCRIPTED
from worker.engine.checkpoint import Checkpoint
from worker.engine.machine import Machine, this_machine
from worker.engine.preflight import Seen, free_memory, of_checkpoint, of_machine
from worker.engine.profiles import Profile, load_profile
from worker.errors import SettingsError, TriageError
from worker.quality.gate import MARGIN, Comparison
from worker.quality.records import GateRecord
from worker.settings import Settings
from worker.triage.prompts import available_versions


def look(settings: Settings, *, strict: bool) -> Iterator[Seen]:
    """Look at one thing after another; with `strict` a warning is a refusal."""
    profile = load_profile(settings.profile)
    for seen in look_at(profile, settings):
        yield replace(seen, is_warning=seen.is_warning and not strict)


def look_at(profile: Profile, settings: Settings) -> Iterator[Seen]:
    yield Seen("profile", profile.name)
    yield prompt(profile)
    if settings.servers:
        try:
            yield servers(settings)
        except ImportError as error:  # a gateway has no tokenizers
            yield Seen("servers", f"not asked: {error}", "look from a worker", is_warning=True)
            return
        yield from look_at_model(profile, settings, None)
        return
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # what it says at its import is noise here
    try:
        machine = this_machine()
    except SettingsError as error:
        yield Seen("vLLM", str(error), "run this where workers run")
        return
    yield from of_machine(profile, machine)
    if profile.plan and machine.has_gpu:
        yield free_memory(profile, machine)
    yield from look_at_model(profile, settings, machine)


def look_at_model(profile: Profile, settings: Settings, machine: Machine | None) -> Iterator[Seen]:
    try:
        checkpoint = Checkpoint.of(profile)
    except SettingsError as error:
        yield Seen("checkpoint", "not here", str(error))
        return
    yield from of_checkpoint(profile, checkpoint, machine)
    if profile.quantization and machine:
        yield gate(profile, checkpoint, machine, settings.gates)
    elif profile.quantization:
        yield Seen("quality gate", "servers do not tell which build they run",
                   "look where they run, without TRIAGE_SERVERS", is_warning=True)  # fmt: skip


def prompt(profile: Profile) -> Seen:
    is_known = profile.prompt_version in (known := available_versions())
    missing = f"there is no prompt {profile.prompt_version}, only {', '.join(known)}"
    return Seen("prompt", profile.prompt_version, None if is_known else missing)


def servers(settings: Settings) -> Seen:
    try:
        engine = compose.server_engine(settings)
    except TriageError as error:
        return Seen("servers", str(error), "start them, or correct TRIAGE_SERVERS")
    down = ", ".join(engine.down())
    engine.stop()
    return Seen(
        "servers",
        f"{settings.servers}: {engine.identity.engine_version}",
        f"start those that do not answer: {down}" if down else None,
        is_warning=True,
    )


def gate(profile: Profile, checkpoint: Checkpoint, machine: Machine, folder: Path) -> Seen:
    """A quantized build answers worse than its reference, or not: only measuring says which."""
    how = f"`triage quality gate --candidate {profile.name} --reference … --tickets FILE`"
    of_build = GateRecord.read_all(folder, checkpoint.build(profile))
    records = [one for one in of_build if one.margin <= MARGIN]
    if not records:
        asked = f" at most {MARGIN:.0%} worse" if of_build else ""
        return Seen("quality gate", f"none of this build{asked} in {folder}", how, is_warning=True)
    passed = [one for one in records if one.has_passed]
    for one in records:
        # Too few cases say nothing beside a gate that was passed; one that was failed does.
        if one.has_failed or not passed:
            found = f"{one.comparison.verdict} against {one.reference} on {one.cases_file}"
            return Seen("quality gate", found, f"take another build, or more cases: {how}")
    last = max(passed, key=lambda one: one.at)
    found = (
        f"passed against {last.reference} on {last.comparison.cases:,} cases "
        f"({last.engine_version}, {last.at:%Y-%m-%d})"
    )
    is_same = last.engine_version == f"vllm {machine.vllm}"
    fix = None if is_same else f"vLLM is another one now: {how}"
    return Seen("quality gate", found, fix, is_warning=True)


def keep_gate(
    compared: Comparison, settings: Settings, *, reference: str, cases: Path | None, margin: float
) -> None:
    """Put a gate's result on file, where it is known which build the candidate was."""
    if settings.profile == SCRIPTED or settings.servers:
        return
    assert cases is not None
    profile = load_profile(settings.profile)
    record = GateRecord(
        build=Checkpoint.of(profile).build(profile),
        candidate=profile.name,
        reference=reference,
        engine_version=f"vllm {this_machine().vllm}",
        cases_file=cases.name,
        cases=hashlib.sha256(cases.read_bytes()).hexdigest(),
        margin=margin,
        comparison=compared,
        at=datetime.now(UTC),
    )
    path = record.write(settings.gates)
    Console(stderr=True).print(f"On file for this build: {path}", highlight=False, soft_wrap=True)
