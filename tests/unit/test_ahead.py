"""A grammar that is a token ahead of what is written, on xgrammar itself."""

import pytest
import xgrammar

from worker.engine.ahead import AheadGrammar, accept

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

A, B, END = range(3)
COMPILED = xgrammar.GrammarCompiler(
    xgrammar.TokenizerInfo(["a", "b", "</s>"], stop_token_ids=[END])
).compile_grammar('root ::= "a" "b"')


@pytest.fixture
def grammar() -> AheadGrammar:
    return AheadGrammar(vocab_size=3, matcher=xgrammar.GrammarMatcher(COMPILED), ctx=COMPILED)


def allowed(grammar: AheadGrammar) -> set[int]:
    mask = xgrammar.allocate_token_bitmask(1, 3)
    grammar.fill_bitmask(mask, 0)
    return {token for token in (A, B, END) if mask[0, 0] >> token & 1}


def test_a_token_is_accepted_once(grammar: AheadGrammar) -> None:
    assert accept([(grammar, A)]) == [True]
    assert grammar.accept_tokens("one", [A])

    assert allowed(grammar) == {B}
    assert grammar.num_processed_tokens == 1


def test_what_it_refuses_leaves_it_as_it_was(grammar: AheadGrammar) -> None:
    assert accept([(grammar, B)]) == [False]

    assert allowed(grammar) == {A}


def test_each_of_a_batch_has_its_own_answer(grammar: AheadGrammar) -> None:
    other = AheadGrammar(vocab_size=3, matcher=xgrammar.GrammarMatcher(COMPILED), ctx=COMPILED)

    assert accept([(grammar, B), (other, A)]) == [False, True]
    assert accept([]) == []


def test_a_token_that_was_not_written_is_forgotten(grammar: AheadGrammar) -> None:
    accept([(grammar, A)])

    assert accept([(grammar, A)]) == [True]  # its step came to nothing, and is made again
    assert allowed(grammar) == {A}
    assert grammar.accept_tokens("one", [A])
    assert allowed(grammar) == {B}


def test_another_token_than_the_accepted_one_may_be_written(grammar: AheadGrammar) -> None:
    grammar.accept_tokens("one", [A])
    accept([(grammar, B)])

    assert not grammar.accept_tokens("one", [A])
    assert grammar.accept_tokens("one", [B])


def test_it_ends_with_the_token_that_ends_an_answer_and_not_before(grammar: AheadGrammar) -> None:
    for token in (A, B, END):
        accept([(grammar, token)])
        assert not grammar.is_terminated()
        grammar.accept_tokens("one", [token])

    assert grammar.is_terminated()


def test_it_starts_again(grammar: AheadGrammar) -> None:
    accept([(grammar, A)])
    grammar.reset()

    assert allowed(grammar) == {A}
