"""Every page in Chromium: it looks like something, harms nobody, and can be used by anybody."""

import io
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import Page

OpenPage = Callable[..., Page]
PAGES = ["/ops", "/ops?language=ja", "/ops/tickets/1", "/ops/tickets/2", "/ops/tickets/3",
         "/ops/tickets/4", "/ops/replays", "/ops/replays/1"]  # fmt: skip
SCHEMES = ["light", "dark"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_not_blank_and_takes_its_colours_from_the_reader(
    open_page: OpenPage, path: str, scheme: str
) -> None:
    picture = Image.open(io.BytesIO(open_page(path, scheme=scheme).screenshot())).convert("L")

    colours = picture.getcolors(maxcolors=256) or []
    most_frequent = max(colours)[1]
    assert len(colours) > 50
    assert (most_frequent > 200) == (scheme == "light")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_fault_that_axe_finds(
    open_page: OpenPage, axe: str, path: str, scheme: str
) -> None:
    page = open_page(path, scheme=scheme)

    # By the debugger's own way: the page's policy lets no script in.
    found = page.evaluate(f"async () => {{ {axe}; return await axe.run(); }}")

    assert [
        (fault["id"], fault["nodes"][0]["html"], fault["nodes"][0].get("failureSummary"))
        for fault in found["violations"]
    ] == []


def test_what_a_ticket_says_is_shown_and_not_run(open_page: OpenPage) -> None:
    page = open_page("/ops/tickets/3")

    assert page.title() == "Ticket 3 · ticket-triage"
    assert "<script>document.title" in page.inner_text("main")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_telephone(open_page: OpenPage, path: str) -> None:
    page = open_page(path, width=390)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_person_corrects_a_ticket_with_the_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/ops/tickets/2")
    page.focus("select[name=category]")

    page.keyboard.type("billing")
    page.focus("input[name=note]")
    page.keyboard.type("wrong team")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ops/tickets/2#corrections")

    assert "billing (Ben)" in page.inner_text("main")


def test_filters_stand_in_the_address(open_page: OpenPage) -> None:
    page = open_page("/ops")

    page.select_option("select[name=language]", "ja")
    page.click("text=Show")

    assert "language=ja" in page.url
    assert page.locator("tbody a").count() == 1
