"""One contract over every kind of engine: scripted, vLLM in the process, `vllm serve` over HTTP."""

import gc
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bench.bare import NECESSARY
from tests.stack import wait_for
from worker.engine import vllm_engine
from worker.engine.alternatives import MARKS_OF_A_LABEL
from worker.engine.arguments import serve_command
from worker.engine.contract import Engine, Generation, Prompt, Request
from worker.engine.profiles import load_profile
from worker.engine.scripted import ScriptedEngine
from worker.engine.vllm_engine import VllmEngine
from worker.engine.vllm_server import ServerEngine
from worker.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    PromptTooLong,
    RequestRefused,
    SettingsError,
)
from worker.ports import free_port

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]

YES = Request(
    Prompt("Answer.", "A ticket."),
    'root ::= "yes" | "no"',
    8,
    temperature=0.0,
    seed=0,
)
LABEL = replace(
    YES,
    grammar=r'root ::= "{\"answer\":\"" ("yes" | "no") "\"}"',
    max_tokens=16,
    labels=1,
)
ENDLESS = replace(YES, grammar="root ::= [a-z ]{1200,1300}", max_tokens=1300, temperature=1.0)
LIKELY = -5.0
ENGINES = ["scripted", "server", "plain server", "in process", "on a card"]
PROFILE = load_profile("demo")
API_SERVER = "vllm.entrypoints.openai.api_server"
"""What `vllm serve` starts; the CPU build's own command looks for a package named vllm."""


class Server:
    """A real `vllm serve` with the demonstration model, as `triage profile command demo` says.

    `plugins`: those of ours that it loads; None: all, as where it shares our environment.
    """

    def __init__(self, log: Path, *, plugins: Iterable[str] | None = None) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port('127.0.0.1'))}"
        words = shlex.split(serve_command(PROFILE))
        start = words.index("vllm")
        [_, _, model, *flags] = words[start:]
        environment = dict(word.split("=", 1) for word in words[:start] if "=" in word)
        if plugins is not None:
            environment["VLLM_PLUGINS"] = ",".join(plugins)
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", API_SERVER, "--model", model, *flags, "--port", str(port)],
                env={**os.environ, **environment, "VLLM_NO_USAGE_STATS": "1"},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        wait_for(self._is_ready, "vllm serve to be ready", patience_s=180)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/health", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module", autouse=True)
