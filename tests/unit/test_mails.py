"""Mails as people send them, in five languages: what is below a message is cut and kept apart."""

import tomllib
from html import escape
from pathlib import Path

import pytest

from worker.helpdesk import text
from worker.helpdesk.automatic import why_automatic

MAILS = tomllib.loads(Path(__file__).with_name("data").joinpath("mails.toml").read_text("utf-8"))
PAIRS = [
    pytest.param(message, below, id=f"{language} {one}.{other}")
    for language, bank in MAILS.items()
    for one, message in enumerate(bank["messages"])
    for other, below in enumerate(bank["below"])
]
MESSAGES = [
    pytest.param(message, id=f"{language} {number}")
    for language, bank in MAILS.items()
    for number, message in enumerate(bank["messages"])
]


def test_there_are_mails_enough() -> None:
    assert len(PAIRS) >= 150


@pytest.mark.parametrize(("message", "below"), PAIRS)
def test_a_message_is_left_and_what_is_below_it_is_kept_apart(message: str, below: str) -> None:
    read = text.message(f"{message}\n\n{below}")

    assert read.body == message
    assert read.cut == text.plain(below)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_with_nothing_below_it_stays_whole(message: str) -> None:
    assert text.message(message) == text.Message(message)


GMAIL = '<div dir="ltr">{}</div><br><div class="gmail_quote"><blockquote>{}</blockquote></div>'
APPLE = '<div>{}</div><blockquote type="cite"><div>{}</div></blockquote>'
OUTLOOK = "<html><body><div>{}</div><hr><p>-----Original Message-----</p><p>{}</p></body></html>"


@pytest.mark.parametrize("mail", [GMAIL, APPLE, OUTLOOK], ids=["gmail", "apple", "outlook"])
@pytest.mark.parametrize("message", MESSAGES)
def test_the_same_in_html(mail: str, message: str) -> None:
    as_html = escape(message).replace("\n", "<br>")

    read = text.message(mail.format(as_html, "What was said before."), is_html=True)

    assert read.body.split() == message.split()
    assert "What was said before." in read.cut


def test_html_keeps_the_shape_of_lists_and_tables() -> None:
    html = "<p>Schritte:</p><ol><li>öffnen</li><li>tippen</li></ol><table><tr><td>A</td><td>B</td>"

    body = text.message(html, is_html=True).body

    assert "1. öffnen" in body
    assert "2. tippen" in body
    assert "A  B" in body


def test_attachments_are_listed_by_name_below_the_message() -> None:
    read = text.message("Siehe Anhang.", attachments=["bild.png", "log\n.txt", " "])

    assert read.body == "Siehe Anhang.\n\n[bild.png]\n[log .txt]"


@pytest.mark.parametrize(
    "separator",
    ["----------", "==========", "**********", "~~~~~~~~~~"],
)
def test_a_line_that_divides_a_long_text_cuts_nothing(separator: str) -> None:
    log = "\n".join(f"2026-03-04 10:12:{second:02} worker failed" for second in range(30))
    message = f"Das Protokoll:\n{separator}\n{log}\n{separator}\nWas ist da los?"

    assert text.message(message).body == message


@pytest.mark.parametrize(
    "message",
    [
        "Bonjour,\nmerci de modifier mon billet :\nDe : Paris\nÀ : Lyon\nsinon remboursez-moi",
        "Please change my booking.\nFrom: 12 March\nTo: 15 March\nBooking number 88213",
        "お問い合わせです。\n----------\n注文番号: 12345\n商品が届きません。返金してください。",
        "Frage zu Ihrer Rechnung.\n____________________\nRechnung 4711 ist falsch, bitte prüfen.",
        "Siehe unten.\n==========\nBitte anrufen: Tel. 030 1234567.\nDie Heizung ist wieder kalt.",
    ],
)
def test_what_only_looks_like_a_header_or_a_signature_stays(message: str) -> None:
    assert text.message(message) == text.Message(message)


AUTOMATIC = [
    "Automatic reply: Your order", "Auto: out of office", "Out of Office Re: Ticket 4711",
    "Automatische Antwort: Ihre Anfrage", "Abwesenheitsnotiz: Urlaub",
    "Réponse automatique : Votre demande", "Absence du bureau",
    "自動返信: お問い合わせ", "不在通知", "自动回复：您的邮件", "Abwesend bis 3. Mai",
    "I'm out of the office from 3 May", "On vacation until Monday", "自動回覆",
]  # fmt: skip
BOUNCES = [
    "Undelivered Mail Returned to Sender", "Mail delivery failed: returning message to sender",
    "Delivery Status Notification (Failure)", "Unzustellbar: Ihre Anfrage",
    "Échec de la remise : Votre demande", "配信不能: お問い合わせ", "系统退信", "邮件无法投递",
]  # fmt: skip
WRITTEN_BY_PEOPLE = [
    "Automatic updates do not work", "Auto-renewal of my contract", "My office is out of paper",
    "Automatische Abbuchung doppelt", "Abwesenheit im Kalender eintragen",
    "Prélèvement automatique en double", "Absences : comment les saisir ?", "自動更新できません",
    "自动续费怎么取消", "Delivery has not arrived", "Lieferung nicht angekommen",
    "Paket wurde nicht zugestellt", "Re: Zustellung fehlgeschlagen DHL",
    "Nicht zugestellt: Paket 4711",
    "Abwesenheitsnotiz in Outlook lässt sich nicht einrichten", "Colis non remis",
    "Non remis : colis 12",
    "Undelivered order #4821", "Automatic reply stopped working", "Out of office chair wheels",
    "Delivery failed: order 4711", "Delivery failure: order 4711",
    "Re: Automatic reply: your request 4711", "AW: Abwesenheitsnotiz", "Re: 自动回复",
    "メールが送信できませんでした", "動画が配信できません",
    "不在連絡票の再配達について", "包裹无法送达", "邮件无法投递怎么办",
    "Delivery failed twice, please call",
]  # fmt: skip


@pytest.mark.parametrize("subject", AUTOMATIC)
def test_a_machines_reply_is_recognised(subject: str) -> None:
    assert why_automatic(subject, None) == "an automatic reply"


@pytest.mark.parametrize("subject", BOUNCES)
def test_a_bounce_is_recognised(subject: str) -> None:
    assert why_automatic(subject, None) == "a bounce"


@pytest.mark.parametrize("subject", WRITTEN_BY_PEOPLE)
def test_what_a_person_may_have_written_is_not_taken_for_a_machines(subject: str) -> None:
    assert why_automatic(subject, "ana@example.org") is None


@pytest.mark.parametrize("subject", ["Undeliverable: Re: invoice", "Unzustellbar: Ihre Anfrage"])
def test_an_id_of_the_sender_does_not_say_that_it_was_a_person(subject: str) -> None:
    assert why_automatic(subject, "12345") == "a bounce"
    assert why_automatic(subject, "ana@example.org") is None


@pytest.mark.parametrize(
    "sender", ["MAILER-DAEMON@mx.example", "postmaster@example.org", "bounce+17@example.org"]
)
def test_a_machine_is_known_by_its_address(sender: str) -> None:
    assert why_automatic("Re: S", sender) == "a machine's mail"
