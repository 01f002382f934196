"""Checks: each finds its fault, and the good reply has none."""

from typing import Any

import pytest

from schemas.reply import Reply
from schemas.taxonomy import Taxonomy
from tests.replies import GERMAN_BODY, GERMAN_SUBJECT, written
from worker.triage import checks, prompts
from worker.triage.checks import Subject
from worker.triage.language import LanguageDetector


@pytest.fixture
def found(taxonomy: Taxonomy, detector: LanguageDetector) -> Any:
    def run(**changes: Any) -> list[str]:
        subject = Subject(
            ticket=f"{GERMAN_SUBJECT}\n\n{GERMAN_BODY}",
            language="de",
            reply=Reply.parse(written(**changes), taxonomy),
            instruction=prompts.instruction("triage-1", taxonomy, "en"),
            detector=detector,
        )
        return [finding.check for finding in checks.findings(subject)]

    return run


def test_a_good_reply_has_no_findings(found: Any) -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        (
            {"reply": "Hello, we are looking into your invoice and will write again soon."},
            "reply_in_the_customers_language",
        ),
        ({"reply": " "}, "reply_is_there"),
        ({"category": "spam"}, "spam_gets_no_reply"),
        (
            {"entities": [{"kind": "order", "value": "A-99999"}]},
            "entities_stand_in_the_ticket",
        ),
        (
            {"reply": "Guten Tag! Alles Weitere steht auf https://hilfe.example.com für Sie."},
            "no_invented_address",
        ),
        (
            {"reply": "Guten Tag! Bitte rufen Sie uns unter +49 30 1234567 an, danke sehr."},
            "no_invented_address",
        ),
        (
            {"reply": "Guten Tag! Die Rechnung RE-2026-9999 wird gerade von uns geprüft."},
            "no_invented_number",
        ),
        (
            {"reply": "Guten Tag! Wir garantieren Ihnen, dass das heute noch erledigt wird."},
            "no_forbidden_promise",
        ),
        (
            {"reply": "Guten Tag [Name], wir prüfen das gerade und melden uns bei Ihnen."},
            "no_placeholder",
        ),
        (
            {"summary": "".join(map(chr, range(0x4E00, 0x4E00 + 200)))},
            "text_is_complete",
        ),
        (
            {"reply": "Wir prüfen das gerne. " * 4},
            "no_repetition",
        ),
        (
            {"summary": "Promise nothing (no refund, no date, no discount)."},
            "no_echo_of_the_instruction",
        ),
    ],
)
def test_each_fault_is_found_by_its_check(found: Any, changes: dict[str, Any], check: str) -> None:
    assert found(**changes) == [check]


def test_every_check_is_shown_to_find_something() -> None:
    marks = test_each_fault_is_found_by_its_check.pytestmark  # type: ignore[attr-defined]
    shown = {case[1] for case in marks[0].args[1]}

    assert shown == {check.__name__ for check in checks.CHECKS}


def test_numbers_written_differently_than_in_the_ticket_are_not_invented(found: Any) -> None:
    assert found(reply="Guten Tag! Ihre Rechnung RE 2026 0412 wird von uns noch geprüft.") == []


def test_numbers_are_the_same_in_any_width(taxonomy: Taxonomy, detector: LanguageDetector) -> None:
    reply = Reply.parse(
        written(reply="ご注文1234567の5000円を確認いたします。", entities=[]), taxonomy
    )
    subject = Subject(
        "注文１２３４５６７で５０００円が引き落とされました。", "ja", reply, "", detector
    )

    assert list(checks.no_invented_number(subject)) == []
    assert list(checks.no_forbidden_promise(subject)) == []
