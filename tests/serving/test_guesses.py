"""What goes along with a question saves a round trip, and never changes an answer."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.serving import queries as module
from appliance.serving.guesses import MISSES_MAX, Guesses
from appliance.serving.protocol import Pin
from appliance.serving.question import Question
from appliance.serving.snapshot import Wanted
from appliance.serving.source import StateSource
from tests.serving.queries_of import ask, opened
from tests.serving.world import World, at

NOW_US = 1_767_355_200_000_000
BETWEEN = "SELECT count(*) AS n FROM readings WHERE ts >= make_timestamp({}) AND ts < make_timestamp({})"


def question(sql: str, **more: Any) -> Question:
    return Question(sql=sql, id="q", **more)


def wanted(since_us: int | None, until_us: int | None) -> Wanted:
    return Wanted(stream="readings", since_us=since_us, until_us=until_us, columns=("ts",))


def test_a_range_follows_from_the_constants_of_the_text() -> None:
    guesses = Guesses()
    first = question("SELECT v FROM r WHERE ts > make_timestamp(1767312000000000) AND ts < '2026-01-04'")
    assert guesses.wanted(first, now_us=NOW_US) is None
    guesses.learn(first, [wanted(1_767_312_000_000_001, at(0, 3))], now_us=NOW_US)
    other = question("SELECT v FROM r WHERE ts > make_timestamp(1767312000000500) AND ts < '2026-01-03'")
    assert guesses.wanted(other, now_us=NOW_US + 5) == (wanted(1_767_312_000_000_501, at(0, 2)),)
    assert guesses.wanted(question("SELECT w FROM r"), now_us=NOW_US) is None


def test_a_range_follows_from_now_and_from_since() -> None:
    guesses = Guesses()
    sql = "SELECT v FROM r WHERE ts > now() - INTERVAL '5 minutes'"
    guesses.learn(question(sql), [wanted(NOW_US - 300_000_000, None)], now_us=NOW_US)
    assert guesses.wanted(question(sql), now_us=NOW_US + 7) == (wanted(NOW_US - 299_999_993, None),)
    guesses.learn(question("SELECT v FROM r", since_us=5), [wanted(5, None)], now_us=NOW_US)
    assert guesses.wanted(question("SELECT v FROM r", since_us=9), now_us=NOW_US) == (wanted(9, None),)
    assert guesses.wanted(question("SELECT v FROM r", since_us=9, path="cold"), now_us=NOW_US) is None


def test_a_text_whose_guesses_are_wrong_is_given_up() -> None:
    guesses = Guesses()
    asked = question("SELECT v FROM r WHERE ts > make_timestamp(1767312000000000)")
    for n in range(MISSES_MAX + 1):
        guesses.learn(asked, [wanted(n, None)], now_us=NOW_US)
    assert guesses.wanted(asked, now_us=NOW_US) is None


async def test_the_second_question_of_a_kind_asks_for_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = []
    plain = module._pinned

    def counted(source: StateSource, request: Pin) -> Any:
        pins.append(request)
        return plain(source, request)

    monkeypatch.setattr(module, "_pinned", counted)
    async with opened(world) as queries:
        for low, high, count in ((at(0, 2), at(3600, 2), 60), (at(30 * 60, 2), at(40 * 60, 2), 10), (at(0), at(600), 10)):
            assert await ask(queries, BETWEEN.format(low, high)) == [{"n": count}]
        assert len(pins) == 1
        world.commit([{"ts": at(1, 2), "device": "z", "value": 1.0}])
        assert await ask(queries, BETWEEN.format(at(0, 2), at(3600, 2))) == [{"n": 61}], "a record that came meanwhile is there"
        world.roll(len(world.rows))
        assert await ask(queries, BETWEEN.format(at(0, 2), at(3600, 2))) == [{"n": 61}]
        assert len(pins) == 1


@pytest.mark.parametrize("guess", [wanted(at(0, 2), at(1, 2)), wanted(None, None), Wanted(stream="nowhere")])
async def test_a_wrong_guess_changes_no_answer(world: World, monkeypatch: pytest.MonkeyPatch, guess: Wanted) -> None:
    monkeypatch.setattr(Guesses, "wanted", lambda *_args, **_more: (guess,))
    async with opened(world) as queries:
        assert await ask(queries, BETWEEN.format(at(0), at(3600, 2))) == [{"n": 180}]
        assert await ask(queries, "SELECT count(*) AS n FROM readings_hot") == [{"n": 30}]
