"""The book of panels: which of two answers counts, whatever path and order they come in, and what is written for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from appliance.batching.panels.answer import Answer
from appliance.paths.needs import Path as Way
from tests.panels.house import PanelHouse

SQL = "SELECT count(*) AS n FROM readings"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PanelHouse]:
    made = PanelHouse(tmp_path, {"p": SQL})
    yield made
    made.close()


def offer(house: PanelHouse, n: int, *, seq: int, at_us: int, version: int, path: Way = "hot", sql: str = SQL) -> str:
    """What becomes of an answer that has seen the sequences up to ``seq``."""
    answer = Answer(pa.table({"n": [n]}), at_us, {"readings": seq}, path)
    return asyncio.run(house.book.offer("p", sql, answer, version=version, history=True))


def answers(house: PanelHouse) -> list[tuple[int, int]]:
    """Number and value of each in the history."""
    return [(r["answer"], r["n"]) for r in house.ask("SELECT answer, n FROM p_history ORDER BY answer")]


def as_of(house: PanelHouse) -> int:
    kept = house.book.newest("p")
    assert kept is not None
    return kept.entry.as_of_us


def test_an_answer_that_has_seen_less_never_takes_the_place_of_one_that_has_seen_more(house: PanelHouse) -> None:
    assert offer(house, 5, seq=5, at_us=1_000, version=7) == "stored"
    assert offer(house, 4, seq=4, at_us=2_000, version=6, path="cold") == "older"
    assert offer(house, 4, seq=4, at_us=2_000, version=8, path="cold") == "older"
    assert offer(house, 4, seq=5, at_us=1_000, version=7, path="cold") == "older", "the same moment"
    assert offer(house, 9, seq=9, at_us=3_000, version=9, path="cold") == "stored"
    assert answers(house) == [(1, 5), (2, 9)]
    assert [e["number"] for e in house.events] == [1, 2]
    assert [e["path"] for e in house.events] == ["hot", "cold"]


def test_an_unchanged_answer_is_not_written_and_still_moves_on_what_is_known(house: PanelHouse) -> None:
    assert offer(house, 5, seq=5, at_us=1_000, version=7) == "stored"
    commits = house.box.writer.commits
    assert offer(house, 5, seq=8, at_us=9_000, version=9, path="hybrid") == "unchanged"
    assert (house.box.writer.commits, as_of(house)) == (commits, 1_000)
    assert offer(house, 4, seq=6, at_us=5_000, version=8, path="cold") == "older", "it would undo what is known"
    assert answers(house) == [(1, 5)]


def test_as_of_rises_whatever_the_clock_does(house: PanelHouse) -> None:
    for number, at_us in enumerate((5_000, 4_000, 4_000, 9_000), 1):
        assert offer(house, number, seq=number, at_us=at_us, version=number) == "stored"
    found = [r["_as_of"] for r in house.ask("SELECT epoch_us(ts) AS _as_of FROM p_history ORDER BY answer")]
    assert found == [5_000, 5_001, 5_002, 9_000]
    assert house.ask("SELECT n, epoch_us(_as_of) AS at FROM p") == [{"n": 4, "at": 9_000}]


def test_a_restart_shows_the_stored_answer_and_goes_on_with_its_number(house: PanelHouse) -> None:
    offer(house, 5, seq=5, at_us=1_000, version=700)
    house.die()
    assert house.ask("SELECT n FROM p") == [{"n": 5}]
    assert offer(house, 4, seq=4, at_us=2_000, version=1) == "older"
    assert offer(house, 6, seq=6, at_us=2_000, version=1) == "stored"
    assert answers(house) == [(1, 5), (2, 6)]


def test_another_sql_takes_the_answer_away_and_a_panel_that_is_gone_leaves_its_history(house: PanelHouse) -> None:
    offer(house, 5, seq=5, at_us=1_000, version=7)
    asyncio.run(house.book.configure({"p": f"{SQL} "}))
    with pytest.raises(Exception, match="the panel p has no answer yet"):
        house.ask("FROM p")
    assert offer(house, 6, seq=6, at_us=2_000, version=8) == "older", "an answer to what nobody asks any more"
    assert offer(house, 6, seq=6, at_us=2_000, version=8, sql=f"{SQL} ") == "stored"
    assert answers(house) == [(1, 5), (2, 6)]
    asyncio.run(house.book.configure({}))
    with pytest.raises(Exception, match='no stream or table "p"'):
        house.ask("FROM p")
    assert answers(house) == [(1, 5), (2, 6)]
    assert house.ask("SELECT count(*) AS n FROM _panels") == [{"n": 0}]


def test_the_newest_answer_is_a_table_here_and_in_a_folder_that_nobody_serves(house: PanelHouse) -> None:
    offer(house, 5, seq=5, at_us=1_000, version=7)
    for ask in (house.ask, house.offline):
        assert ask("SELECT n + 1 AS m FROM P WHERE _as_of < now()") == [{"m": 6}]
        assert ask("SELECT name, path, number, rows FROM _panels") == [{"name": "p", "path": "hot", "number": 1, "rows": 1}]


def test_an_answer_without_rows_is_an_answer(house: PanelHouse) -> None:
    offer(house, 5, seq=5, at_us=1_000, version=7)
    panel = house.panels["p"]
    empty = Answer(pa.table({"n": pa.array([], pa.int64())}), 2_000, {"readings": 6}, "hot")
    assert asyncio.run(house.book.offer("p", SQL, empty, version=8, history=True)) == "stored"
    assert asyncio.run(house.book.offer("p", SQL, replace(empty, as_of_us=3_000), version=9, history=True)) == "unchanged"
    assert house.ask("FROM p") == []
    assert house.ask("SELECT answer, rows, n FROM p_history ORDER BY answer") == [
        {"answer": 1, "rows": 1, "n": 5},
        {"answer": 2, "rows": 0, "n": None},
    ]
    row = panel.row(house.book.newest("p"), parts=None)
    assert (row.state, row.as_of_us, row.checked_us, row.seen) == ("ok", 2_000, 3_000, {"readings": 6})


def test_a_history_that_is_not_wanted_is_not_kept(house: PanelHouse) -> None:
    answer = Answer(pa.table({"n": [1]}), 1_000, {"readings": 1}, "hot")
    assert asyncio.run(house.book.offer("p", SQL, answer, version=1, history=False)) == "stored"
    assert house.ask("SELECT n FROM p") == [{"n": 1}]
    assert "p_history" not in house.box.state.streams


def test_an_answer_on_its_way_never_undoes_a_change_of_the_config(house: PanelHouse) -> None:
    async def both() -> str:
        answer = Answer(pa.table({"n": [1]}), 1_000, {"readings": 1}, "hot")
        offering = asyncio.ensure_future(house.book.offer("p", SQL, answer, version=1, history=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await house.book.configure({"p": f"{SQL} "})
        return await offering

    assert asyncio.run(both()) == "stored"
    kept = house.book.newest("p")
    assert kept is not None
    assert (kept.entry.sql, kept.entry.number, kept.table) == (f"{SQL} ", 1, None)
