"""Turns what a helpdesk sends into the customer's own words.

Markup becomes text (`markup`); quoted history and signature blocks below the message are cut;
control characters go. Every step takes time and room linear in the length: tickets are hostile, and
mail-parsing libraries spend minutes in their patterns on 200 kB of blank lines.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from worker.helpdesk.markup import EVERYTHING, WITHOUT_QUOTES, as_text, from_html

MARKS = "".join(char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(char))
TOO_MANY_MARKS = re.compile(rf"([{MARKS}]{{30}})[{MARKS}]+")
"""Text has 30 combining marks in a row at most (Unicode's stream-safe format, UAX #15): with more,
bringing them into order takes time quadratic in their number.
"""

LINE_CHARS = 300
"""Longer lines are text, whatever they begin with."""
RULED = re.compile(
    r"""
    -{2,}\s*(original\s(message|appointment)|ursprüngliche\snachricht|weitergeleitete\snachricht
        |message\s(d.origine|transféré)|forwarded\smessage|原始邮件|原始郵件|回复的原邮件|元のメッセージ
        |転送メッセージ)
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What a line begins with below which nobody writes."""
HISTORY = re.compile(
    r"""
    (on|am|le)\b.{4,}(wrote|schrieb.*|a\sécrit)\s?:
    | (begin\sforwarded\smessage|anfang\sder\sweitergeleiteten\snachricht|message\stransféré)\s?:
    | .{2,}(さんは書きました|のメッセージ|のメール|写道|寫道)\s?[:：]
    | \d{4}年\d{1,2}月\d{1,2}日.*<\S+@\S+>\s?[:：]?
    """,
    re.VERBOSE | re.IGNORECASE,
)
HEADER = re.compile(r"(from|von|de|差出人|发件人|發件人|寄件者|送信者)\s?[:：].+", re.IGNORECASE)
OF_A_MAIL = (
    r"(?:subject|betreff|objet|件名|主题|主題|主旨"
    r"|sent|gesendet|envoyé|送信日時|发送时间|發送時間)\s?[:：]"
)
HEADER_NEXT = re.compile(
    rf"(?:{OF_A_MAIL}|(?:date|to|datum|an|date|à|日時|宛先|日期|收件人"
    r"|b?cc|kopie|抄送|副本|reply-to|antwort an"
    r"|importance|priorität|wichtigkeit|priorité|重要度"
    r"|attachments|anlagen|pièces jointes|添付ファイル|附件)"
    r"\s?[:：]).+",
    re.IGNORECASE,
)
MAILS = re.compile(rf"@|^{OF_A_MAIL}", re.IGNORECASE | re.MULTILINE)
"""In the header of a mail; "From: Paris, To: Lyon" are a customer's own words."""
HEADER_LINES = 8
SIGNATURE = re.compile(
    r"--\s?|(sent from my|von meinem .{2,40} gesendet|gesendet von|envoyé de mon|get outlook for"
    r"|télécharger outlook pour)\b.*"
    r"|(iPhone|iPad|Android|スマートフォン).{0,20}から送信|(发自我的|發自我的|发送自).*|从我的.{1,12}发送",
    re.IGNORECASE,
)
LEGAL = re.compile(
    r"(this|the information in this) (e-?mail|message|communication)\b.{0,80}"
    r"\b(confidential|privileged)"
    r"|(diese|der inhalt dieser) (e-?mail|nachricht)\b.{0,80}\bvertraulich"
    r"|ce (message|courriel|mail)\b.{0,80}\bconfidentiel"
    r"|(本|この)(メール|電子メール).{0,40}(機密|秘密)"
    r"|(本|此)(邮件|郵件|电子邮件|電子郵件).{0,40}(保密|机密|機密)",
    re.IGNORECASE,
)
"""Notices that companies put below every mail."""
DIVIDER = re.compile(r"[-=_─━＝ー*＊~〜#＃]{10,}")
CONTACT = re.compile(
    r"@|https?:|www\.|〒|\+\d\d|\b\d{2,4}-\d{2,4}-\d{4}\b|電話|电话|手机|邮箱"
    r"|\b(?:tel|tél|telefon|phone|fax|mobile?|portable)\b",
    re.IGNORECASE,
)
BLOCK_LINES, BLOCK_CHARS, BLOCK_SHARE = 10, 80, 3
"""What stands below a dividing line is a signature if it is like a visiting card: a few short lines
that say how to reach somebody, in two of them, or else not most of the mail (so many times what is
above them).
"""


@dataclass(frozen=True, slots=True)
class Message:
    """A customer's own words, and what was cut from below them."""

    body: str
    cut: str = ""


def message(raw: str, *, is_html: bool = False, attachments: Iterable[str] = ()) -> Message:
    """Read a message as a helpdesk sends it; names of attachments follow the words in brackets."""
    whole = plain(from_html(raw) if is_html else raw)
    body = cut(whole)
    rest = whole.removeprefix(body).strip()
    if is_html and not rest:
        rest = quoted(raw)
    names = "\n".join(f"[{one_line(name)}]" for name in attachments if name.strip())
    return Message("\n\n".join(part for part in (body, names) if part), rest)


def clean(text: str) -> str:
    """A customer's message without history, signature block and control characters."""
    return message(text).body


def quoted(html: str) -> str:
    """The quoted parts of a piece of HTML that is not all quote; without them, nothing."""
    if "<blockquote" not in html.lower():
        return ""
    whole, own = plain(as_text(html, EVERYTHING)), plain(as_text(html, WITHOUT_QUOTES))
    return whole.removeprefix(own).strip() if own else ""


def plain(text: str) -> str:
    """Unicode NFC, line ends as `\\n`, no control or format characters, no trailing blanks."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    kept = "".join(char for char in text if char == "\n" or unicodedata.category(char) not in OUT)
    normal = unicodedata.normalize("NFC", TOO_MANY_MARKS.sub(r"\1", kept))
    lines = [line.rstrip() for line in normal.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


OUT = {"Cc", "Cs", "Co", "Cn", "Cf"}
"""Control, surrogate, private-use, unassigned and format characters (zero-width, direction)."""


def one_line(text: str) -> str:
    """A subject: `plain`, on one line."""
    return " ".join(plain(text).split())


def cut(text: str) -> str:
    """`text` up to where the history or a signature block begins; all of it if nothing is left."""
    lines = text.split("\n")
    kept = lines[: end_of_message(lines)]
    while kept and (not kept[-1].strip() or kept[-1].startswith(">") or is_divider(kept[-1])):
        kept.pop()
    return "\n".join(kept).strip() or text


def end_of_message(lines: list[str]) -> int:
    is_divided = False
    for number, line in enumerate(lines):
        if len(line) > LINE_CHARS:
            continue
        if is_history(line, lines, number):
            return number
        if SIGNATURE.fullmatch(line) or LEGAL.match(line):
            return number
        if is_divider(line) and not is_divided:
            if is_visiting_card(lines[number + 1 :], below=lines[:number]):
                return number
            is_divided = True  # it divides the message itself, and so do those that follow
    return len(lines)


def is_history(line: str, lines: list[str], number: int) -> bool:
    """Whether older mail begins here; a program may break its first line in two."""
    if HISTORY.fullmatch(line.strip(" -*")) or RULED.match(line):
        return True
    following = lines[number + 1][:LINE_CHARS] if number + 1 < len(lines) else ""
    if following.startswith("<") and HISTORY.fullmatch(f"{line} {following}"):
        return True
    return bool(HEADER.fullmatch(line.replace("*", ""))) and is_mail_header(
        [one[:LINE_CHARS].replace("*", "") for one in lines[number : number + HEADER_LINES]]
    )


def is_mail_header(lines: list[str]) -> bool:
    """Whether lines, of which the first names a sender, go on as a mail's header does."""
    fields = [lines[0], *takewhile(HEADER_NEXT.fullmatch, lines[1:])]
    return len(fields) > 1 and bool(MAILS.search("\n".join(fields)))


def is_divider(line: str) -> bool:
    return len(line) <= LINE_CHARS and bool(DIVIDER.fullmatch(line))


def is_visiting_card(lines: list[str], *, below: list[str]) -> bool:
    if not 0 < len(lines) <= BLOCK_LINES or any(len(line) > BLOCK_CHARS for line in lines):
        return False
    contacts = sum(1 for line in lines if CONTACT.search(line))
    is_short = sum(map(len, lines)) <= BLOCK_SHARE * sum(map(len, below))
    return contacts > 1 or (contacts == 1 and is_short)
