"""What vLLM has written, in the contract's words, however it was asked."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from worker.engine.contract import Generation, Identity, Token
from worker.engine.profiles import Profile
from worker.engine.tokens import PromptEncoder
from worker.errors import EngineUnavailable, RequestRefused

if TYPE_CHECKING:
    from vllm import RequestOutput

NO_QUANTIZATION = "none"
"""What is kept with an answer where weights are in 16 bits; NULL is where no engine answered."""


def identity(profile: Profile, *, version: str, hardware: str) -> Identity:
    return Identity(
        profile=profile.name,
        model=profile.model,
        quantization=profile.quantization or NO_QUANTIZATION,
        engine_version=f"vllm {version}",
        hardware=hardware,
    )


def refuse_unfinished(finish_reason: str | None) -> None:
    """
    Raises:
        EngineUnavailable, RequestRefused: the engine ended before the answer did.
    """
    if finish_reason == "abort":
        raise EngineUnavailable("the engine stopped while it was writing")
    if finish_reason == "error":
        raise RequestRefused("the engine gave the request up; its own log says why")


def generation(
    output: "RequestOutput",
    tokens: Iterable[Token],
    encoder: PromptEncoder,
    *,
    engine_ms: int,
    identity: Identity,
) -> Generation:
    written = output.outputs[0]
    return Generation(
        text=encoder.decode(written.token_ids),
        finish_reason=written.finish_reason or "error",
        tokens=tokens,
        prompt_tokens=len(output.prompt_token_ids or ()),
        cached_tokens=output.num_cached_tokens or 0,
        output_tokens=len(written.token_ids),
        engine_ms=engine_ms,
        identity=identity,
    )
