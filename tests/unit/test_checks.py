"""Checks: each finds its fault, and the good reply has none."""

import time
from typing import Any

import pytest

from schemas.reply import Reply
from schemas.taxonomy import Taxonomy
from tests.replies import GERMAN_BODY, GERMAN_SUBJECT, written
from worker.triage import checks, prompts
from worker.triage.checks import Subject
from worker.triage.language import LanguageDetector
from worker.triage.promises import promises


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
            {"reply": "Guten Tag! Wir prüfen das <a href=x> und melden uns bei Ihnen."},
            "no_markup",
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
            {"summary": "The customer was charged twice. " * 4},
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


@pytest.mark.parametrize(
    ("ticket", "reply", "is_invented"),
    [
        ("Bestellung 12, Artikel 34.", "Wir prüfen die Bestellung 1234.", True),
        ("Bestellung 1234.", "Wir prüfen die Bestellung 12-34.", False),
        ("Rufen Sie an: 0170 / 1234567.", "Wir rufen unter 0170/1234567 an.", False),
        ("Rechnung RE-2026-0412.", "Wir prüfen die Rechnung 0412 aus 2026.", False),
    ],
)
def test_a_number_is_one_of_the_tickets_not_its_digits_run_together(
    taxonomy: Taxonomy, detector: LanguageDetector, ticket: str, reply: str, is_invented: bool
) -> None:
    parsed = Reply.parse(written(reply=reply, entities=[]), taxonomy)
    subject = Subject(ticket, "de", parsed, "", detector)

    assert bool(list(checks.no_invented_number(subject))) is is_invented


@pytest.mark.parametrize(
    "reply",
    [
        "您好，我们会尽快处理您的问题。",
        "承知いたしました。",
        "Alles Weitere finden Sie unter acme-support.com/reset für Sie.",
        "Alles Weitere finden Sie auf acme-hilfe.de für Sie, danke.",
        "Alles Weitere steht auf HTTPS://ACME.EXAMPLE/RESET für Sie.",
        "Alles Weitere steht auf ftp://files.acme für Sie bereit, danke.",
        "Alles Weitere steht auf http://acme.co für Sie bereit, danke.",
        "Alles Weitere steht auf https://acme.com/login für Sie bereit.",
        "Ihre Bestellung 482 ist in Arbeit, wir melden uns.",
    ],
)
def test_what_is_not_of_the_ticket_is_found_however_it_is_written(
    taxonomy: Taxonomy, detector: LanguageDetector, reply: str
) -> None:
    parsed = Reply.parse(written(reply=reply, entities=[]), taxonomy)
    ticket = (
        "Ich komme seit gestern nicht mehr auf https://www.acme.com/konto herein, bitte helfen."
    )

    assert len(checks.findings(Subject(ticket, "de", parsed, "", detector))) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "Guten Tag! Wir prüfen, warum acme.com/konto bei Ihnen nicht geht.",
        "Guten Tag! Wir prüfen, warum HTTPS://WWW.ACME.COM/konto/ nicht geht.",
        "Guten Tag! Wir prüfen die Seite acme.com und rufen +49 301234567 an.",
        "Guten Tag! Wir prüfen https://shop.de/konto gleich und rufen +49 30 1234567 an.",
        "Guten Tag! Microsoft 365 zeigt Fehler 404 (§ 312), Node.js/Express und ASP.NET nicht.",
        "Guten Tag! Bitte senden Sie rechnung.pdf/rechnung.xml aus Mail.app oder Socket.io.",
        "Guten Tag! Wir prüfen das now.it should, fait.me contacter; bitte haben Sie Geduld.",
        "Guten Tag! Die Prüfung ist erledigt.Bitte haben Sie Geduld, z.B. bis morgen.",
        "Guten Tag! Die Störung dauert an (24/7 im Blick, Stand 10:30 Uhr, bzw. ca. 3,5 Std./Tag).",
    ],
)
def test_what_is_of_the_ticket_or_no_address_is_not_found(
    taxonomy: Taxonomy, detector: LanguageDetector, reply: str
) -> None:
    parsed = Reply.parse(written(reply=reply, entities=[]), taxonomy)
    ticket = (
        "Ich komme nicht mehr auf https://www.acme.com/konto und "
        "https://shop.de/konto/bestellungen/4711?utm_source=mail#top herein. Tel. +49 30 1234567\n"
        "10115 Berlin"
    )

    assert checks.findings(Subject(ticket, "de", parsed, "", detector)) == ()


def test_checks_take_time_linear_in_a_hostile_text(
    taxonomy: Taxonomy, detector: LanguageDetector
) -> None:
    parsed = Reply.parse(written(reply="Guten Tag! Wir prüfen das.", entities=[]), taxonomy)
    for piece in ("aa.", "a/", "http", "+1 ", "[", "<a ", "\n/", "1.", "www.", "a@"):
        started = time.monotonic()
        subject = Subject(piece * 20_000, "de", parsed, "", detector)
        list(checks.no_invented_address(subject))
        list(checks.no_invented_number(subject))
        assert time.monotonic() - started < 2, piece


@pytest.mark.parametrize(
    ("ticket", "reply", "is_promise"),
    [
        ("Der Preis war 10.50 EUR.", "Sie bekommen 1050 € zurück.", True),
        ("Der Preis war 10,50 EUR.", "Sie bekommen 10.50 € zurück.", False),
        ("I paid 1,050 dollars.", "You get $1050.00 back.", False),
        ("Ich habe 1.050 Euro bezahlt.", "Sie bekommen 10,50 Euro zurück.", True),
    ],
)
def test_a_sum_is_the_same_however_it_is_written_and_no_other(
    ticket: str, reply: str, is_promise: bool
) -> None:
    assert bool(list(promises(reply, ticket))) is is_promise
