"""Text out of HTML, and back into what helpdesks show. Takes time and room linear in the length."""

import re
from html import escape
from typing import Any

from inscriptis import Inscriptis
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from lxml.html import HTMLParser, document_fromstring

from worker import logs

log = logs.get(__name__)

BLOCK = HtmlElement(display=Display.block)
STYLE = {**CSS_PROFILES["relaxed"], "div": BLOCK, "ul": BLOCK, "ol": BLOCK}
"""Nothing is indented: what is nested 250 deep would indent every line by 1,000 blanks."""
WITHOUT_QUOTES = ParserConfig(css={**STYLE, "blockquote": HtmlElement(display=Display.none)})
EVERYTHING = ParserConfig(css=STYLE)
MARKUP = re.compile(
    r"<(p|br|div|span|html|body|table|blockquote|ul|ol|a|b|strong|em|h[1-6])\b[^<>]{0,500}>", re.I
)
TAG = re.compile(r"<[^<>]{0,2000}>")
HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
CELL, BETWEEN_CELLS = "\ue000", "  "


def from_html(html: str) -> str:
    """The text of a piece of HTML without its quoted parts; with them if nothing else is there."""
    if not html.strip():
        return ""
    html = html.replace("\0", "")
    for config in (WITHOUT_QUOTES, EVERYTHING):
        if text := as_text(html, config):
            return text
    return " ".join(TAG.sub(" ", html).split())


def as_html(text: str) -> str:
    """Plain text as HTML, its lines kept."""
    return "<br>".join(escape(line) for line in text.split("\n"))


def as_markdown(text: str) -> str:
    """Plain text as Markdown: no link, picture, tag, mention, reference or command in it."""
    return re.sub(r"(?m)(?=[\\\[<!{])|(^[^\S\n]*)(?=/)|(?<!\w)(?=[@#~%&$]\w)", r"\1\\", text)


def as_wiki(text: str) -> str:
    """The same in Jira's markup, where two backslashes break a line."""
    return re.sub(r"[\[{!]", r"\\\g<0>", text.replace("\\", "&#92;"))


def as_text(html: str, config: ParserConfig) -> str:
    """The text of HTML; empty where no parser can read it, as when it is nested too deep."""
    try:
        tree = document_fromstring(
            html.encode(errors="replace"), parser=HTMLParser(encoding="utf-8")
        )
        for element in tree.iter("*"):
            simplify(element)
        return str(Inscriptis(tree, config).get_text()).replace(CELL, BETWEEN_CELLS).strip()
    except Exception as error:  # noqa: BLE001  # whatever hostile HTML does to a parser
        log.warning("html_unreadable", error=type(error).__name__)
        return ""


def simplify(element: Any) -> None:
    """Leave of an element what its words need.

    What its attributes ask for, or a table's columns, can be a million times as long: a padding of
    100,000 em, one wide cell above 10,000 narrow ones.
    """
    if HIDDEN.search(element.get("style", "")):
        element.tag = "script"
    elif element.tag in {"table", "tr"}:
        element.tag = "div"
    elif element.tag in {"td", "th"}:
        element.tag = "font"
        if element.getprevious() is not None:
            element.text = CELL + (element.text or "")
    element.attrib.clear()


def looks_like_html(text: str) -> bool:
    """Whether a field that may hold either holds markup."""
    return bool(MARKUP.search(text))
