"""A grammar is parsed once, however many requests come with it."""

from importlib.metadata import entry_points

import pytest
from xgrammar import Grammar

from worker.engine.parsed_once import parse_once

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns while it is imported


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = getattr(Grammar.from_ebnf, "__wrapped__", Grammar.from_ebnf)
    monkeypatch.setattr(Grammar, "from_ebnf", staticmethod(parse))


def test_the_same_text_is_the_same_grammar() -> None:
    parse_once()
    parse_once()  # vLLM may call it in a process more than once

    first, again = Grammar.from_ebnf('root ::= "a"'), Grammar.from_ebnf('root ::= "a"')

    assert first is again
    assert str(Grammar.from_ebnf('root ::= "b"')) != str(first)


def test_a_wrong_grammar_is_refused_each_time() -> None:
    parse_once()

    for _ in range(2):
        with pytest.raises(RuntimeError, match="root"):
            Grammar.from_ebnf("no rules")


def test_vllm_is_told_of_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="parse_once")

    assert [one.load() for one in found] == [parse_once]
