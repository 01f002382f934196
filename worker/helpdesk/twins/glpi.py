"""GLPI's REST API in memory: a session first, followups public unless they are private."""

from typing import Any

from worker.helpdesk.twins.server import (
    TOKEN,
    Asked,
    Refusal,
    Said,
    Twin,
    TwinTicket,
    one_of,
    required,
)

SESSION = "a-session"


class GlpiTwin(Twin):
    name = "glpi"
    routes = (
        ("GET", "/apirest.php/initSession", "begin"),
        ("GET", "/apirest.php/Ticket", "all"),
        ("GET", "/apirest.php/Ticket/{ticket}", "show"),
        ("PUT", "/apirest.php/Ticket/{ticket}", "update"),
        ("GET", "/apirest.php/Ticket/{ticket}/ITILFollowup", "followups"),
        ("POST", "/apirest.php/ITILFollowup", "add_followup"),
        ("PUT", "/apirest.php/ITILFollowup/{followup}", "change_followup"),
    )

    def knows(self, headers: Any) -> bool:
        return bool(headers.get("authorization") == f"user_token {TOKEN}")

    def begin(self, asked: Asked) -> Any:
        del asked
        return {"session_token": SESSION}

    def all(self, asked: Asked) -> Any:
        require_session(asked)
        start, _, _ = asked.query["range"].partition("-")
        return [as_sent(one) for one in self.tickets.values()][int(start) :]

    def show(self, asked: Asked) -> Any:
        require_session(asked)
        return as_sent(self.ticket(asked))

    def update(self, asked: Asked) -> Any:
        require_session(asked)
        ticket, change = self.ticket(asked), dict(asked.body["input"])
        ticket.priority = one_of(change.pop("urgency", 3), {1, 2, 3, 4, 5}, "urgency")
        ticket.fields |= change
        return [{str(ticket.id): True}]

    def followups(self, asked: Asked) -> Any:
        require_session(asked)
        return [followup(one) for one in self.ticket(asked).said[1:]]

    def add_followup(self, asked: Asked) -> Any:
        require_session(asked)
        given = asked.body["input"]
        kind, number, content = required(given, "itemtype", "items_id", "content")
        one_of(kind, {"Ticket"}, "itemtype")
        is_private = bool(given.get("is_private", 0))
        return {"id": self.add(self.of_id(number), content, public=not is_private).id}

    def change_followup(self, asked: Asked) -> Any:
        require_session(asked)
        for ticket in self.tickets.values():
            for one in ticket.said:
                if str(one.id) == asked.path["followup"]:
                    one.body = asked.body["input"]["content"]
                    return [{str(one.id): True}]
        raise Refusal(404, "no such followup")


def require_session(asked: Asked) -> None:
    if asked.headers.get("session-token") != SESSION:
        raise Refusal(401, "ERROR_SESSION_TOKEN_MISSING")


def as_sent(ticket: TwinTicket) -> dict[str, Any]:
    return {"id": ticket.id, "name": ticket.subject, "content": ticket.said[0].body,
            "users_id_recipient": 1, "date": f"{ticket.created_at:%Y-%m-%d %H:%M:%S}"}  # fmt: skip


def followup(said: Said) -> dict[str, Any]:
    author = 1 if said.by == "customer" else 2
    return {"id": said.id, "content": said.body, "is_private": int(not said.public),
            "users_id": author, "date_creation": f"{said.at:%Y-%m-%d %H:%M:%S}"}  # fmt: skip
