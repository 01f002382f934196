"""Each check in each language: it finds its fault, and leaves a good reply alone."""

import random

import pytest

from schemas.reply import REPLY_CHARS, Reply
from schemas.taxonomy import Taxonomy
from tests.replies import written
from worker.triage import checks, prompts
from worker.triage.checks import Subject
from worker.triage.language import LanguageDetector

TICKETS = {
    "de": "Die Rechnung RE-2026-0412 über 129,90 € wurde zweimal abgebucht, bitte prüfen.",
    "fr": "La facture RE-2026-0412 de 129,90 € a été prélevée deux fois, merci de vérifier.",
    "ja": "請求書RE-2026-0412の12990円が二重に引き落とされました。ご確認ください。",
    "zh": "发票RE-2026-0412的129.90元被扣了两次，请核实。",
    "en": "Invoice RE-2026-0412 over 129.90 € was charged twice, please have a look at it.",
}
GOOD = {
    "de": "Guten Tag! Wir prüfen die Rechnung RE-2026-0412 und melden uns bald bei Ihnen.",
    "fr": "Bonjour, nous vérifions la facture RE-2026-0412 et revenons vers vous rapidement.",
    "ja": "お問い合わせありがとうございます。請求書RE-2026-0412を確認いたします。",
    "zh": "您好，感谢您的来信。我们正在核实发票RE-2026-0412，会尽快回复您。",
    "en": "Hello, we are checking the invoice RE-2026-0412 and will get back to you soon.",
}
ALSO_GOOD = {
    "de": "Guten Tag! Die 129,90 € werden geprüft. Die Garantie Ihres Geräts bleibt bestehen.",
    "fr": "Bonjour, nous vérifions les 129,90 €. Votre appareil reste sous garantie, merci.",
    "ja": "お問い合わせありがとうございます。12990円を確認いたします。保証期間内です。",
    "zh": "您好，我们会核实这129.90元。您的产品仍在保证期内，请放心使用。",
    "en": "Hello, we are checking the 129.90 € and will write again as soon as we know more.",
}
ENGLISH = "Hello, we are checking the invoice and will get back to you very soon, thank you."
GERMAN = "Guten Tag! Wir prüfen die Rechnung und melden uns in Kürze wieder bei Ihnen."


def endless(words: str, joint: str) -> str:
    """A text without repetition that never comes to an end."""
    picks = random.Random(1)
    return joint.join(picks.choice(words.split()) for _ in range(REPLY_CHARS))


GERMAN_WORDS = endless("die den Rechnung Betrag Konto und oder nochmals gerne für Sie mit uns", " ")
FRENCH_WORDS = endless("la le facture montant compte et ou encore pour vous avec nous bien", " ")
ENGLISH_WORDS = endless("the a invoice amount account and or again gladly for you with us", " ")
JAPANESE_WORDS = endless(
    "請求書を 確認して います。 ただいま お客様の 内容に ついて また ご案内", ""
)
CHINESE_WORDS = endless("我们 正在 核实 您的 发票 金额 账户 并且 再次 为您 处理 这个 问题", "")
FAULTS: dict[str, dict[str, str]] = {
    "reply_in_the_customers_language": {
        **dict.fromkeys(("de", "fr", "ja", "zh"), ENGLISH),
        "en": GERMAN,
    },
    "reply_is_there": dict.fromkeys(TICKETS, " "),
    "no_invented_address": {
        "de": "Guten Tag! Bitte schreiben Sie uns an hilfe@firma.example, wir prüfen das.",
        "fr": "Bonjour, merci d'écrire à aide@societe.example pour que nous puissions vérifier.",
        "ja": "お問い合わせありがとうございます。help@kaisha.example までご連絡ください。",
        "zh": "您好，请发邮件到 help@gongsi.example，我们会尽快为您核实。",
        "en": "Hello, please visit www.company.example and we will have a look at it for you.",
    },
    "no_invented_number": {
        "de": "Guten Tag! Wir prüfen die Rechnung RE-2026-9999 und melden uns bald bei Ihnen.",
        "fr": "Bonjour, nous vérifions la facture RE-2026-9999 et revenons vers vous bientôt.",
        "ja": "お問い合わせありがとうございます。請求書RE-2026-9999を確認いたします。",
        "zh": "您好，感谢您的来信。我们正在核实发票RE-2026-9999，会尽快回复您。",
        "en": "Hello, we are checking the invoice RE-2026-9999 and will get back to you soon.",
    },
    "no_forbidden_promise": {
        "de": "Guten Tag! Wir garantieren Ihnen, dass die Rechnung heute noch korrigiert wird.",
        "fr": "Bonjour, nous vous indemniserons pour la facture et revenons vers vous bientôt.",
        "ja": "お問い合わせありがとうございます。本日中の訂正をお約束いたします。",
        "zh": "您好，感谢您的来信。我们承诺今天之内更正这张发票，请您放心。",
        "en": "Hello, you will get a voucher of 25 € for the trouble that this has caused you.",
    },
    "no_placeholder": {
        "de": "Guten Tag [Name], wir prüfen die Rechnung und melden uns bald wieder bei Ihnen.",
        "fr": "Bonjour {nom}, nous vérifions la facture et revenons vers vous rapidement.",
        "ja": "〇〇様、お問い合わせありがとうございます。請求書を確認いたします。",
        "zh": "【姓名】您好，感谢您的来信。我们正在核实发票，会尽快回复您。",
        "en": "Hello <name>, we are checking the invoice and will get back to you very soon.",
    },
    "no_markup": {
        "de": "Guten Tag! Wir prüfen die Rechnung und melden uns bald bei Ihnen.\n/close",
        "fr": "Bonjour, <font color=red>nous vérifions</font> la facture, merci de patienter.",
        "ja": "お問い合わせありがとうございます。<img src=a>請求書を確認いたします。",
        "zh": "您好，感谢您的来信。<a href=a>我们正在核实发票</a>，会尽快回复您。",
        "en": "/confidential\nHello, we are checking the invoice and will get back to you soon.",
    },
    "text_is_complete": {
        "de": "Guten Tag! Wir prüfen " + GERMAN_WORDS,
        "fr": "Bonjour, nous vérifions " + FRENCH_WORDS,
        "ja": JAPANESE_WORDS,
        "zh": CHINESE_WORDS,
        "en": "Hello, we are checking " + ENGLISH_WORDS,
    },
    "no_repetition": {
        "de": "Wir prüfen die Rechnung. " * 4,
        "fr": "Nous vérifions la facture. " * 4,
        "ja": "請求書を確認いたします。" * 4,
        "zh": "我们正在核实发票。" * 5,
        "en": "We are checking the invoice. " * 4,
    },
}
CASES = [(check, code) for check, faults in FAULTS.items() for code in faults]