def _leave_nothing_behind() -> Iterator[None]:
    """What vLLM leaves unclosed is collected here, where it is not taken for another test's."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("serve") / "log")
    server.wait_ready()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Anybody's: with nothing of ours but the kernel without which old CPUs run no such model."""
    server = Server(tmp_path_factory.mktemp("plain") / "log", plugins=NECESSARY)
    server.wait_ready()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def on_a_card() -> Iterator[VllmEngine]:
    """Labels are told of as they are where there is a card."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_engine, "told_beside", lambda _: False)
        engine = VllmEngine(PROFILE)
    yield engine
    engine.stop()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine
    if request.param == "scripted":
        made = ScriptedEngine(lambda _: "yes")
    elif "server" in request.param:
        server: Server = request.getfixturevalue(request.param.replace(" ", "_"))
        made = ServerEngine(PROFILE, [server.url])
    elif request.param == "on a card":
        made = request.getfixturevalue("on_a_card")
    else:
        made = VllmEngine(PROFILE)
    made.generate(YES, deadline_s=60)
    yield made
    made.stop()


def test_it_writes_what_the_grammar_allows(engine: Engine) -> None:
    written = engine.generate(YES, deadline_s=60)

    assert written.text in {"yes", "no"}
    assert written.finish_reason == "stop"
    assert written.prompt_tokens > 0
    assert written.output_tokens > 0


def test_the_same_request_gets_the_same_answer(engine: Engine) -> None:
    first, again = (engine.generate(YES, deadline_s=60) for _ in range(2))

    assert first.text == again.text


def test_its_tokens_spell_the_text_and_their_probabilities_are_ones(engine: Engine) -> None:
    written = engine.generate(LABEL, deadline_s=60)

    tokens = [token for token in written.tokens if token.text and "</s>" not in token.text]
    assert "".join(token.text for token in tokens).strip() == written.text
    assert all(token.logprob <= 1e-6 for token in tokens)


def test_many_threads_share_it(engine: Engine) -> None:
    with ThreadPoolExecutor(16) as threads:
        written = list(threads.map(lambda _: engine.generate(YES, deadline_s=120), range(32)))

    assert {one.text for one in written} <= {"yes", "no"}
    assert len({one.text for one in written}) == 1


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(engine: Engine) -> None:
    long = replace(YES, prompt=Prompt("Answer.", "word " * 60_000))

    with pytest.raises(PromptTooLong) as refused:
        engine.generate(long, deadline_s=60)

    assert refused.value.tokens > refused.value.room > 0


def test_text_is_counted_in_its_own_tokens(engine: Engine) -> None:
    assert 0 < engine.count("Wo ist meine Bestellung?") < engine.count("Wo ist sie? " * 50)


def test_a_deadline_that_passes_ends_the_request_and_nothing_else(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine):
        slow: Engine = ScriptedEngine(lambda _: "yes", latency_s=5)
    else:
        slow = engine
    started = time.monotonic()

    with pytest.raises(DeadlineExceeded):
        slow.generate(ENDLESS, deadline_s=0.3)

    assert time.monotonic() - started < 3
    assert engine.generate(YES, deadline_s=60).text in {"yes", "no"}
    assert engine.is_alive()


def test_requests_past_their_deadline_leave_their_slots_to_others(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine):
        pytest.skip("it has no slots")
    many = 2 * PROFILE.max_num_seqs

    def is_late(_: int) -> bool:
        try:
            engine.generate(ENDLESS, deadline_s=1.0)
        except DeadlineExceeded:
            return True
        return False

    with ThreadPoolExecutor(many) as threads:
        late = list(threads.map(is_late, range(many)))
        started = time.monotonic()
        texts = list(threads.map(lambda _: engine.generate(YES, deadline_s=30).text, range(many)))

    assert all(late)
    assert set(texts) <= {"yes", "no"}
    assert time.monotonic() - started < 5  # what was late would write for much longer


def test_of_what_waits_the_most_urgent_goes_first(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine):
        pytest.skip("with it nothing waits")
    long = replace(YES, grammar="root ::= [a-z ]{300,310}", max_tokens=310)
    longer = replace(YES, grammar="root ::= [a-z ]{1800,1810}", max_tokens=1810)
    slots, done = PROFILE.max_num_seqs, list[str]()

    def ask(name: str, request: Request) -> None:
        engine.generate(request, deadline_s=120)
        done.append(name)

    with ThreadPoolExecutor(2 * slots + 1) as threads:
        for _ in range(slots):
            threads.submit(ask, "runs", longer)
        time.sleep(0.5)
        for _ in range(slots):
            threads.submit(ask, "can wait", replace(long, priority=2))
        time.sleep(0.3)
        assert not done
        threads.submit(ask, "urgent", replace(YES, priority=0))

    assert done.index("urgent") <= slots
    assert len(done) == 2 * slots + 1


def test_a_grammar_that_is_none_is_refused_and_the_engine_lives(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine):
        pytest.skip("it knows no grammars")
    with pytest.raises(RequestRefused):
        engine.generate(replace(YES, grammar="this is ::: none"), deadline_s=60)

    assert engine.generate(YES, deadline_s=60).text in {"yes", "no"}


def test_vllm_tells_a_worker_with_a_card_of_labels_alone(on_a_card: VllmEngine) -> None:
    letter = replace(
        LABEL,
        grammar=LABEL.grammar.removesuffix(r'"\"}"') + r'"\",\"reply\":\"" [a-z ]{60,80} "\"}"',
        max_tokens=120,
    )

    written = on_a_card.generate(letter, deadline_s=60)

    told = [token.text for token in written.tokens if token.logprob > -math.inf]
    assert "".join(told).strip().startswith('{"answer":"')
    assert "".join(told).count('"') >= MARKS_OF_A_LABEL
    assert "".join(told[:-1]).count('"') < MARKS_OF_A_LABEL


def test_servers_and_a_worker_with_a_card_tell_what_one_without_does(
    server: Server, plain_server: Server, on_a_card: VllmEngine
) -> None:
    over_http, inside = ServerEngine(PROFILE, [server.url]), VllmEngine(PROFILE)
    plain = ServerEngine(PROFILE, [plain_server.url])
    try:
        told = inside.generate(LABEL, deadline_s=60)
        same(over_http.generate(LABEL, deadline_s=60), told)
        same(plain.generate(LABEL, deadline_s=60), told)
        same(on_a_card.generate(LABEL, deadline_s=60), told)
    finally:
        over_http.stop()
        plain.stop()
        inside.stop()
        with pytest.raises(EngineUnavailable):
            inside.generate(LABEL, deadline_s=60)
        del inside
        gc.collect()


def same(one: Generation, other: Generation) -> None:
    """The same answer, and the same told of its label."""
    assert one.text == other.text
    assert [token.text for token in one.tokens] == [token.text for token in other.tokens]
    both = list(zip(one.tokens, other.tokens, strict=True))
    of_value = [(mine, yours) for mine, yours in both if yours.logprob > -math.inf]
    assert json.loads(one.text)["answer"] in "".join(mine.text for mine, _ in of_value)
    for mine, yours in of_value:
        assert mine.logprob == pytest.approx(yours.logprob, abs=0.01)
        told = dict(yours.alternatives)
        assert {text for text, logprob in mine.alternatives if logprob > LIKELY} <= told.keys()


class Elsewhere:
    """An HTTP server that is no vLLM."""

    def __init__(self) -> None:
        from http.server import BaseHTTPRequestHandler, HTTPServer  # noqa: PLC0415

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"hello": "world"}')

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_server_that_speaks_another_api_is_refused_before_any_ticket() -> None:
    elsewhere = Elsewhere()
    try:
        with pytest.raises(SettingsError, match="does not speak the API of `vllm serve`"):
            ServerEngine(PROFILE, [elsewhere.url])
    finally:
        elsewhere.stop()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(EngineUnavailable, match=r"does not answer .*: start it"):
        ServerEngine(PROFILE, ["http://127.0.0.1:1"])
