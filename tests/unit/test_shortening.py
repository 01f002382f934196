"""A ticket too long for the context keeps its first and its newest messages, whole."""

import pytest

from worker.triage.shortening import MARK_TOKENS, shorten

MESSAGES = [
    f"2026-11-{day:02} 09:00 Anna:\nNachricht {day}, " + "es geht noch immer nicht. " * 40
    for day in range(1, 29)
]
THREAD = "\n".join(MESSAGES)


def words(text: str) -> int:
    return len(text.split())


def test_the_first_and_the_newest_messages_are_kept_whole() -> None:
    short = shorten(THREAD, room=1000, count=words)

    assert short.text.startswith(MESSAGES[0])
    assert short.text.endswith(MESSAGES[-1])
    assert MESSAGES[-2] in short.text
    assert MESSAGES[1] not in short.text
    assert f"[… {short.left_out} left out …]" in short.text
    assert short.parts == len(MESSAGES)


@pytest.mark.parametrize("room", [700, 1000, 3000, 5000])
def test_it_fits_and_wastes_less_than_a_message(room: int) -> None:
    short = shorten(THREAD, room=room, count=words)
    longest = max(map(words, MESSAGES))

    assert words(short.text) <= room
    assert words(short.text) > room - 2 * longest - MARK_TOKENS - len(MESSAGES)


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join("Absatz " + "wort " * 50 for _ in range(100)),
        "\n".join("Zeile " + "wort " * 50 for _ in range(100)),
        "wort " * 20_000,
        "x" * 100_000,
    ],
    ids=["paragraphs", "lines", "words", "one word"],
)
def test_text_without_messages_is_taken_apart_more_finely(text: str) -> None:
    count = lambda piece: -(-len(piece) // 4)  # noqa: E731

    short = shorten(text, room=2000, count=count)

    assert count(short.text) <= 2000
    assert count(short.text) > 1000
    assert text.startswith(short.text[:20])
    assert text.endswith(short.text[-20:])


def test_the_beginning_is_kept_where_there_is_no_room_for_more() -> None:
    short = shorten("x" * 10_000, room=5, count=len)

    assert 0 < len(short.text) < 10_000
    assert short.left_out == short.parts - 1


def test_where_there_is_no_text_there_is_nothing_to_leave_out() -> None:
    short = shorten("", room=10, count=words)

    assert (short.text, short.left_out) == ("", 0)
