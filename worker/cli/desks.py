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
    return {name: named_desk(given, settings, own) for name, given in read_desks(settings).items()}


def read_desks(settings: Settings) -> dict[str, OwnDesk]:
    if settings.desks is None:
        return {}
    with naming("TRIAGE_DESKS"):
        return load_desks(settings.desks)


def named_desk(given: OwnDesk, settings: Settings, own: Desk) -> Desk:
    changes = given.model_dump(exclude={"languages"}, exclude_none=True)
    desk = make_desk(settings.model_copy(update=changes), own.detector)
    return replace(desk, languages=frozenset(given.languages or own.languages))


def read_taxonomy(settings: Settings) -> Taxonomy:
    with naming("TRIAGE_TAXONOMY"):
        return load_taxonomy(settings.taxonomy)


def read_taxonomies(settings: Settings) -> Taxonomies:
    """The taxonomy of every desk.

    Raises:
        SettingsError: one of them, or TRIAGE_DESKS, cannot be read.
    """
    named = {
        name: read_taxonomy(settings.model_copy(update={"taxonomy": given.taxonomy}))
        for name, given in read_desks(settings).items()
        if given.taxonomy
    }
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
