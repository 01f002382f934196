"""A real browser on a real gateway process, filled with tickets in five languages."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import text

from schemas.selection import Selection
from schemas.ticket import IncomingTicket
from tests.replies import GERMAN_BODY, GERMAN_SUBJECT, written
from worker import database, migrate
from worker.database import Sessions, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.holding import Suspects
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.scripted import ScriptedEngine
from worker.ports import free_port
from worker.queues import Queue
from worker.replay.begin import begin
from worker.replay.select import chosen
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.store import Order, RetryPolicy
from worker.triage.desk import Desk

PASSWORD = "a-password-for-pages"  # it opens nothing
SCRIPT = "<script>document.title = 'broken'</script>"
JAPANESE = "先週注文した商品がまだ届いておりません。至急ご確認をお願いいたします。"
TICKETS = (
    (GERMAN_SUBJECT, GERMAN_BODY, written()),
    ("商品が届きません", JAPANESE, written(
        category="returns", entities=[],
        reply="お問い合わせありがとうございます。配送状況を確認いたしますので、少々お待ちください。",
    )),
    (f"Login {SCRIPT}", f"Hello, I cannot log in since this morning. {SCRIPT}", written(
        category="it_support", entities=[],
        reply=f"Hello, we are looking into the login problem right now. {SCRIPT}",
    )),
    ("Facture", "Bonjour, je n'ai pas reçu la facture du mois dernier, merci.", "{"),
)  # fmt: skip


@pytest.fixture(scope="session")
def filled(postgres_url: str, desk: Desk) -> Iterator[Sessions]:
    """A database with some tickets, a correction and a replay."""
    engine = database.connect(postgres_url, pool_size=4)
    migrate.upgrade(engine)
    sessions = database.sessions(engine)

    def worker(answer: str) -> Runtime:
        return Runtime(
            sessions=sessions,
            publisher=Publisher(make_app(load_settings(broker_url="memory://")), sessions),
            engine=ScriptedEngine(lambda _: answer),
            desk=desk,
            worker="worker-1",
            lease_s=60,
            retries=RetryPolicy(
                max_repairs=0, max_attempts=3, max_crashes=3, base_s=0.001, cap_s=0.01
            ),
            suspects=Suspects(max_crashes=3),
        )

    for number, (subject, body, answer) in enumerate(TICKETS, 1):
        new = IncomingTicket(
            source="generic", external_id=str(number), delivery_key=str(number), event="ticket",
            subject=subject, body=body,
        )  # fmt: skip
        with transaction(sessions) as session:
            ticket_id = store.receive(session, new, Queue.LIVE).ticket_id
        triage_one(ticket_id, worker(answer))
    with transaction(sessions) as session:
        store.correct(session, 1, {"category": "returns"}, by="Ana", note="wrong team")
        store.worker_is_here(session, "w", profile="scripted", queues=[Queue.REPLAY], in_flight=4)
        begin(session, Order("Ana", "new prompt", {}), chosen(Selection()))
    for ticket_id in range(1, len(TICKETS) + 1):
        triage_one(ticket_id, worker(written(category="returns")))
    with transaction(sessions) as session:
        session.execute(text("update replays set state = 'done'"))
    yield sessions
    engine.dispose()


@pytest.fixture(scope="session")
def gateway(
    filled: Sessions, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a gateway on that database."""
    port = free_port("127.0.0.1")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")},
        "TRIAGE_DATABASE_URL": postgres_url,
        "TRIAGE_BROKER_URL": "memory://",
        "TRIAGE_GATEWAY_PORT": str(port),
        "TRIAGE_OPS_PASSWORD": PASSWORD,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "worker.cli.main", "gateway"],
        env=environment, cwd=tmp_path_factory.mktemp("gateway"),
    ) as process:  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(address)
            yield address
        finally:
            process.terminate()


def wait_until_ready(address: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{address}/readyz").is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the gateway was not ready after 30 s")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "install chromium: these tests look at the pages in a real browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, gateway: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the gateway; fails on a console error or a request to anywhere else."""
    mistakes: list[str] = []
    contexts: list[Any] = []

    def open_(path: str, *, scheme: str = "light", width: int = 1280) -> Page:
        context = chromium.new_context(
            http_credentials={"username": "Ben", "password": PASSWORD},
            color_scheme=scheme,  # type: ignore[arg-type]  # a literal
            viewport={"width": width, "height": 900},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and mistakes.append(said.text))
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.on("request", lambda request: request.url.startswith(gateway)
                or mistakes.append(f"a request to {request.url}"))  # fmt: skip
        page.goto(f"{gateway}{path}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert mistakes == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which `make test-browser` installs."""
    path = Path(sys.prefix) / "npm/node_modules/axe-core/axe.min.js"
    assert path.is_file(), "run `make test-browser`: it installs axe-core"
    return path.read_text(encoding="utf-8")
