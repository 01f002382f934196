"""An answer that is read late, held against a matcher that reads each of its tokens at once."""

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import xgrammar

from schemas.taxonomy import load_taxonomy
from tests.replies import written
from worker.engine import beginnings
from worker.engine.ahead import AheadGrammar, accept
from worker.engine.beginnings import Vocabulary, characters
from worker.engine.cpu_masks import allowed_tokens
from worker.engine.grammar import reply_grammar
from worker.engine.reader import Reader

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

ACROSS = ['","', '":"', '":', '{"', '"}', '","reply":"', 'e","', '.","reply":"A', '"\\', "\n", "]}"]
INSIDE = [
    "category",
    "summary",
    "reply",
    "value",
    "kind",
    "order",
    "the",
    " a",
    "日本",
    "é",
    "~",
    "😀",
]
PARTS = [
    "日".encode()[:2],
    "日".encode()[2:],
    "é".encode() + "日".encode()[:1],
    b"\xed\xa0",
    b"a\xf0",
    b'"' + "日".encode()[:1],
    "日".encode()[1:],
]
TEXTS = [bytes([byte]) for byte in range(256)]
TEXTS += [text.encode() for text in ACROSS + INSIDE] + PARTS
END, SPECIAL = len(TEXTS), len(TEXTS) + 1
SIZE = 320
EBNF = reply_grammar(load_taxonomy()).ebnf


@cache
def compiled() -> xgrammar.CompiledGrammar:
    texts = [*TEXTS, b"</s>", b""] + [b""] * (SIZE - len(TEXTS) - 2)
    tokenizer = xgrammar.TokenizerInfo(texts, stop_token_ids=[END])
    return xgrammar.GrammarCompiler(tokenizer).compile_grammar(EBNF)


def late() -> AheadGrammar:
    matcher = xgrammar.GrammarMatcher(compiled())
    grammar = AheadGrammar(vocab_size=SIZE, matcher=matcher, ctx=compiled())
    grammar.read_later(EBNF)
    return grammar


def reader_of(grammar: AheadGrammar) -> Reader:
    assert grammar.reader
    return grammar.reader


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    beginnings.beginnings.cache_clear()


def allowed(matcher: xgrammar.GrammarMatcher) -> list[int]:
    mask = xgrammar.allocate_token_bitmask(1, SIZE)
    matcher.fill_next_token_bitmask(mask, 0)
    bits = np.unpackbits(mask.numpy().view(np.uint8), bitorder="little")[:SIZE]
    return np.flatnonzero(bits).tolist()


def tokens_of(text: str, rng: random.Random) -> list[int]:
    """The text in tokens of the vocabulary, short ones and long ones by chance."""
    rest, tokens = text.encode(), []
    while rest:
        fitting = [token for token, one in enumerate(TEXTS) if rest.startswith(one)]
        tokens.append(rng.choice(fitting))
        rest = rest[len(TEXTS[tokens[-1]]) :]
    return [*tokens, END]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("obeys", [1.0, 0.98, 0.5])
def test_it_says_of_every_token_what_the_grammar_says(seed: int, obeys: float) -> None:
    rng = random.Random(seed)
    known = 0
    for _ in range(12):
        ours, grammar = late(), xgrammar.GrammarMatcher(compiled())
        answer = iter(tokens_of(varied(rng), rng))
        follows = True
        while not grammar.is_terminated():
            follows = follows and rng.random() < obeys
            token = next(answer) if follows else rng.choice(allowed(grammar))
            guesses = rng.sample(range(SPECIAL), 2)
            for guess in guesses:
                assert accept([(ours, guess)]) == [is_accepted(grammar, guess)]
            if rng.random() < 0.1:
                assert masked(ours) == allowed(grammar)
            if rng.random() < 0.8:  # else vLLM has chosen it
                known += ours.ahead is None and reader_of(ours).knows(token)
                assert accept([(ours, token)]) == [True]
            assert ours.accept_tokens("one", [token])
            assert grammar.accept_token(token)
            assert ours.is_terminated() == grammar.is_terminated()
    assert known > 100


def varied(rng: random.Random) -> str:
    """A reply whose strings are short, long, empty where they may be, and as long as they may."""
    text = "日本 the A é 😀 value~ "
    return written(
        summary=(text * 20)[: rng.choice([0, 1, 30, 199, 200])],
        reply=(text * 60)[: rng.choice([0, 7, 80, 599, 600])],
        entities=[
            {"kind": "order", "value": (text * 4)[: rng.choice([1, 5, 39, 40])]}
            for _ in range(rng.randrange(3))
        ],
    )


def is_accepted(grammar: xgrammar.GrammarMatcher, token: int) -> bool:
    if not grammar.accept_token(token):
        return False
    grammar.rollback(1)
    return True