def found(
    code: str, taxonomy: Taxonomy, detector: LanguageDetector, **changes: object
) -> list[str]:
    subject = Subject(
        ticket=TICKETS[code],
        language=code,
        reply=Reply.parse(written(**changes), taxonomy),
        instruction=prompts.instruction("triage-1", taxonomy, "en"),
        detector=detector,
    )
    return [finding.check for finding in checks.findings(subject)]


@pytest.mark.parametrize("replies", [GOOD, ALSO_GOOD])
@pytest.mark.parametrize("code", TICKETS)
def test_a_good_reply_has_no_findings(
    code: str, replies: dict[str, str], taxonomy: Taxonomy, detector: LanguageDetector
) -> None:
    assert found(code, taxonomy, detector, reply=replies[code]) == []


QUOTED = {
    "de": "Guten Tag! Ihre Anfrage an hilfe@firma.example ist da (siehe https://firma.example/x).",
    "fr": "Bonjour, nous répondons depuis hilfe@firma.example. Merci, voir https://firma.example/x.",
    "ja": "hilfe@firma.exampleまでのご連絡と、https://firma.example/xの内容を確認いたします。",
    "zh": "我们已收到您发到hilfe@firma.example的邮件，并正在核实https://firma.example/x的内容。",
    "en": "Hello, write to hilfe@firma.example; have a look at https://firma.example/x, please.",
}


@pytest.mark.parametrize("code", TICKETS)
def test_an_address_of_the_ticket_may_stand_in_the_reply_whatever_follows(
    code: str, taxonomy: Taxonomy, detector: LanguageDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_both = f"{TICKETS[code]} hilfe@firma.example https://firma.example/x"
    monkeypatch.setitem(TICKETS, code, with_both)
    invented = QUOTED[code].replace("hilfe", "müller").replace("/x", "/y")

    assert found(code, taxonomy, detector, reply=QUOTED[code]) == []
    assert set(found(code, taxonomy, detector, reply=invented)) == {"no_invented_address"}


@pytest.mark.parametrize(("check", "code"), CASES)
def test_a_fault_is_found_by_its_check_alone(
    check: str, code: str, taxonomy: Taxonomy, detector: LanguageDetector
) -> None:
    reply = FAULTS[check][code][:REPLY_CHARS]

    assert set(found(code, taxonomy, detector, reply=reply)) == {check}


@pytest.mark.parametrize("code", TICKETS)
def test_what_has_no_language_is_found_in_every_ticket(
    code: str, taxonomy: Taxonomy, detector: LanguageDetector
) -> None:
    wrong = [{"kind": "order", "value": "A-99999"}]

    assert found(code, taxonomy, detector, reply=GOOD[code], entities=wrong) == [
        "entities_stand_in_the_ticket"
    ]
    assert found(code, taxonomy, detector, reply=GOOD[code], category="spam") == [
        "spam_gets_no_reply"
    ]
    instruction = prompts.instruction("triage-1", taxonomy, "en")
    assert found(code, taxonomy, detector, reply=GOOD[code], summary=instruction[50:150]) == [
        "no_echo_of_the_instruction"
    ]
