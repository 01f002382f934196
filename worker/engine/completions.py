"""vLLM's completions API, in its words: what is asked, and how its answers are read."""

import json
from collections.abc import Iterator
from typing import Any

from worker.engine.alternatives import ALTERNATIVES
from worker.engine.contract import Generation, Identity, Request, Token
from worker.engine.finished import refuse_unfinished
from worker.engine.tokens import PromptEncoder
from worker.engine.told import token
from worker.errors import AnotherApi

PATH = "/v1/completions"
AS_IDS = "token_id:"
"""How the server writes a token when it is asked for ids: texts of two tokens may be the same."""
PLAIN_SAMPLING = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""As an engine in the worker samples; a server takes the model's `generation_config.json` else."""


def body_of(ids: list[int], request: Request, *, model: str) -> dict[str, Any]:
    """The body of a request for `model`, as the server calls it."""
    return {
        "model": model,
        "prompt": ids,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        **PLAIN_SAMPLING,
        "seed": request.seed,
        "priority": request.priority,
        "logprobs": ALTERNATIVES,
        "return_tokens_as_token_ids": True,
        "structured_outputs": {"grammar": request.grammar},
    }


def read(
    content: bytes, encoder: PromptEncoder, *, engine_ms: int, identity: Identity
) -> Generation:
    """
    Raises:
        AnotherApi: this is no answer of vLLM's.
        EngineUnavailable, RequestRefused: the engine ended before the answer did.
    """
    try:
        answer = json.loads(content)
        written, usage = answer["choices"][0], answer["usage"]
        refuse_unfinished(written["finish_reason"])
        ids = [id_of(one) for one in written["logprobs"]["tokens"]]
        details = usage.get("prompt_tokens_details") or {}
        return Generation(
            text=encoder.decode(ids),
            finish_reason=written["finish_reason"] or "error",
            tokens=tuple(tokens(written["logprobs"], encoder)),
            prompt_tokens=int(usage["prompt_tokens"]),
            cached_tokens=int(details.get("cached_tokens") or 0),
            output_tokens=int(usage["completion_tokens"]),
            engine_ms=engine_ms,
            identity=identity,
        )
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        said = f"{type(error).__name__}: {error}"
        raise AnotherApi(f"the server answers as no vLLM does ({said})") from error


def tokens(told: dict[str, Any], encoder: PromptEncoder) -> Iterator[Token]:
    for chosen, logprob, top in zip(
        told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True
    ):
        others = [(id_of(other), float(value)) for other, value in top.items()]
        yield token(id_of(chosen), float(logprob), others, encoder)


def id_of(name: str) -> int:
    return int(name.removeprefix(AS_IDS))
