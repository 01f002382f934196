"""The grammar admits replies, nothing else, and nothing longer than the token budget."""

import functools

import pytest
import xgrammar
from transformers import AutoTokenizer

from schemas.reply import Reply
from schemas.taxonomy import Category, Taxonomy, load_taxonomy
from tests.conftest import REPOSITORY
from tests.replies import written
from worker.engine.grammar import longest_output, reply_grammar
from worker.engine.tokens import PromptEncoder

MODEL = REPOSITORY / "models" / "demo"


@functools.cache
def compiler() -> xgrammar.GrammarCompiler:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    return xgrammar.GrammarCompiler(
        xgrammar.TokenizerInfo.from_huggingface(tokenizer), max_threads=1
    )


def admits(taxonomy: Taxonomy, output: str) -> bool:
    compiled = compiler().compile_grammar(reply_grammar(taxonomy).ebnf)
    matcher = xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)
    return bool(matcher.accept_string(output) and matcher.is_terminated())


def test_a_reply_in_every_script_is_admitted(taxonomy: Taxonomy) -> None:
    for text in ("Grüße, ça va – gut’s?", "お問い合わせありがとうございます。", "您好，客服😀"):
        assert admits(taxonomy, written(reply=text))


@pytest.mark.parametrize(
    "output",
    [
        written(category="nonsense"),
        written(priority="extreme"),
        written(reply="x" * 601),
        written(entities=[{"kind": "order", "value": "1"}] * 6),
        written(entities=[{"kind": "order", "value": ""}]),
        written().replace('","type"', '", "type"'),
        written(reply="a\nb"),
        written(reply='say "x"'),
        written()[:-1],
        written() + " ",
        written(extra=1),
    ],
)
def test_anything_else_is_refused(taxonomy: Taxonomy, output: str) -> None:
    assert not admits(taxonomy, output)


def test_raw_control_characters_are_refused_because_json_has_none(taxonomy: Taxonomy) -> None:
    for control in ("\x00", "\x07", "\t", "\n", "\x1f"):
        assert not admits(taxonomy, written(reply="MARK").replace("MARK", f"a{control}b"))


def taxonomies() -> list[Taxonomy]:
    widest = Category(value="x" * 40, description="the longest value there can be")
    other = Category(value="other", description="anything else")
    return [load_taxonomy(), Taxonomy(version="wide", categories=(widest, other))]


@pytest.mark.parametrize("taxonomy", taxonomies(), ids=lambda one: one.version)
def test_the_longest_output_is_admitted_parses_and_fits_the_budget(taxonomy: Taxonomy) -> None:
    longest = longest_output(taxonomy)

    tokens = len(PromptEncoder(MODEL).encode_text(longest)) + 1

    assert admits(taxonomy, longest)
    assert Reply.parse(longest, taxonomy)
    assert tokens <= reply_grammar(taxonomy).max_tokens


def test_no_character_takes_more_tokens_than_the_budget_counts_for_it() -> None:
    encoder = PromptEncoder(MODEL)
    rare = ("\U0001f5c3", "龘", "ﷺ", "ő", "✂", "𠮷")

    assert all(len(encoder.encode_text(char)) <= len(char.encode()) for char in rare)


def test_two_taxonomies_have_two_hashes() -> None:
    hashes = {reply_grammar(taxonomy).sha256 for taxonomy in taxonomies()}

    assert len(hashes) == 2
