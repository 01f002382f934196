"""Turns what a helpdesk sends into the customer's own words.

Markup becomes text; quoted history and signature blocks below the message are cut; control
characters go. Every step takes time linear in the length: tickets are hostile, and mail-parsing
libraries spend minutes in their patterns on 200 kB of blank lines.
"""

import re
import unicodedata

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement

WITHOUT_QUOTES = ParserConfig(
    css={**CSS_PROFILES["relaxed"], "blockquote": HtmlElement(display=Display.none)}
)
EVERYTHING = ParserConfig()
TAG = re.compile(r"<[^<>]{0,2000}>")

LINE_CHARS = 300
"""Longer lines are text, whatever they begin with."""
HISTORY = re.compile(
    r"""
    -{2,}\s*(original\s(message|appointment)|ursprüngliche\snachricht|weitergeleitete\snachricht
        |message\s(d.origine|transféré)|forwarded\smessage|原始邮件|原始郵件|元のメッセージ
        |転送メッセージ)
    | (on|am|le)\b.{4,}(wrote|schrieb.*|a\sécrit)\s?:
    | (begin\sforwarded\smessage|anfang\sder\sweitergeleiteten\snachricht|message\stransféré)\s?:
    | .{4,}(さんは書きました|のメッセージ|写道|寫道)\s?[:：]
    | \d{4}年\d{1,2}月\d{1,2}日.*<\S+@\S+>\s?[:：]?
    | _{20,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
HEADER = re.compile(r"(from|von|de|差出人|发件人|發件人|寄件者|送信者)\s?[:：].+", re.IGNORECASE)
HEADER_NEXT = re.compile(
    r"(sent|date|to|gesendet|datum|an|envoyé|date|à|送信日時|日時|宛先|发送时间|發送時間|收件人|subject"
    r"|betreff|objet|件名|主题|主題)\s?[:：].+",
    re.IGNORECASE,
)
SIGNATURE = re.compile(
    r"--\s?|(sent from my|von meinem .{2,40} gesendet|gesendet von|envoyé de mon|get outlook for)"
    r"\b.*"
    r"|(iPhone|スマートフォン)から送信|发自我的.*",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """A customer's message without history, signature block and control characters."""
    return cut(plain(text))


def plain(text: str) -> str:
    """Unicode NFC, line ends as `\\n`, no control or format characters, no trailing blanks."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in OUT)
    lines = [line.rstrip() for line in kept.replace("\t", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


OUT = {"Cc", "Cs", "Co", "Cn", "Cf"}
"""Control, surrogate, private-use, unassigned and format characters (zero-width, direction)."""


def one_line(text: str) -> str:
    """A subject: `plain`, on one line."""
    return " ".join(plain(text).split())


def from_html(html: str) -> str:
    """The text of a piece of HTML without its quoted parts; with them if nothing else is there."""
    if not html.strip():
        return ""
    html = html.replace("\0", "")
    for config in (WITHOUT_QUOTES, EVERYTHING):
        text = str(get_text(html, config)).strip()
        if text:
            return text
    return " ".join(TAG.sub(" ", html).split())  # nested deeper than a parser goes


def cut(text: str) -> str:
    """`text` up to where the history or a signature block begins; all of it if nothing is left."""
    lines = text.split("\n")
    kept = lines[: end_of_message(lines)]
    while kept and (not kept[-1].strip() or kept[-1].startswith(">")):
        kept.pop()
    return "\n".join(kept).strip() or text


def end_of_message(lines: list[str]) -> int:
    for number, line in enumerate(lines):
        if len(line) > LINE_CHARS:
            continue
        if HISTORY.fullmatch(line.strip(" -*")) or HISTORY.match(line):
            return number
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if HEADER.fullmatch(line) and HEADER_NEXT.fullmatch(following[:LINE_CHARS]):
            return number
        if SIGNATURE.fullmatch(line):
            return number
    return len(lines)
