"""A grammar that accepts a request's token before vLLM tells it that the token was written.

Whether a token is allowed a grammar finds out by accepting it. vLLM would have it taken back and
accepted again a moment later; here it is accepted once, for the whole batch in one call.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vllm.v1.structured_output.backend_xgrammar import XgrammarGrammar
from xgrammar import BatchGrammarMatcher

if TYPE_CHECKING:
    import torch


@dataclass
class AheadGrammar(XgrammarGrammar):
    """vLLM's own, that may be one token ahead of what is written.

    `is_held`: whether its request may be held against it (`cpu_masks`), once that is known.
    `ends`: the tokens that end an answer.
    """

    ahead: int | None = field(default=None, init=False, repr=False)
    is_held: bool | None = field(default=None, init=False, repr=False)
    ends: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        self.ends = frozenset(self.matcher.stop_token_ids)

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        if tokens != [self.ahead]:
            self.take_back()
            return super().accept_tokens(request_id, tokens)
        self._is_terminated = self.ahead in self.ends
        self.ahead = None
        self.num_processed_tokens += 1
        return True

    def take_back(self) -> None:
        """Forget a token that was not written after all: its step came to nothing."""
        if self.ahead is not None:
            self.matcher.rollback(1)
            self.ahead = None

    def fill_bitmask(self, bitmask: "torch.Tensor", idx: int) -> None:
        self.take_back()
        super().fill_bitmask(bitmask, idx)

    def reset(self) -> None:
        self.ahead = None
        super().reset()  # type: ignore[no-untyped-call]


def accept(asked: Collection[tuple[AheadGrammar, int]]) -> list[bool]:
    """Have each grammar accept its token, and say which did; the others are as they were."""
    for grammar, _ in asked:
        grammar.take_back()
    accepted = BatchGrammarMatcher.batch_accept_token(
        [grammar.matcher for grammar, _ in asked], [token for _, token in asked]
    )
    for (grammar, token), is_accepted in zip(asked, accepted, strict=True):
        if is_accepted:
            grammar.ahead = token
    return accepted
