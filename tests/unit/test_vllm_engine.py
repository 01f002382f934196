"""What becomes of a request that vLLM ends with an error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from worker.engine.contract import Prompt, Request
from worker.engine.vllm_engine import VllmEngine
from worker.errors import (
    AnswerLost,
    EngineCrashed,
    EngineUnavailable,
    RequestRefused,
    TriageError,
)

ASK = Request(Prompt("Answer.", "A ticket."), 'root ::= "yes"', 8, temperature=0.0, seed=1)


def errors_of_vllm() -> dict[str, Exception]:
    from vllm.exceptions import GenerationError, VLLMValidationError  # noqa: PLC0415  # seconds
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError  # noqa: PLC0415

    return {
        "dead": EngineDeadError(),
        "failed": EngineGenerateError(),
        "gave up": GenerationError(),
        "invalid": VLLMValidationError("no such grammar"),
        "out of range": ValueError("max_tokens must be at least 1"),
    }


@pytest.mark.parametrize(
    ("name", "is_stopping", "expected"),
    [
        ("dead", False, EngineCrashed),
        ("dead", True, EngineUnavailable),
        ("failed", False, AnswerLost),
        ("gave up", False, AnswerLost),
        ("invalid", False, RequestRefused),
        ("out of range", False, RequestRefused),
    ],
)
def test_an_error_of_vllms_becomes_one_that_says_whether_to_try_again(
    name: str, is_stopping: bool, expected: type[TriageError]
) -> None:
    class Vllm:
        async def generate(self, *_: Any, **__: Any) -> AsyncIterator[None]:
            raise errors_of_vllm()[name]
            yield

    engine = object.__new__(VllmEngine)
    engine._llm, engine._is_stopping = Vllm(), is_stopping  # type: ignore[assignment]

    with pytest.raises(expected):
        asyncio.run(engine._generate([1, 2], ASK, None))
