"""Helpdesks for a demonstration: twins in this process, listening, that replies are written to."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from rich.console import Console
from rich.table import Table
from rich.text import Text
from starlette.types import ASGIApp

from worker.cli.lines import Line
from worker.database import Sessions, transaction
from worker.helpdesk.twins import SETTINGS, TOKEN, TWINS, Twin
from worker.settings import HelpdeskApi
from worker.tickets import read

PATIENCE_S = 60.0
POLL_S = 0.25
SHOWN = 12


class Twins:
    """A twin for each helpdesk that the tickets come from. `settings` lead the services to them."""

    def __init__(self, lines: Iterable[Line], stack: ExitStack) -> None:
        self._twins: dict[str, Twin] = {}
        self.settings: dict[str, HelpdeskApi] = {}
        for line in lines:
            if line.source not in self._twins:
                self._add(line.source, stack)
            twin = self._twins[line.source]
            twin.customer_writes(line.body, subject=line.subject, ticket_id=line.id)

    def _add(self, name: str, stack: ExitStack) -> None:
        self._twins[name] = TWINS[name]()
        url = stack.enter_context(listening(self._twins[name].app))
        given = {"url": url, "token": TOKEN, "write_back": True, **SETTINGS.get(name, {})}
        self.settings[name] = HelpdeskApi.model_validate(given)

    def wait(self, sessions: Sessions) -> None:
        """Return when everything that was ordered is written back, or patience is over."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with transaction(sessions) as session:
                if not read.write_backs(session, state="waiting", limit=1):
                    return
            time.sleep(POLL_S)

    def show(self, console: Console) -> None:
        """What stands in the helpdesks now: notes and drafts of ours, and tags."""
        written = [
            (name, ticket, said)
            for name, twin in self._twins.items()
            for ticket in twin.tickets.values()
            for said in ticket.said
            if said.by == "agent"
        ]
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for column, ratio in (("written back to", None), ("as", None), ("tags", 3), ("text", 2)):
            table.add_column(column, no_wrap=True, ratio=ratio)
        for name, ticket, said in written[:SHOWN]:
            kind = "draft" if said.draft else "PUBLIC" if said.public else "internal note"
            tags = ", ".join(sorted(ticket.tags))
            table.add_row(f"{name} {ticket.id}", kind, tags, Text(said.body.replace("\n", " ")))
        console.print(table)
        if len(written) > SHOWN:
            console.print(f"and {len(written) - SHOWN} more.", highlight=False)


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """An application on a port of its own; yields its address, which takes connections already."""
    with socket.socket() as server_socket:
        server_socket.bind(("127.0.0.1", 0))
        server_socket.listen()
        config = uvicorn.Config(app, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [server_socket]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server_socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
