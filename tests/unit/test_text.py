"""Cleaning a message: markup, quoted history, signature blocks and control characters go."""

import time

import pytest

from worker.helpdesk import markup, text


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            "Es fehlt etwas.\n\nMit freundlichen Grüßen\nAnna\n-- \nTel. 030 12345",
            "Es fehlt etwas.\n\nMit freundlichen Grüßen\nAnna",
        ),
        ("It fails.\n\nOn Tue, 4 Mar 2026 at 10:00, Jo <j@x.de> wrote:\n> old", "It fails."),
        ("Ça ne marche pas.\n\nLe mardi 4 mars 2026, Léa <l@x.fr> a écrit :\n> ancien",
         "Ça ne marche pas."),
        ("Geht nicht.\n\n-----Ursprüngliche Nachricht-----\nVon: Support\nalt", "Geht nicht."),
        ("订单没到。\n\n发件人：客服 <a@b.c>\n发送时间：2026年3月4日\n旧内容", "订单没到。"),
        ("動きません。\n\n2026年3月4日(火) 10:00 サポート <a@b.jp>:\n> 古い", "動きません。"),
        ("No parcel.\n\nSent from my iPhone", "No parcel."),
        ("From: here it looks broken.", "From: here it looks broken."),
        ("On Monday it broke.\nPlease help.", "On Monday it broke.\nPlease help."),
        ("Hallo,\nam 3. Mai schrieb Ihr Kollege: Sie bekommen es zurück.\nIch kündige!",
         "Hallo,\nam 3. Mai schrieb Ihr Kollege: Sie bekommen es zurück.\nIch kündige!"),
        ("On Monday your agent wrote: the refund comes.\nIt did not.",
         "On Monday your agent wrote: the refund comes.\nIt did not."),
        ("先日のメール:返信が無い。\n至急です。", "先日のメール:返信が無い。\n至急です。"),
        ("上次客服写道:三天内退款。\n还没有到。", "上次客服写道:三天内退款。\n还没有到。"),
        ("> Your question?\nNo, it was not.\n> And now?\nYes.",
         "> Your question?\nNo, it was not.\n> And now?\nYes."),
    ],
)  # fmt: skip
def test_history_and_signature_below_a_message_are_cut(message: str, kept: str) -> None:
    assert text.clean(message) == kept


def test_a_message_that_is_all_history_is_kept_whole() -> None:
    assert text.clean("Sent from my iPhone") == "Sent from my iPhone"


def test_control_and_invisible_characters_go() -> None:
    assert text.clean("a\0b\x07c\u200bd\u202ee\r\nf") == "abcde\nf"


def test_text_is_composed_so_that_the_same_word_has_the_same_characters() -> None:
    assert text.clean("Gru\u0308ße") == "Grüße"


def test_html_becomes_text_without_its_quoted_part() -> None:
    html = (
        "<p>Hallo &amp; tsch&uuml;ss<br>Zeile</p><script>x()</script><blockquote>alt</blockquote>"
    )

    assert text.clean(markup.from_html(html)) == "Hallo & tschüss\nZeile"


def test_html_that_is_only_a_quote_is_kept() -> None:
    assert markup.from_html("<blockquote>Meine Frage</blockquote>") == "Meine Frage"


HOSTILE_HTML = {
    "paddings": "<div style='padding-left:100000em'>" * 100 + "a<br>" * 100,
    "no number": f"<p style='padding-left:{'9' * 400}px'>Hallo</p>",
    "styles in styles": f"<p style='{'style:' * 1200}'>Hallo</p>",
    "encodings": "<?xml version='1.0' encoding='x'?><?xml version='1.0' encoding='y'?><p>Hallo",
    "a wide cell": f"<table><tr><td>{'a' * 32_000}</td></tr>{'<tr><td>b</td></tr>' * 2000}</table>",
    "columns": "<table><tr>" + "<td>a</td>" * 9000 + "</tr></table>",
    "lists in lists": "<ul>" * 250 + "<li>a" * 20_000,
    "tables in tables": "<table><tr><td>" * 5000 + "Hallo",
    "half a character": "<p>Hallo \ud83d</p>",
    "controls": "<p>Hal&#0;l&#1;o</p><!-- \x01 -->",
    "no elements": "<!-- nothing -->",
}


@pytest.mark.parametrize("html", HOSTILE_HTML.values(), ids=HOSTILE_HTML)
def test_hostile_html_stays_a_message_of_about_its_length(html: str) -> None:
    started = time.monotonic()

    read = text.message(html, is_html=True)

    assert len(read.body) <= 2 * len(html)
    assert read.body or "Hallo" not in html
    assert time.monotonic() - started < 2


def test_what_is_hidden_in_html_is_not_read() -> None:
    html = "<div style='color:red;Display : NONE'>Vorschau</div>Hallo<p style='color:red'>Welt</p>"

    assert markup.from_html(html) == "Hallo\n\nWelt"


def test_marks_on_one_letter_are_bounded() -> None:
    started = time.monotonic()

    read = text.plain("a" + "\u0301" * 100_000 + "\u200b" + "\u0327" * 100_000)

    assert 1 < len(read) <= 31
    assert time.monotonic() - started < 1


def test_html_nested_deeper_than_a_parser_goes_keeps_its_words() -> None:
    assert markup.from_html("<div>" * 20_000 + "Hallo Welt") == "Hallo Welt"


@pytest.mark.parametrize(
    "hostile",
    [
        "\n" * 200_000,
        " " * 200_000,
        "> x\n" * 50_000,
        "From: a\n" * 25_000,
        "wrote: " * 30_000,
        ("Am " + "schrieb " * 35 + "\n") * 700,
        ("_" * 290 + "x\n") * 700,
    ],
    ids=lambda value: repr(value[:8]),
)
def test_no_text_takes_longer_than_its_length_deserves(hostile: str) -> None:
    started = time.perf_counter()

    text.clean(hostile)

    assert time.perf_counter() - started < 2.0
