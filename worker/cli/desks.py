"""The desks that the settings describe: the one of the settings, and those of TRIAGE_DESKS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from schemas.desks import OwnDesk, Taxonomies, load_desks
from schemas.taxonomy import Taxonomy, load_taxonomy
from schemas.thresholds import Thresholds, load_thresholds
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.errors import SettingsError
from worker.settings import Settings
from worker.triage import prompts
from worker.triage.desk import Desk
from worker.triage.language import LanguageDetector

SCRIPTED = "scripted"


def make_desk(settings: Settings, detector: LanguageDetector | None = None) -> Desk:
    """How this desk triages.

    Raises:
        SettingsError: the taxonomy cannot be read.
    """
    profile = load_profile("demo" if settings.profile == SCRIPTED else settings.profile)
    taxonomy = read_taxonomy(settings)
    return Desk(
        taxonomy=taxonomy,
        language=settings.desk_language,
        prompt_version=profile.prompt_version,
        instruction=prompts.instruction(profile.prompt_version, taxonomy, settings.desk_language),
        grammar=reply_grammar(taxonomy),
        temperature=profile.sampling.temperature,
        seed=profile.sampling.seed,
        thresholds=read_thresholds(settings),
        deadline_s=settings.deadline_s,
        detector=detector or LanguageDetector(),
    )


def named_desks(settings: Settings, own: Desk) -> dict[str, Desk]:
    """The desks of TRIAGE_DESKS by name; what one leaves out is as in the settings.

    Raises:
        SettingsError: the file, or a taxonomy or thresholds it names, cannot be read.
    """
    found = {}
    for name, given in read_desks(settings).items():
        with of_desk(name):
            desk = make_desk(settings_of(given, settings), own.detector)
        found[name] = replace(desk, languages=frozenset(given.languages or own.languages))
    return found


def read_desks(settings: Settings) -> dict[str, OwnDesk]:
    if settings.desks is None:
        return {}
    with naming("TRIAGE_DESKS"):
        return load_desks(settings.desks)


def settings_of(given: OwnDesk, settings: Settings) -> Settings:
    """The settings as they are for one of the desks."""
    return settings.model_copy(update=given.model_dump(exclude={"languages"}, exclude_none=True))


@contextmanager
def of_desk(name: str) -> Iterator[None]:
    """
    Raises:
        SettingsError: as before, and it says which desk it is about.
    """
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"desk {name}: {error}") from error


def read_taxonomy(settings: Settings) -> Taxonomy:
    with naming("TRIAGE_TAXONOMY"):
        return load_taxonomy(settings.taxonomy)


def read_taxonomies(settings: Settings) -> Taxonomies:
    """The taxonomy of every desk.

    Raises:
        SettingsError: one of them, or TRIAGE_DESKS, cannot be read.
    """
    named = {}
    for name, given in read_desks(settings).items():
        if given.taxonomy:
            with of_desk(name):
                named[name] = read_taxonomy(settings_of(given, settings))
    return Taxonomies(read_taxonomy(settings), named)


def read_thresholds(settings: Settings) -> Thresholds:
    if settings.thresholds is None:
        return Thresholds.same(suggest=settings.suggest_confidence, auto=settings.auto_confidence)
    with naming("TRIAGE_THRESHOLDS"):
        return load_thresholds(settings.thresholds)


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """
    Raises:
        SettingsError: what this setting names cannot be read; says which setting it is.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise SettingsError(f"{setting}: {error}") from error
