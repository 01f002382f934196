"""What must hold of a reply before anybody sees it: one named function each, in one tuple.

A check yields a line for each thing it finds; its function's name is the check's name in SQL.
A finding sends the ticket to a person and keeps the reply beside it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.reply import REPLY_CHARS, SUMMARY_CHARS, Reply
from worker.triage.language import LETTERS_IN_ONE_IDEOGRAPH, LanguageDetector, same_language
from worker.triage.promises import promises
from worker.triage.prose import HOST, LINK, MAIL, in_one_width


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that failed, and what it saw."""

    check: str
    detail: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check may look at. `ticket` is subject and body, as the model read them.

    `language` is the tag of the customer's language.
    """

    ticket: str
    language: str
    reply: Reply
    instruction: str
    detector: LanguageDetector


Check = Callable[[Subject], Iterator[str]]

JUDGEABLE_LETTERS = 20
"""Shorter replies say too little to tell their language; 您好 says as much as six letters."""
IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
ADDRESS = re.compile(rf"{LINK}|{MAIL}|{HOST}|\+\d(?:[\d/-]|[^\S\n]){{6,}}\d")
SCHEME = re.compile(r"^(?:[a-z]+://)?(?:www\.)?")
NUMBER = re.compile(r"[A-Za-z#_-]*\d(?:[\d\s./-]?\d){3,}")
SHORT_NUMBER = re.compile(
    r"(?:bestell|auftrag|rechnung|kunden|vorgang|order|invoice|case|customer|booking|ticket|commande|facture"
    r"|dossier|client|注文|請求書|お客様番号|订单|訂單|发票|發票|客户|客戶)\w{0,20}\W{1,4}(?:n[ro°º]\W{1,2}|号码?|番号)?(\d{3})(?!\d)",
    re.IGNORECASE,
)
"""Three digits that are some number of the customer's; "Microsoft 365" and 500 GB are none."""
WRITTEN = re.compile(r"\d(?:[\s./-]{0,3}\d)*")
"""What may be one number of a ticket, however it is divided."""
PLACEHOLDER = re.compile(
    r"\{\w*\}|<(?!/?ticket)[A-Za-z][\w ]*>|\[[^\]\d]{1,40}\]|【[^】]{1,40}】"
    r"|\bX{3,}\b|\b_{3,}|〇〇|○○"
)
MARKUP = re.compile(
    r"</[A-Za-z][^<>]*>|<[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*[=/][^<>]*|/)>"
    r"|!?\[[^\]\n]{0,200}\]\([^)\s]{1,500}|^\s{0,10}/[a-z_]{2,}\b",
    re.MULTILINE,
)
ECHO_CHARS = 40
REPEATED = re.compile(r"(.{6,80}?)\1\1", re.DOTALL)


def reply_in_the_customers_language(subject: Subject) -> Iterator[str]:
    if not is_judgeable(subject.reply.reply):
        return
    written = subject.detector.detect(subject.reply.reply)
    if not same_language(written.tag, subject.language):
        yield f"the ticket is {subject.language}, the reply {written.tag}"


def reply_is_there(subject: Subject) -> Iterator[str]:
    if subject.reply.category != "spam" and not subject.reply.reply.strip():
        yield "the reply is empty"


def text_is_complete(subject: Subject) -> Iterator[str]:
    for name, text, most in (
        ("reply", subject.reply.reply, REPLY_CHARS),
        ("summary", subject.reply.summary, SUMMARY_CHARS),
    ):
        if len(text) >= most:
            yield f"the {name} is cut off at {most} characters"


def spam_gets_no_reply(subject: Subject) -> Iterator[str]:
    if subject.reply.category == "spam" and subject.reply.reply.strip():
        yield "spam was answered"


def entities_stand_in_the_ticket(subject: Subject) -> Iterator[str]:
    for entity in subject.reply.entities:
        if entity.value not in subject.ticket:
            yield f"{entity.kind} {entity.value!r} is not in the ticket"


def no_invented_address(subject: Subject) -> Iterator[str]:
    written = ADDRESS.findall(subject.reply.reply)
    if not written:  # most replies have none, and a ticket may be long
        return
    known = [as_known(found) for found in ADDRESS.findall(subject.ticket)]
    for address in written:
        if not any(is_part(as_known(address), one) for one in known):
            yield f"{address!r} is not in the ticket"


def no_invented_number(subject: Subject) -> Iterator[str]:
    ticket = [digits(found) for found in WRITTEN.findall(in_one_width(subject.ticket))]
    reply = ADDRESS.sub(" ", subject.reply.reply)
    for number in (*NUMBER.findall(reply), *SHORT_NUMBER.findall(reply)):
        if not any(digits(number) in written for written in ticket):
            yield f"{number!r} is not in the ticket"


def no_forbidden_promise(subject: Subject) -> Iterator[str]:
    yield from promises(subject.reply.reply, subject.ticket)


def no_placeholder(subject: Subject) -> Iterator[str]:
    yield from (repr(found) for found in PLACEHOLDER.findall(subject.reply.reply))


def no_markup(subject: Subject) -> Iterator[str]:
    """Helpdesks show HTML and Markdown, and some obey a line such as `/close`."""
    yield from (repr(found) for found in MARKUP.findall(subject.reply.reply))


def no_repetition(subject: Subject) -> Iterator[str]:
    for text in (subject.reply.reply, subject.reply.summary):
        if found := REPEATED.search(text):
            yield f"{found[1]!r} three times in a row"


def no_echo_of_the_instruction(subject: Subject) -> Iterator[str]:
    for text in (subject.reply.reply, subject.reply.summary):
        for start in range(0, max(1, len(text) - ECHO_CHARS + 1)):
            piece = text[start : start + ECHO_CHARS]
            if len(piece) == ECHO_CHARS and piece in subject.instruction:
                yield repr(piece)
                break


CHECKS: tuple[Check, ...] = (
    reply_in_the_customers_language,
    reply_is_there,
    text_is_complete,
    spam_gets_no_reply,
    entities_stand_in_the_ticket,
    no_invented_address,
    no_invented_number,
    no_forbidden_promise,
    no_placeholder,
    no_markup,
    no_repetition,
    no_echo_of_the_instruction,
)


def findings(subject: Subject) -> tuple[Finding, ...]:
    """Run every check."""
    return tuple(Finding(check.__name__, detail) for check in CHECKS for detail in check(subject))


def is_judgeable(reply: str) -> bool:
    """Whether a reply is long enough to tell its language."""
    ideographs = len(IDEOGRAPH.findall(reply))
    return len(reply) + (LETTERS_IN_ONE_IDEOGRAPH - 1) * ideographs >= JUDGEABLE_LETTERS


def as_known(address: str) -> str:
    """An address, however it is written."""
    if address.startswith("+"):
        return digits(address)
    return SCHEME.sub("", in_one_width(address).casefold()).rstrip("/")


def is_part(address: str, known: str) -> bool:
    """Whether it is a known address, its host, a folder above it, or the number it begins with."""
    if address.isdecimal():
        return known.startswith(address)
    return address in (known, known.rpartition("@")[2]) or known.startswith(
        (f"{address}/", f"{address}?", f"{address}#")
    )


def digits(text: str) -> str:
    """Those of a text in any width, in ASCII."""
    return re.sub(r"\D", "", in_one_width(text))
