"""The grammar admits replies, nothing else, and nothing longer than the token budget."""

import functools
import random

import numpy
import pytest
import xgrammar
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from schemas.reply import (
    ENTITIES,
    ENTITY_CHARS,
    REPLY_CHARS,
    SUMMARY_CHARS,
    Reply,
    canonical_json,
    label_values,
)
from schemas.taxonomy import Category, Taxonomy, load_taxonomy
from tests.conftest import REPOSITORY
from tests.replies import written
from tests.tekken import tekken_encoder
from worker.engine.grammar import (
    bounded_strings,
    bounds_in,
    longest_output,
    refuse_unenforced,
    reply_grammar,
)
from worker.engine.tokens import PromptEncoder
from worker.errors import SettingsError

MODEL = REPOSITORY / "models" / "demo"


@functools.cache
def vocabulary() -> xgrammar.TokenizerInfo:
    return xgrammar.TokenizerInfo.from_huggingface(AutoTokenizer.from_pretrained(MODEL))


@functools.cache
def compiler() -> xgrammar.GrammarCompiler:
    return xgrammar.GrammarCompiler(vocabulary(), max_threads=1)


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


TEXTS = {
    "de": "abcdefghijklmnopqrstuvwxyzäöüßÄÖÜ –„“,.!?0123456789",
    "fr": "abcdefghijklmnopqrstuvwxyzàâçéèêëîïôùûüœÉ ’«»,.!?0123456789",
    "ja": "ぁあいうえおがぎぐげごさしすせそアイウエオカ請求書確認注文返品々龘ｱｲｳー。、！？",
    "zh": "我们正在核实您的发票金额账户處理這個問題請稍候龘𠮷。，！？：；",
    "en": "abcdefghijklmnopqrstuvwxyz '’,.!?0123456789",
}


def encoders() -> dict[str, PromptEncoder]:
    return {"demo": PromptEncoder(MODEL), "tekken": tekken_encoder()}


ENCODERS = encoders()


@pytest.mark.parametrize("language", TEXTS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), width=st.integers(1, 80))
def test_the_longest_replies_of_every_language_fit_the_budget_of_every_tokenizer(
    language: str, seed: int, width: int
) -> None:
    rng = random.Random(seed)
    letters = rng.choices(TEXTS[language], k=width)

    def text(chars: int) -> str:
        return "".join(rng.choices(letters, k=chars))

    for taxonomy in taxonomies():
        labels = {name: max(values, key=len) for name, values in label_values(taxonomy).items()}
        entity = {"kind": "error_code", "value": text(ENTITY_CHARS)}
        output = canonical_json(
            {
                **labels,
                "entities": [entity] * ENTITIES,
                "summary": text(SUMMARY_CHARS),
                "reply": text(REPLY_CHARS),
            }
        )

        assert admits(taxonomy, output)
        for encoder in ENCODERS.values():
            tokens = len(encoder.encode_text(output)) + 1
            assert tokens <= reply_grammar(taxonomy).max_tokens


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_is_drawn_under_the_mask_is_a_reply_of_whole_characters_within_the_budget(
    seed: int,
) -> None:
    taxonomy, rng, info = load_taxonomy(), random.Random(seed), vocabulary()
    matcher = xgrammar.GrammarMatcher(compiler().compile_grammar(reply_grammar(taxonomy).ebnf))
    mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)
    written, count = b"", 0

    while not matcher.is_terminated():
        matcher.fill_next_token_bitmask(mask)
        bits = numpy.unpackbits(mask[0].numpy().view(numpy.uint8), bitorder="little")
        chosen = int(rng.choice(numpy.flatnonzero(bits[: info.vocab_size])))
        assert matcher.accept_token(chosen)
        written += b"" if chosen in info.stop_token_ids else info.decoded_vocab[chosen]
        count += 1

    assert count <= reply_grammar(taxonomy).max_tokens
    assert Reply.parse(written.decode("utf-8"), taxonomy)


@pytest.mark.parametrize(
    "half", [b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xf4\x90\x80\x80"]
)
def test_bytes_that_are_no_utf_8_are_refused(taxonomy: Taxonomy, half: bytes) -> None:
    output = written(reply="MARK").encode().replace(b"MARK", half)
    compiled = compiler().compile_grammar(reply_grammar(taxonomy).ebnf)

    assert not xgrammar.GrammarMatcher(compiled).accept_string(output)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"reply": {"type": "string", "not": {}}}}, "reply.reply uses 'not'"),
        ({"properties": {"x": {"items": {"pattern": "a"}}}}, "reply.x[] uses 'pattern'"),
        ({"$defs": {"X": {"multipleOf": 2}}}, "reply.X uses 'multipleOf'"),
        ({"uniqueItems": True}, "reply uses 'uniqueItems'"),
    ],
)
def test_a_keyword_that_is_not_enforced_is_refused_when_the_grammar_is_made(
    schema: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError) as error:
        refuse_unenforced(schema)

    assert message in str(error.value)


def test_two_taxonomies_have_two_hashes() -> None:
    hashes = {reply_grammar(taxonomy).sha256 for taxonomy in taxonomies()}

    assert len(hashes) == 2


def test_it_says_how_many_characters_its_strings_take(taxonomy: Taxonomy) -> None:
    ebnf = reply_grammar(taxonomy).ebnf

    assert bounds_in(ebnf) == {
        "value": ENTITY_CHARS,
        "summary": SUMMARY_CHARS,
        "reply": REPLY_CHARS,
    }
    assert bounds_in(ebnf.split("\n", 1)[1]) == {}


def test_fields_of_one_name_are_not_confused() -> None:
    properties = {"properties": {"text": {"type": "string", "maxLength": 9}}}

    assert bounded_strings(properties) == [("text", 9)]
    with pytest.raises(AssertionError, match="two strings of one name"):
        bounded_strings({**properties, "$defs": {"other": properties}})


def test_a_string_that_needs_several_characters_is_not_told() -> None:
    short = {"type": "string", "minLength": 2, "maxLength": 9}

    assert bounded_strings({"properties": {"text": short}}) == []
