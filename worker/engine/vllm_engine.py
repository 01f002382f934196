"""vLLM in this process: one asynchronous engine shared by all of a worker's threads.

The engine and every generation live on one event loop in a thread of its own; the threads that
hold tickets hand their requests over and wait. Requests join the running batch as they come
(continuous batching), so 16 waiting threads keep 16 sequences running.
"""

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import psutil

from worker import logs, processors
from worker.engine.alternatives import ALTERNATIVES, MARK, NAME, Listener, Wanted, value_places
from worker.engine.arguments import engine_arguments
from worker.engine.attention import attention_backend
from worker.engine.checkpoint import on_this_machine
from worker.engine.contract import Generation, Request, Token
from worker.engine.environment import environment
from worker.engine.finished import generation, identity, refuse_unfinished
from worker.engine.labels_only import until_labels_end
from worker.engine.machine import Machine, this_machine
from worker.engine.preflight import refuse_what_cannot_start
from worker.engine.profiles import Profile
from worker.engine.tokens import PromptEncoder
from worker.engine.told import ToldBeside, ToldByVllm
from worker.errors import (
    AnswerLost,
    DeadlineExceeded,
    EngineCrashed,
    EngineUnavailable,
    PromptTooLong,
    RequestRefused,
)

if TYPE_CHECKING:
    from vllm import RequestOutput
    from vllm.logprobs import FlatLogprobs
    from vllm.v1.engine.async_llm import AsyncLLM

log = logs.get(__name__)

GONE_S = 10.0
"""So long stopping waits for vLLM's killed process: a driver may take seconds to free a card."""


class VllmEngine:
    """An in-process vLLM engine. Made once, when it can answer; `generate` from any thread."""

    def __init__(self, profile: Profile) -> None:
        """Load the model.

        Raises:
            SettingsError: the profile cannot run here; it says what to change.
            EngineUnavailable: vLLM could not start; its own message follows.
        """
        started = time.monotonic()
        os.environ.update(environment(profile))
        machine = this_machine()
        refuse_what_cannot_start(profile, machine)
        self.profile = profile
        self._is_stopping = False
        here = on_this_machine(profile)
        self._encoder = PromptEncoder(
            here.model_path, revision=here.revision, shape=here.prompt_shape
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="engine-loop", daemon=True
        )
        self._thread.start()
        self._listener = Listener() if told_beside(machine) else None
        others = set(multiprocessing.active_children())
        try:
            self._llm: AsyncLLM = self._on_loop(load(here, machine)).result()
        except BaseException:
            self._end()
            raise
        self._loop.call_soon_threadsafe(processors.let_the_engine_go_first)
        cores = set(multiprocessing.active_children()) - others
        self._cores = [psutil.Process(core.pid) for core in cores]
        if not machine.has_gpu:
            for one in self._cores:
                processors.give_one_to(one.pid)
        self.identity = identity(profile, version=machine.vllm, hardware=machine.device)
        log.info("engine_started", profile=profile.name, seconds=time.monotonic() - started)

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        ids = self._encoder.encode(request.prompt)
        room = self.profile.max_model_len - request.max_tokens
        if len(ids) > room:
            raise PromptTooLong(self.profile.name, tokens=len(ids), room=room)
        started = time.monotonic()
        wanted = (
            self._listener.expect(request.labels) if self._listener and request.labels else None
        )
        try:
            future = self._on_loop(self._generate(ids, request, wanted))
            output = future.result(deadline_s)
            refuse_unfinished(output.outputs[0].finish_reason)
            told = self._told(output, wanted)
        except CancelledError as error:
            raise EngineUnavailable("the engine was stopped") from error
        except TimeoutError as error:
            future.cancel()  # aborts the request: its sequence slot is free again
            raise DeadlineExceeded(
                f"no answer within {deadline_s:g} s; raise TRIAGE_DEADLINE_S or add a worker"
            ) from error
        finally:
            if self._listener and wanted:
                self._listener.forget(wanted)
        engine_ms = int((time.monotonic() - started) * 1000)
        return generation(output, told, self._encoder, engine_ms=engine_ms, identity=self.identity)

    def _told(self, output: "RequestOutput", wanted: Wanted | None) -> Iterable[Token]:
        written = output.outputs[0]
        if self._listener and wanted:
            places = value_places(written.token_ids, self._marks_in, wanted.labels)
            told = self._listener.collect(wanted, list(places))
            return ToldBeside(written.token_ids, told, self._encoder)
        if written.logprobs:
            told_by_vllm = cast("FlatLogprobs", written.logprobs)
            return ToldByVllm(written.token_ids, told_by_vllm, self._encoder)
        return ToldBeside(written.token_ids, {}, self._encoder)

    async def _generate(
        self, ids: list[int], request: Request, wanted: Wanted | None
    ) -> "RequestOutput":
        from vllm import SamplingParams, TokensPrompt  # noqa: PLC0415
        from vllm.exceptions import VLLMClientError, VLLMServerError  # noqa: PLC0415
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415
        from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415

        sampling = SamplingParams(
            temperature=request.temperature,
            seed=request.seed,
            max_tokens=request.max_tokens,
            # Both after the grammar has masked what it does not allow.
            logprobs=ALTERNATIVES if request.labels and wanted is None else None,
            flat_logprobs=True,
            extra_args={NAME: asdict(wanted)} if wanted else until_labels_end(request.labels),
            detokenize=False,  # the waiting thread does it, for what is looked at only
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(grammar=request.grammar),
        )
        final: RequestOutput
        prompt = TokensPrompt(prompt_token_ids=ids)
        try:
            async for output in self._llm.generate(
                prompt, sampling, request_id=uuid4().hex, priority=request.priority
            ):
                final = output
        except EngineDeadError as error:
            if self._is_stopping:
                raise EngineUnavailable("the engine was stopped") from error
            raise EngineCrashed("the engine died") from error
        except VLLMServerError as error:
            raise AnswerLost(f"the engine gave up on this answer: {error}") from error
        except (ValueError, VLLMClientError) as error:
            raise RequestRefused(f"the engine refused the request: {error}") from error
        return final

    def _marks_in(self, token_id: int) -> int:
        return self._encoder.text_of(token_id).count(MARK)

    def count(self, text: str) -> int:
        return len(self._encoder.encode_text(text))

    def is_alive(self) -> bool:
        return not self._is_stopping and not self._llm.errored

    def stop(self) -> None:
        """End the engine and wait for its process. What it is writing ends, unwritten."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._on_loop(shut_down(self._llm)).result()
        psutil.wait_procs(self._cores, timeout=GONE_S)  # the next engine needs the card's memory
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._listener:
            self._listener.close()

    def _on_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:  # its loop is closed
            coroutine.close()
            raise EngineUnavailable("the engine was stopped") from error


async def load(profile: Profile, machine: Machine) -> "AsyncLLM":
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415  # seconds of imports that
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415  # only a worker should pay for

    attention = attention_backend(profile, machine)
    arguments = AsyncEngineArgs(**engine_arguments(profile, attention))
    if told_beside(machine):
        arguments.logits_processors = ["worker.engine.teller:Teller"]
    try:
        return AsyncLLM.from_engine_args(arguments)
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineUnavailable(f"vLLM could not start profile {profile.name}: {error}") from error


def told_beside(machine: Machine) -> bool:
    """With a GPU a processor of ours would have to wait for the card: vLLM's own way costs less."""
    return not machine.has_gpu


async def shut_down(llm: "AsyncLLM") -> None:
    """End vLLM's process, then every generation that waits for it."""
    llm.shutdown(timeout=0)
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
