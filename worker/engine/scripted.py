"""A real engine without a model: writes what a function says, deterministically.

For unit tests, for trying the services without a model (`TRIAGE_PROFILE=scripted`), and for
measuring everything but the engine. It keeps the contract, deadlines and context included.
"""

import threading
import time
from collections.abc import Callable

from schemas.reply import canonical_json, label_values
from schemas.taxonomy import Taxonomy
from worker.engine.contract import Generation, Identity, Prompt, Request, Token
from worker.errors import DeadlineExceeded, EngineUnavailable, PromptTooLong

Script = Callable[[Prompt], str]
CHARACTERS_IN_A_TOKEN = 4


class ScriptedEngine:
    """Answers every prompt with `script(prompt)`, after `latency_s` seconds."""

    def __init__(
        self,
        script: Script,
        *,
        latency_s: float = 0.0,
        probability: float = 1.0,
        max_model_len: int = 32_768,
    ) -> None:
        self.identity = Identity("scripted", "scripted", "none", "scripted", "none")
        self._script, self._latency_s, self._max_model_len = script, latency_s, max_model_len
        self._token_logprob = min(0.0, probability - 1.0)
        self._stopped = threading.Event()

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        started = time.monotonic()
        prompt = request.prompt
        prompt_tokens = self.count(prompt.instruction + prompt.ticket + prompt.note)
        room = self._max_model_len - request.max_tokens
        if prompt_tokens > room:
            raise PromptTooLong(self.identity.profile, tokens=prompt_tokens, room=room)
        if self._stopped.wait(min(self._latency_s, deadline_s)):
            raise EngineUnavailable("the engine was stopped")
        if self._latency_s > deadline_s:
            raise DeadlineExceeded(f"no answer within {deadline_s:g} s")
        text = self._script(request.prompt)
        return Generation(
            text=text,
            finish_reason="stop",
            tokens=tuple(Token(char, self._token_logprob) for char in text),
            prompt_tokens=prompt_tokens,
            cached_tokens=0,
            output_tokens=len(text),
            engine_ms=int((time.monotonic() - started) * 1000),
            identity=self.identity,
        )

    def count(self, text: str) -> int:
        return -(-len(text) // CHARACTERS_IN_A_TOKEN)

    def is_alive(self) -> bool:
        return not self._stopped.is_set()

    def stop(self) -> None:
        """Everything that is being written ends at once, unwritten."""
        self._stopped.set()


def first_labels(taxonomy: Taxonomy) -> Script:
    """A script that gives every ticket the first value of each label and quotes nothing."""
    labels = {name: values[0] for name, values in label_values(taxonomy).items()}
    answer = {**labels, "entities": [], "summary": "A ticket.", "reply": "…"}
    return lambda _prompt: canonical_json(answer)
