"""Settings: read from the environment, refused by name when they make no sense."""

import pytest

from worker.engine.profiles import load_profile, profile_names
from worker.errors import SettingsError
from worker.settings import load_settings
from worker.triage.prompts import available_versions


def test_defaults_make_sense() -> None:
    settings = load_settings()

    assert settings.in_flight == 16
    assert settings.lease_s > settings.sweep_interval_s


def test_a_webhook_secret_is_read_per_source_and_never_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIAGE_WEBHOOK_SECRETS__ZENDESK", "hush-hush")

    settings = load_settings()

    assert settings.webhook_secrets["zendesk"].get_secret_value() == "hush-hush"
    assert "hush-hush" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIAGE_IN_FLIGHT", "many"),
        ("TRIAGE_DEADLINE_S", "-1"),
        ("TRIAGE_DESK_LANGUAGE", "xx"),
        ("TRIAGE_LOG_LEVEL", "LOUD"),
        ("TRIAGE_LEASE_S", "0"),
        ("TRIAGE_LEASE_S", "86400"),
        ("TRIAGE_MAX_ATTEMPTS", "0"),
        ("TRIAGE_MAX_CRASHES", "1000"),
        ("TRIAGE_QUEUES", "triage.lvie"),
        ("TRIAGE_QUEUES", ""),
        ("TRIAGE_QUEUES", "triage.live,triage.live"),
        ("TRIAGE_BACKOFF_BASE_S", "1000"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize("secret", ["", "…", "1234567"])
def test_a_secret_that_anybody_could_guess_is_refused(secret: str) -> None:
    with pytest.raises(SettingsError, match="TRIAGE_WEBHOOK_SECRETS__GENERIC"):
        load_settings(webhook_secrets={"generic": secret})


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(SettingsError, match="TRIAGE_SUGGEST_CONFIDENCE"):
        load_settings(suggest_confidence=0.9, auto_confidence=0.5)


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_loads_and_has_its_prompt(name: str) -> None:
    assert load_profile(name).prompt_version in available_versions()


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="demo, llama-awq-32k"):
        load_profile("gpt")
