"""The way back, over every helpdesk's twin: one contract for all of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from worker import helpdesk
from worker.errors import (
    OutletBusy,
    OutletConflict,
    OutletError,
    OutletGone,
    OutletRefused,
    OutletUnavailable,
    SettingsError,
)
from worker.helpdesk import HELPDESKS, Webhook
from worker.helpdesk.outlets import OUTLETS, Draft, Outlet, Remote, open_outlet
from worker.helpdesk.outlets.api import IN_DOUBT, answers, refuse, retry_after_s
from worker.helpdesk.twins import SETTINGS, TOKEN, TWINS, Twin, TwinTicket
from worker.helpdesk.twins.server import Asked, Said
from worker.settings import HelpdeskApi

WITH_DRAFTS = {"helpscout", "front", "zammad", "freescout"}
WITHOUT_PRIORITY = {"helpscout", "front", "gitlab", "freescout"}
WITHOUT_TAGS = {"glpi"}
WITHOUT_FIELDS = {"gitlab"}
WITHOUT_ZONE = {"glpi"}
MARKER = "[ticket-triage 17]"


def settings(name: str, **changes: Any) -> HelpdeskApi:
    given = {"url": "http://twin", "token": TOKEN, **SETTINGS.get(name, {})}
    return HelpdeskApi.model_validate(given | changes)


def outlet_of(twin: Twin, **changes: Any) -> Outlet:
    return open_outlet(twin.name, settings(twin.name, **changes), TestClient(twin.app))


@pytest.fixture(params=sorted(TWINS))
def twin(request: pytest.FixtureRequest) -> Twin:
    return TWINS[request.param]()


@pytest.fixture(params=sorted(TWINS.keys() - {"generic"}))
def helpdesk_twin(request: pytest.FixtureRequest) -> Twin:
    """All but the system of your own, which cannot be asked: it declines what it is sent."""
    return TWINS[request.param]()


def draft(twin: Twin, ticket: TwinTicket, **changes: Any) -> Draft:
    given: dict[str, Any] = {
        "external_id": f"{twin.path_prefix}{ticket.id}",
        "marker": MARKER,
        "labels": {"category": "billing", "type": "problem", "priority": "high",
                   "sentiment": "negative", "language": "de"},
        "summary": "Charged twice.",
        "reply": "Das tut uns leid.",
        "fields": {"category": "360"},
    }  # fmt: skip
    return Draft(**(given | changes))


def write(twin: Twin, ticket: TwinTicket, **changes: Any) -> str:
    outlet, what = outlet_of(twin), draft(twin, ticket, **changes)
    return outlet.write(what, outlet.look(what))


def ours(ticket: TwinTicket) -> list[Any]:
    return [one for one in ticket.said if one.by == "agent"]


def test_there_is_a_way_back_and_a_twin_for_every_helpdesk() -> None:
    assert set(TWINS) == set(OUTLETS) == set(HELPDESKS)


def test_a_reply_goes_back_as_a_draft_or_an_internal_note_never_in_public(twin: Twin) -> None:
    ticket = twin.customer_writes("Doppelt abgebucht")

    write(twin, ticket)

    [written] = ours(ticket)
    assert "Das tut uns leid." in written.body
    assert not written.public
    assert written.draft == (twin.name in WITH_DRAFTS)


def test_labels_become_tags_priority_and_fields(twin: Twin) -> None:
    ticket = twin.customer_writes("Doppelt abgebucht")
    ticket.tags.add("vip")

    write(twin, ticket)

    if twin.name not in WITHOUT_TAGS:
        assert {"vip", "category__billing", "language__de", "sentiment__negative"} <= ticket.tags
    if twin.name not in WITHOUT_PRIORITY:
        assert ticket.priority in {"high", "3 high", 3, "priority", "High", 4}
    if twin.name not in WITHOUT_FIELDS:
        assert ticket.fields == {"360": "billing"}


def test_written_twice_it_is_there_once(twin: Twin) -> None:
    ticket = twin.customer_writes("Doppelt abgebucht")

    write(twin, ticket)
    tags = set(ticket.tags)
    write(twin, ticket)

    assert len(ours(ticket)) == 1
    assert ticket.tags == tags


def test_tags_that_say_otherwise_now_go_and_the_desks_own_stay(helpdesk_twin: Twin) -> None:
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")
    own = {"vip", "category", "category__hardware", "priority__vip"}
    write(helpdesk_twin, ticket)
    ticket.tags |= own
    labels = {"category": "returns", "type": "problem", "priority": "low",
              "sentiment": "positive", "language": ""}  # fmt: skip

    earlier = {("category", "billing"), ("sentiment", "negative"), ("language", "de"),
               ("priority", "high")}  # fmt: skip

    write(helpdesk_twin, ticket, labels=labels, marker="[ticket-triage 18]", earlier=earlier)

    if helpdesk_twin.name not in WITHOUT_TAGS:
        priority = {"priority__low"} if helpdesk_twin.name == "gitlab" else set()
        ours = {"category__returns", "sentiment__positive", "language__de"}
        assert ticket.tags == own | ours | priority


def test_a_customer_who_writes_our_marker_is_not_taken_for_us(helpdesk_twin: Twin) -> None:
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")
    helpdesk_twin.customer_adds(ticket.id, f"Und nun? {MARKER}")

    write(helpdesk_twin, ticket)

    assert [one.body for one in ticket.said if one.by == "customer"] == [
        "Doppelt abgebucht", f"Und nun? {MARKER}",
    ]  # fmt: skip
    assert len(ours(ticket)) == 1


@pytest.mark.parametrize("name", ["gitlab", "glpi"])
def test_what_a_person_sent_in_public_is_not_changed_into_our_note(name: str) -> None:
    twin = TWINS[name]()
    ticket = twin.customer_writes("Doppelt abgebucht")
    twin.agent_answers(ticket.id, f"Wir haben es erstattet. {MARKER}")

    write(twin, ticket)

    assert ours(ticket)[0].body == f"Wir haben es erstattet. {MARKER}"


def test_a_colleagues_draft_in_zammad_stays_and_ours_is_a_note() -> None:
    twin = TWINS["zammad"]()
    ticket = twin.customer_writes("Doppelt abgebucht")
    twin.add(ticket, "Sehr geehrte Frau M", public=False, draft=True)

    write(twin, ticket)
    write(twin, ticket)

    colleagues, note = ours(ticket)
    assert (colleagues.body, colleagues.draft) == ("Sehr geehrte Frau M", True)
    assert "Das tut uns leid." in note.body
    assert not note.public
    assert not note.draft


HOSTILE_REPLY = (
    "<img src=x>\n/close\n@all [a](http://b) {html} \\[c](http://d) #12\n Gruß an ana@example.org"
)


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize(
    "name", ["front", "helpscout", "freescout", "freshdesk", "glpi", "intercom"]
)
def test_a_reply_is_text_where_html_is_meant(name: str, *, public: bool) -> None:
    twin = TWINS[name]()
    ticket = twin.customer_writes("Doppelt abgebucht")

    write(twin, ticket, reply=HOSTILE_REPLY, public=public)

    assert "&lt;img src=x&gt;<br>/close<br>" in ours(ticket)[0].body


MARKDOWN = r"\@all \[a](http://b) \{html} \\\[c](http://d) \#12"
WIKI = r"@all \[a](http://b) \{html} &#92;\[c](http://d) #12"


@pytest.mark.parametrize(
    ("name", "said"), [("gitlab", MARKDOWN), ("chatwoot", MARKDOWN), ("jira", WIKI)]
)
def test_a_reply_is_text_where_markup_is_meant(name: str, said: str) -> None:
    twin = TWINS[name]()
    ticket = twin.customer_writes("Doppelt abgebucht")

    write(twin, ticket, reply=HOSTILE_REPLY)
    write(twin, ticket, reply=HOSTILE_REPLY)

    [note] = ours(ticket)
    assert f"\n{said}\n" in note.body
    assert name == "jira" or "\n\\<img src=x>\n\\/close\n" in note.body
    assert "ana@example.org" in note.body


def look(twin: Twin, ticket: TwinTicket, **changes: Any) -> Remote:
    return outlet_of(twin).look(draft(twin, ticket, **changes))


def test_an_answer_by_a_person_is_seen(helpdesk_twin: Twin) -> None:
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")
    before = look(helpdesk_twin, ticket).touched

    helpdesk_twin.agent_answers(ticket.id, "An internal remark", public=False)
    after_a_note = look(helpdesk_twin, ticket).touched
    helpdesk_twin.agent_answers(ticket.id, "Wir haben es erstattet.")

    assert (before, after_a_note) == (False, False)
    assert look(helpdesk_twin, ticket).touched


def test_what_a_customer_writes_after_an_answer_has_none_yet(helpdesk_twin: Twin) -> None:
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")
    never = look(helpdesk_twin, ticket).answered_at
    helpdesk_twin.agent_answers(ticket.id, "Wir haben es erstattet.")
    answer = ticket.said[-1]

    helpdesk_twin.customer_adds(ticket.id, "Danke! Und die Rechnung?")
    after_the_customer = look(helpdesk_twin, ticket)
    helpdesk_twin.agent_answers(ticket.id, "Kommt sofort.")

    assert never is None
    assert not after_the_customer.touched
    if helpdesk_twin.name in WITHOUT_ZONE:
        assert after_the_customer.answered_at == IN_DOUBT
    elif helpdesk_twin.name != "chatwoot":  # its twin counts from when the ticket was made
        assert after_the_customer.answered_at == answer.at
    assert look(helpdesk_twin, ticket).touched


def test_our_own_note_is_no_answer_by_a_person(twin: Twin) -> None:
    ticket = twin.customer_writes("Doppelt abgebucht")

    write(twin, ticket)

    assert not look(twin, ticket).touched


@pytest.mark.parametrize("public", [True, False])
def test_our_own_public_reply_is_found_again_and_is_no_answer_by_a_person(
    helpdesk_twin: Twin, *, public: bool
) -> None:
    reply = "Das tut uns leid.\n\n-- \nIhr Support-Team"
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")
    helpdesk_twin.customer_adds(ticket.id, "Und die Rechnung fehlt.")
    write(helpdesk_twin, ticket, public=True, reply=reply)
    sent = [draft(helpdesk_twin, ticket, reply=reply).signed_reply]
    second = {"public": public, "marker": "[ticket-triage 18]", "sent": sent}

    to_the_first = look(helpdesk_twin, ticket, public=True, sent=sent)
    to_the_second = look(helpdesk_twin, ticket, **second)
    helpdesk_twin.agent_answers(ticket.id, f"Erledigt.\n\n> Das tut uns leid.\n> {MARKER}")

    assert to_the_first.ours
    assert (to_the_second.ours, to_the_second.touched, to_the_second.answered_at) == (
        None, False, None,
    )  # fmt: skip
    assert look(helpdesk_twin, ticket, **second).touched


def test_a_draft_of_ours_that_a_person_sent_is_an_answer(helpdesk_twin: Twin) -> None:
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")
    posted = draft(helpdesk_twin, ticket, reply="Gern.", marker="[ticket-triage 16]").signed_reply

    helpdesk_twin.agent_answers(ticket.id, draft(helpdesk_twin, ticket).signed_reply)

    assert look(
        helpdesk_twin, ticket, marker="[ticket-triage 18]", public=True, sent=[posted]
    ).touched


@pytest.mark.parametrize("name", ["zendesk", "zammad"])
def test_an_internal_word_after_an_answer_is_no_new_message(name: str) -> None:
    twin = TWINS[name]()
    ticket = twin.customer_writes("Doppelt abgebucht")
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")

    ticket.said.append(Said(99, "a note under the customer's name", "customer", public=False))

    assert look(twin, ticket).touched


def test_a_busy_helpdesk_says_how_long_to_wait(twin: Twin) -> None:
    ticket = twin.customer_writes("Doppelt abgebucht")
    twin.busy, twin.retry_after = 1, "37"

    with pytest.raises(OutletBusy) as busy:
        write(twin, ticket)

    assert busy.value.wait_s == 37


def test_a_helpdesk_that_is_down_or_does_not_know_us_is_unavailable(twin: Twin) -> None:
    ticket = twin.customer_writes("Doppelt abgebucht")
    stranger = outlet_of(twin, token="another")
    what = draft(twin, ticket)

    with pytest.raises(OutletUnavailable, match="401"):
        stranger.write(what, stranger.look(what))
    twin.down = True
    with pytest.raises(OutletUnavailable, match="502"):
        write(twin, ticket)


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (401, {}, OutletUnavailable), (403, {}, OutletUnavailable), (404, {}, OutletGone),
        (410, {}, OutletGone), (409, {}, OutletConflict), (412, {}, OutletConflict),
        (500, {}, OutletUnavailable), (503, {}, OutletUnavailable), (422, {}, OutletRefused),
        (503, {"Retry-After": "7"}, OutletBusy), (429, {}, OutletBusy),
    ],
)  # fmt: skip
def test_each_status_is_the_error_that_says_what_to_do(
    status: int, headers: dict[str, str], error: type[OutletError]
) -> None:
    answer = httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://twin/x"))

    with pytest.raises(OutletError) as raised:
        refuse(answer)

    assert type(raised.value) is error


@pytest.mark.parametrize(("said", "wait_s"), [("7", 7), ("999999", 3600), ("soon", 60), ("", 60)])
def test_a_helpdesk_is_left_alone_for_an_hour_at_most(said: str, wait_s: float) -> None:
    assert retry_after_s(said) == wait_s


def test_an_answer_in_the_same_second_is_one() -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    both = [{"by": "customer"}, {"by": "agent"}]

    found = answers(
        both,
        draft(TWINS["zendesk"](), TwinTicket(1, "S", [])),
        at=lambda _: at.isoformat(),
        text=lambda _: "x",
        by_agent=lambda one: one["by"] == "agent",
        by_customer=lambda one: one["by"] == "customer",
    )

    assert found["touched"]


@pytest.mark.parametrize("status", ["solved", "closed"])
def test_a_ticket_that_is_done_in_zendesk_is_let_be(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    twin = TWINS["zendesk"]()
    ticket = twin.customer_writes("Doppelt abgebucht")
    show = twin.show  # type: ignore[attr-defined]
    monkeypatch.setattr(
        twin, "show", lambda asked: {"ticket": {**show(asked)["ticket"], "status": status}}
    )

    assert look(twin, ticket).touched


def test_a_ticket_that_is_gone_is_no_fault_of_ours(helpdesk_twin: Twin) -> None:
    with pytest.raises(OutletGone):
        look(helpdesk_twin, TwinTicket(999, "S", []))


def test_a_public_reply_is_sent_when_both_settings_say_so(helpdesk_twin: Twin) -> None:
    ticket = helpdesk_twin.customer_writes("Doppelt abgebucht")

    write(helpdesk_twin, ticket, public=True)

    [written] = ours(ticket)
    assert written.public
    assert not written.draft
    assert "Charged twice." not in written.body


def test_what_came_is_asked_for_and_is_the_ticket_that_its_webhook_would_have_brought(
    helpdesk_twin: Twin,
) -> None:
    ticket = helpdesk_twin.customer_writes("Wo ist meine Bestellung?", subject="Frage")
    adapter = HELPDESKS[helpdesk_twin.name]
    now = datetime.now(UTC)

    found = [
        helpdesk.read(adapter, payload, Webhook(b"", dict(CREATED), now))
        for payload in outlet_of(helpdesk_twin).recent(now - timedelta(hours=1))
    ]

    [one] = found
    assert one.external_id == f"{helpdesk_twin.path_prefix}{ticket.id}"
    assert (one.subject, one.body) == ("Frage", "Wo ist meine Bestellung?")
    assert one.ignore_reason is None


CREATED = {"x-helpscout-event": "convo.created", "x-freescout-event": "convo.created"}


def test_jiras_select_lists_get_an_option() -> None:
    twin = TWINS["jira"]()
    ticket = twin.customer_writes("Doppelt abgebucht")

    write(twin, ticket, fields={"category": "customfield_1:option", "type": "customfield_2"})

    assert ticket.fields == {"customfield_1": {"value": "billing"}, "customfield_2": "problem"}


def test_jiras_issues_are_found_page_by_page() -> None:
    twin = TWINS["jira"]()
    asked = [twin.customer_writes(f"Frage {number}").id for number in range(5)]

    found = outlet_of(twin).recent(datetime.now(UTC) - timedelta(hours=1))

    assert [one["issue"]["id"] for one in found] == [str(id_) for id_ in asked]


def test_zendesk_refuses_what_somebody_changed_meanwhile() -> None:
    twin = TWINS["zendesk"]()
    ticket = twin.customer_writes("Doppelt abgebucht")
    outlet, what = outlet_of(twin), draft(twin, ticket)
    remote = outlet.look(what)
    ticket.version += 1

    with pytest.raises(OutletConflict):
        outlet.write(what, remote)

    assert ours(ticket) == []


def test_a_system_of_your_own_may_decline() -> None:
    twin = TWINS["generic"]()
    ticket = twin.customer_writes("Doppelt abgebucht")
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")

    with pytest.raises(OutletConflict):
        write(twin, ticket)


def test_a_later_try_changes_the_note_where_notes_can_be_changed() -> None:
    for name in ("gitlab", "glpi", "zammad"):
        twin = TWINS[name]()
        ticket = twin.customer_writes("Doppelt abgebucht")

        write(twin, ticket)
        write(twin, ticket, reply="Es wird erstattet.")

        [written] = ours(ticket)
        assert "Es wird erstattet." in written.body


def test_a_network_that_fails_is_unavailable() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too slow")

    http = httpx.Client(transport=httpx.MockTransport(fail), base_url="http://twin")
    outlet = open_outlet("zendesk", settings("zendesk"), http)
    what = draft(TWINS["zendesk"](), TwinTicket(1, "S", []))

    with pytest.raises(OutletUnavailable, match="ConnectTimeout"):
        outlet.look(what)


@pytest.mark.parametrize(
    ("name", "missing"),
    [(name, need) for name, way in OUTLETS.items() for need in way.needs],
)
def test_a_setting_that_a_helpdesk_needs_is_named(name: str, missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{name.upper()}__{missing.upper()} is missing"):
        open_outlet(name, settings(name, **{missing: ""}))


def test_an_unknown_helpdesk_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="zendesk, zammad"):
        open_outlet("otrs", settings("otrs"))


def test_errors_are_one_family() -> None:
    family: Callable[[type], bool] = lambda kind: issubclass(kind, OutletError)  # noqa: E731

    assert all(map(family, (OutletBusy, OutletConflict, OutletGone, OutletUnavailable)))


@pytest.mark.parametrize("name", ["zendesk", "freshdesk", "helpscout"])
def test_old_tickets_that_were_only_changed_are_not_new(name: str) -> None:
    twin = TWINS[name]()
    twin.customer_writes("Von gestern").created_at -= timedelta(days=1)
    twin.customer_writes("Von jetzt")

    found = list(outlet_of(twin).recent(datetime.now(UTC) - timedelta(hours=1)))

    assert len(found) == 1
    assert "Von jetzt" in str(found)


def test_chatwoot_is_asked_for_the_messages_of_what_moved_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = TWINS["chatwoot"]()
    twin.customer_writes("Von gestern").created_at -= timedelta(days=1)
    new = twin.customer_writes("Von jetzt")
    asked, answer = list[str](), twin.messages  # type: ignore[attr-defined]

    def messages(of: Asked) -> Any:
        asked.append(of.path["ticket"])
        return answer(of)

    monkeypatch.setattr(twin, "messages", messages)

    found = list(outlet_of(twin).recent(datetime.now(UTC) - timedelta(hours=1)))

    assert [one["content"] for one in found] == ["Von jetzt"]
    assert asked == [str(new.id)]


@pytest.mark.parametrize("hours", [-11, 0, 13])
def test_glpi_is_asked_for_what_is_new_in_its_own_zone(hours: int) -> None:
    twin = TWINS["glpi"]()
    ticket = twin.customer_writes("Von jetzt")
    ticket.created_at += timedelta(hours=hours)  # as its clock says, without a zone

    assert len(list(outlet_of(twin).recent(datetime.now(UTC) - timedelta(minutes=5)))) == 1


def test_who_wrote_what_glpi_was_asked_for_can_be_erased_by_number() -> None:
    twin = TWINS["glpi"]()
    twin.customer_writes("Doppelt abgebucht")
    now = datetime.now(UTC)

    [found] = outlet_of(twin).recent(now - timedelta(hours=1))

    assert helpdesk.read(HELPDESKS["glpi"], found, Webhook(b"", {}, now)).requester == "1"
