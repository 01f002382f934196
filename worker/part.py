"""One process of the embedded stack: started, asked whether it is ready, stopped for certain."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from worker import logs

log = logs.get(__name__)

STOP_S = {"worker": 40.0}
STOP_OTHERS_S = 10.0
LAST_LINES = 15


@dataclass(slots=True)
class Part:
    """One process of the stack. `is_ready` says whether it can be used."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log_file: Path
    is_ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = field(default=None)
    starts: int = 0
    started: float = 0.0

    def start(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        self.started = time.monotonic()
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                self.command,
                env=self.environment,
                stdin=subprocess.PIPE,  # ends with us, and the part with it
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops in order
            )
        log.info("part_started", part=self.name, pid=self.process.pid)

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Ask, wait, insist."""
        if self.process is None or self.has_ended:
            return
        patience_s = STOP_S.get(self.name, STOP_OTHERS_S)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            log.warning("part_killed", part=self.name, after_s=patience_s)
        self.end()
        log.info("part_stopped", part=self.name, exit_code=self.process.returncode)

    def end(self) -> None:
        """Make sure that nothing of the part is left."""
        if self.process is None:
            return
        if not self.has_ended:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"  {line[:400]}" for line in lines)
