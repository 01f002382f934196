"""A grammar that accepts a request's token before vLLM tells it that the token was written.

Whether a token is allowed a grammar finds out by accepting it. vLLM would have it taken back and
accepted again a moment later; here it is accepted once, for the whole batch in one call, if it is
not known without the grammar (`reader`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vllm.v1.structured_output.backend_xgrammar import XgrammarGrammar
from xgrammar import BatchGrammarMatcher

from worker.engine.beginnings import Vocabulary, beginnings
from worker.engine.grammar import bounds_in
from worker.engine.logits import Numbers
from worker.engine.reader import Reader

if TYPE_CHECKING:
    import torch

VOCABULARIES: dict[int, Vocabulary] = {}
"""By their size: vLLM's process has one."""


@dataclass
class AheadGrammar(XgrammarGrammar):
    """vLLM's own, that may be one token ahead of what is written.

    `was_read`: whether the matcher has accepted the token `ahead`. `ends`: the tokens that end an
    answer. `is_held`: whether its request may be held against it (`cpu_masks`), once that is known.
    """

    ahead: int | None = field(default=None, init=False, repr=False)
    was_read: bool = field(default=True, init=False, repr=False)
    ends: frozenset[int] = field(default=frozenset(), init=False, repr=False)
    is_held: bool | None = field(default=None, init=False, repr=False)
    reader: Reader | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.ends = frozenset(self.matcher.stop_token_ids)

    def read_later(self, ebnf: str) -> None:
        """Read what is written only when that is needed, if this EBNF of its is of our making."""
        if bounds_in(ebnf):
            if self.vocab_size not in VOCABULARIES:
                VOCABULARIES[self.vocab_size] = Vocabulary.of(self.ctx.tokenizer_info)
            known = beginnings(ebnf, VOCABULARIES[self.vocab_size])
            self.reader = Reader(self.matcher, known)

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        if tokens != [self.ahead]:
            self.take_back()
            return all(self._accept(request_id, token) for token in tokens)
        self._wrote(tokens[0], was_read=self.was_read)
        self.ahead = None
        return True

    def _accept(self, request_id: str, token: int) -> bool:
        if self._is_terminated:  # what is written after the end is of no grammar
            return True
        if self.reader and self.reader.knows(token):
            self._wrote(token, was_read=False)
            return True
        self.catch_up()
        is_accepted = super().accept_tokens(request_id, [token])
        if is_accepted and self.reader:
            self.reader.wrote(token, was_read=True)
        return is_accepted

    def _wrote(self, token: int, *, was_read: bool) -> None:
        self._is_terminated = token in self.ends
        self.num_processed_tokens += 1
        if self.reader:
            self.reader.wrote(token, was_read=was_read)

    def take_back(self) -> None:
        """Forget a token that was not written after all: its step came to nothing."""
        if self.ahead is not None:
            if self.was_read:
                self.matcher.rollback(1)
            self.ahead = None

    def catch_up(self) -> None:
        if self.reader:
            self.reader.catch_up()

    @property
    def allowed(self) -> Numbers | None:
        """The ids of the tokens that may be next, if that is known without a mask."""
        return self.reader.allowed if self.reader else None

    def keep_allowed(self, ids: Numbers) -> None:
        if self.reader:
            self.reader.allowed = ids

    def fill_bitmask(self, bitmask: "torch.Tensor", idx: int) -> None:
        self.take_back()
        self.catch_up()
        super().fill_bitmask(bitmask, idx)

    def reset(self) -> None:
        self.ahead = None
        if self.reader:
            self.reader = Reader(self.matcher, self.reader.beginnings)
        super().reset()  # type: ignore[no-untyped-call]


def accept(asked: Collection[tuple[AheadGrammar, int]]) -> list[bool]:
    """Have each grammar accept its token, and say which did; the others are as they were."""
    unknown: list[tuple[AheadGrammar, int]] = []
    for one in asked:
        grammar, token = one
        grammar.take_back()
        if grammar.reader and grammar.reader.knows(token):
            grammar.ahead, grammar.was_read = token, False
        else:
            grammar.catch_up()
            unknown.append(one)
    if unknown:  # an empty call takes as long as five tokens
        accepted = BatchGrammarMatcher.batch_accept_token(
            [grammar.matcher for grammar, _ in unknown], [token for _, token in unknown]
        )
        for (grammar, token), is_accepted in zip(unknown, accepted, strict=True):
            if is_accepted:
                grammar.ahead, grammar.was_read = token, True
    return [grammar.ahead is not None for grammar, _ in asked]
