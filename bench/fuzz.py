"""A hundred thousand requests that nobody should send, to a gateway that listens.

Hypothesis makes signed and unsigned webhooks of every helpdesk; schemathesis, where it is installed
(`make fuzz`), reads the gateway's own OpenAPI and tries every endpoint.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.ingest import CONNECTIONS
from bench.report import fact, write_table
from bench.resilience import fleet
from tests.faults.fleet import Fleet
from tests.fuzzing import SECRETS, Sent, requests

AT_ONCE = 50
OF_HYPOTHESIS = 90_000
EXAMPLES_OF_AN_ENDPOINT = 4_000
OTHER_SECRETS = {f"webhook_secrets__{name}": secret for name, secret in SECRETS.items()}


def measure(rounds: int) -> None:
    del rounds  # as many requests as there are
    with fleet(**OTHER_SECRETS) as running:
        gateway = running.start("gateway")
        running.wait_for_gateway()
        statuses = by_hypothesis(running)
        endpoints = by_schemathesis(running)
        tracebacks = gateway.log.read_text().count("Traceback")
    requests_sent = statuses.total() + endpoints
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    write_table(
        "Fuzzing",
        text="Requests to a gateway that listens, with secrets for every helpdesk: webhooks made "
        "by Hypothesis (payloads mutated, signatures right, wrong, old, of other bodies, missing), "
        "and every endpoint of the gateway's OpenAPI by schemathesis.",
        head="| what | found | detail |",
        rows=[
            fact("requests", f"{requests_sent:,}", f"schemathesis {endpoints:,}; else {told}"),
            fact("answers of 500 and above", sum(n for code, n in statuses.items() if code >= 500)),
            fact("accepted without proof", 0, "each answer is checked; one would end the run"),
            fact("tracebacks in the gateway's log", tracebacks),
        ],
    )


def by_hypothesis(running: Fleet) -> Counter[int]:
    """Send what Hypothesis makes, many at once; how many answers had which status."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=OF_HYPOTHESIS // AT_ONCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(requests(), min_size=AT_ONCE, max_size=AT_ONCE))
    def send(batch: list[Sent]) -> None:
        answers = asyncio.run(send_all(running.port, batch))
        for sent, status in zip(batch, answers, strict=True):
            assert status < 500, sent
            assert sent.is_signed or status not in {200, 202}, sent
        statuses.update(answers)

    send()
    return statuses


async def send_all(port: int, batch: list[Sent]) -> list[int]:
    waiting = iter(enumerate(batch))
    statuses = [0] * len(batch)

    async def one_connection() -> None:
        for number, sent in waiting:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(as_http(sent))
            line = await reader.readline()
            statuses[number] = int(line.split()[1])
            writer.close()

    await asyncio.gather(*(one_connection() for _ in range(min(CONNECTIONS, AT_ONCE))))
    return statuses


def as_http(sent: Sent) -> bytes:
    lines = [
        f"POST {sent.path} HTTP/1.1",
        "Host: gateway",
        "Connection: close",
        f"Content-Length: {len(sent.body)}",
        *(f"{name}: {value}" for name, value in sent.headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent.body


def by_schemathesis(running: Fleet) -> int:
    """Try every endpoint of the gateway's own OpenAPI; how many requests that were.

    Raises:
        SystemExit: one was answered as it must not be; schemathesis says which.
    """
    command = Path(sys.executable).with_name("schemathesis")
    if not (command.exists() or shutil.which("schemathesis")):
        return 0
    done = subprocess.run(
        [
            command, "run", f"{running.url}/openapi.json", "--checks", "not_a_server_error",
            "--max-examples", str(EXAMPLES_OF_AN_ENDPOINT), "--phases", "fuzzing", "--no-color",
            "--generation-database", "none", "--suppress-health-check", "all",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    found = re.findall(r"(\d+) generated", done.stdout)
    if done.returncode or not found:
        sys.exit(done.stdout[-4000:] + done.stderr)
    return int(found[-1])
