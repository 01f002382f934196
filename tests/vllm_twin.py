"""A server that speaks as much of `vllm serve` as the product asks of it, and fails on demand."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from weakref import WeakSet

from worker.engine.contract import PROBE, PROBED
from worker.engine.profiles import load_profile
from worker.engine.tokens import PromptEncoder

HANG_UP = 0
"""In place of a status: the connection is closed without an answer."""
ENCODER = PromptEncoder(load_profile("demo").model_path)


def completion(finish_reason: str = "stop", *, text: str = "yes") -> dict[str, Any]:
    names = [f"token_id:{one}" for one in ENCODER.encode_text(text)]
    told = {
        "tokens": names,
        "token_logprobs": [-0.1] * len(names),
        "top_logprobs": [{one: -0.1} for one in names],
    }
    return {
        "choices": [{"finish_reason": finish_reason, "logprobs": told}],
        "usage": {"prompt_tokens": 9, "completion_tokens": len(names)},
    }


@dataclass
class VllmTwin:
    """`model` is its name there, `root` what it was loaded from. `answer` is asked for each
    completion and gives status and body, `probed` for what the grammar of a probe leaves no choice
    in, which is not among what was `asked`; while `is_well` is false `/health` says 503.
    """

    model: str = "demo"
    root: str = "/srv/models/demo"
    key: str = ""
    version: str = "0.33.0"
    context: int = 8192
    port: int = 0
    is_well: bool = True
    answer: Callable[[], tuple[int, dict[str, Any]]] = lambda: (200, completion())
    probed: Callable[[], tuple[int, Any]] = lambda: (200, completion(text=PROBED))
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines: WeakSet[socket.socket] = WeakSet()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler_of(self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for line in list(self.lines):
            with suppress(OSError):  # it is closed already
                line.shutdown(socket.SHUT_RDWR)

    def get(self, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        if path == "/health":
            return (200 if self.is_well else 503), {}
        if path == "/version":
            return 200, {"version": self.version}
        if self.key and authorization != f"Bearer {self.key}":
            return 401, {"error": "Unauthorized"}
        return 200, {"data": [{"id": self.model, "root": self.root, "max_model_len": self.context}]}


def handler_of(twin: VllmTwin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as vLLM keeps them

        def setup(self) -> None:
            super().setup()
            twin.lines.add(self.connection)

        def do_GET(self) -> None:
            self._say(*twin.get(self.path, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if body["priority"] == PROBE.priority:
                self._say(*twin.probed())
                return
            twin.asked.append(body)
            status, body = twin.answer()
            if status == HANG_UP:
                self.close_connection = True
            else:
                self._say(status, body)

        def _say(self, status: int, body: dict[str, Any]) -> None:
            said = json.dumps(body).encode()
            with suppress(BrokenPipeError):  # who asked waits no more
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