def masked(grammar: AheadGrammar) -> list[int]:
    grammar.take_back()
    ids: list[int] = allowed_tokens(grammar, SIZE, SIZE).tolist()
    return ids


def write(grammar: AheadGrammar, tokens: Sequence[int]) -> int:
    """How many of an answer's tokens its matcher had to say something about."""
    asked = 0
    for token in tokens:
        asked += not reader_of(grammar).knows(token)
        assert accept([(grammar, token)]) == [True]
        assert grammar.accept_tokens("one", [token])
    return asked


def test_the_matcher_is_not_asked_again_about_what_it_has_accepted() -> None:
    answer = tokens_of(written(summary="the order", reply="the 日本 value"), random.Random(1))

    assert write(late(), answer) > 20
    again = late()
    assert write(again, answer) == 0
    assert again.is_terminated()


def test_what_is_written_after_the_end_is_ignored_and_not_remembered() -> None:
    answer, more = [*written().encode(), END], [TEXTS.index(b"the")] * 2
    for _ in range(3):  # at last, all of it has been met before
        grammar = late()
        write(grammar, answer)

        assert all(grammar.accept_tokens("one", [token]) for token in more)
        assert grammar.is_terminated()


def test_what_comes_after_a_value_does_not_depend_on_it() -> None:
    def tokens(**labels: str) -> list[int]:
        return [*written(**labels).encode(), END]  # a byte each

    write(late(), tokens(category="billing", priority="high"))
    write(late(), tokens(category="returns", priority="low"))

    assert write(late(), tokens(category="billing", priority="low")) == 0
    assert write(late(), tokens(category="returns", priority="high")) == 0


def test_a_string_that_nothing_was_read_of_is_read_where_its_bound_is_near() -> None:
    rng = random.Random(2)
    write(late(), tokens_of(written(), rng))
    ours, grammar = late(), xgrammar.GrammarMatcher(compiled())
    beginning = written(summary="").split('"summary":"')[0] + '"summary":"'
    tokens = tokens_of(beginning, rng)[:-1] + [TEXTS.index(b"the")] * 66  # 198 characters of 200

    write(ours, tokens)

    assert all(map(grammar.accept_token, tokens))
    assert masked(ours) == allowed(grammar)
    assert accept([(ours, TEXTS.index(b"the"))]) == [False]
    assert accept([(ours, TEXTS.index(b" a"))]) == [True]


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginnings, "KNOWN", 10)
    rng = random.Random(3)
    answer = tokens_of(written(), rng)
    first = reader_of(late()).beginnings

    write(late(), answer)
    write(late(), answer)

    assert places(first.first) <= 11  # the first is there before anything is known


def places(one: beginnings.Place) -> int:
    after = [*one.next.values()] + [one.inside] * (one.room > 0 and one.inside is not one)
    return 1 + sum(map(places, after))


def test_a_grammar_that_says_nothing_of_its_strings_is_read_at_once() -> None:
    matcher = xgrammar.GrammarMatcher(compiled())
    grammar = AheadGrammar(vocab_size=SIZE, matcher=matcher, ctx=compiled())
    grammar.read_later(EBNF.split("\n", 1)[1])

    assert grammar.reader is None


def test_tokens_that_write_nothing_are_of_no_string() -> None:
    vocabulary = Vocabulary.of(compiled().tokenizer_info)

    assert vocabulary.characters[END] == vocabulary.characters[SPECIAL] == 0
    assert characters(vocabulary.texts[END]) is None
    assert characters(vocabulary.texts[SPECIAL]) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"a", (1, b"")),
        ("日本".encode(), (2, b"")),
        ("日".encode()[:2], (0, "日".encode()[:2])),
        (b"a\xf0\x9f", (1, b"\xf0\x9f")),
        (b"\xed\xa0", None),  # half of a surrogate pair
        (b"\xc0", None),
        (b"\x80", None),
        (b'"', None),
        (b"\\", None),
        (b"\x1f", None),
        (b"\x7f", (1, b"")),
    ],
)
def test_characters_are_counted(text: bytes, found: tuple[int, bytes] | None) -> None:
    assert characters(text) == found


def test_the_bytes_of_a_string_are_those_that_the_grammar_takes() -> None:
    grammar = xgrammar.GrammarMatcher(compiled())
    assert grammar.accept_string(written(summary="").split('"summary":"')[0] + '"summary":"')

    for text in (bytes([first, second]) for first in range(256) for second in range(256)):
        taken = b'"' not in text and grammar.accept_string(text)
        if taken:
            grammar.rollback(1)
        assert (characters(text) is not None) == taken, text
