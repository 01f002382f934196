"""How fast a replay is fed, and how two texts are set side by side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.replay.diff import side_by_side
from worker.replay.feed import LIVE_S, Pace


def most_out(pace: Pace, now: float, *, live: bool, slots: int = 32, done_s: float = 0.0) -> int:
    return pace.most_out(slots=slots, live_is_here=live, done_s=done_s, now=now)


def test_alone_a_replay_fills_all_places_and_a_second_of_work_waits() -> None:
    assert most_out(Pace(None), 0, live=False) == 32 + 8
    assert most_out(Pace(None), 0, live=False, done_s=100.0) == 32 + 100


def test_beside_live_tickets_it_has_one_place_in_sixteen_and_for_a_minute_after() -> None:
    pace = Pace(None)

    assert most_out(pace, 0, live=True) == 2
    assert most_out(pace, LIVE_S - 1, live=False) == 2
    assert most_out(pace, LIVE_S + 1, live=False) == 40
    assert most_out(pace, LIVE_S + 2, live=True) == 2


def test_without_a_worker_nothing_is_sent() -> None:
    assert most_out(Pace(None), 0, live=False, slots=0) == 0


@pytest.mark.parametrize("rate", [0.5, 3.0, 40.0])
def test_a_rate_is_kept_and_a_pause_is_not_made_up_for(rate: float) -> None:
    pace = Pace(rate)
    looks = [0.1 * number for number in range(1, 1001)]

    sent = sum(pace.may_send(1000, now=now) for now in looks)
    after_a_pause = pace.may_send(1000, now=looks[-1] + 3600)

    assert sent == pytest.approx(100 * rate, abs=max(2.0, rate))
    assert after_a_pause <= max(1, rate)


def test_words_that_changed_are_told_and_the_others_are_not() -> None:
    old, new = side_by_side("Wir prüfen die Rechnung.", "Wir erstatten die Rechnung.")

    assert [text for text, is_other in old if is_other] == ["prüfen"]
    assert [text for text, is_other in new if is_other] == ["erstatten"]


def test_japanese_is_compared_by_characters() -> None:
    old, new = side_by_side("本日中にご返信します", "明日中にご返信します")

    assert [text for text, is_other in old if is_other] == ["本"]
    assert [text for text, is_other in new if is_other] == ["明"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_pieces_of_a_text_are_the_text(old: str, new: str) -> None:
    left, right = side_by_side(old, new)

    assert "".join(text for text, _ in left) == old
    assert "".join(text for text, _ in right) == new
