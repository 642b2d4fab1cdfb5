"""What the deep pass makes of incidents whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from appliance.hybrid.analysis.deep.refined import refine
from appliance.hybrid.analysis.deep.values import Past, Refined, TextSource
from tests.hybrid.analysis.deep.histories import DAY_US, F64, MINUTE_US, MONDAY_US, asked, day_wave

DAY = 1_440
SIZE = 14 * DAY
AT = 12 * DAY + 600


def with_move(by: float, *, at: int = AT, minutes: int = 20, seed: int = 1) -> F64:
    values = day_wave(SIZE, seed=seed)
    values[at : at + minutes] += by
    return values


def often(times: int) -> F64:
    values = with_move(25)
    for at in np.linspace(100, AT - 200, times).astype(int):
        values[at : at + 20] += 25
    return values


def every_day() -> F64:
    values = day_wave(SIZE)
    for day in range(14):
        values[day * DAY + 600 : day * DAY + 620] += 25
    return values


def from_there_on(change: Callable[[F64], F64]) -> F64:
    values = day_wave(SIZE)
    values[AT:] = change(values[AT:])
    return values


def with_gap() -> F64:
    values = with_move(25)
    values[3_000 : 3_000 + 7 * DAY] = np.nan
    return values


@dataclass(frozen=True)
class Case:
    """An incident of twenty minutes in the series ``a``, and the verdict that is right."""

    name: str
    values: Callable[[], F64]
    verdict: str
    says: str = ""
    """In its summary or difference."""
    at: int = AT
    minutes: int = 20
    more: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("what has never been is confirmed", lambda: with_move(25), "confirmed", "was to be expected"),
    Case("what comes every day is dismissed", every_day, "dismissed", "not unusual with everything known"),
    Case("what came often before is dismissed", lambda: often(30), "dismissed", "times in"),
    Case("what came once before is not", lambda: often(1), "confirmed"),
    Case("what went on longer than was said is confirmed", lambda: with_move(25, minutes=60), "confirmed", minutes=2),
    Case("what had begun before is confirmed", lambda: with_move(25, at=AT - 30, minutes=45), "extended", "earlier", minutes=2),
    Case("nothing is dismissed", lambda: day_wave(SIZE), "dismissed"),
    Case("a level that stays is corrected", lambda: from_there_on(lambda v: v + 20), "corrected", "has stayed there"),
    Case("a unit that changed is corrected", lambda: from_there_on(lambda v: v * 1000), "corrected", "changed for good"),
    Case("a gap of a week hides nothing", with_gap, "confirmed", "7 days"),
    Case("a constant series is dismissed", lambda: np.full(5_000, 5.0), "dismissed", at=4_000, minutes=2),
    Case(
        "a constant that moved is confirmed", lambda: np.r_[np.full(4_000, 5.0), 6, 6, np.full(998, 5.0)], "confirmed", at=4_000, minutes=2
    ),
    Case("ten minutes are too little", lambda: np.r_[np.full(8, 5.0), 9, 9], "confirmed", "too little history", at=8, minutes=2),
    Case("nothing but gaps is too little", lambda: np.full(5_000, np.nan), "confirmed", "too little history", at=4_000, minutes=2),
    Case("a record that was replaced is dismissed", lambda: day_wave(SIZE), "dismissed", "was replaced", more={"replaced": {"0": 51.0}}),
    Case("a record that is gone is dismissed", lambda: day_wave(SIZE), "dismissed", "is gone", more={"replaced": {"0": None}}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_verdict_is(case: Case, tmp_path: Path) -> None:
    found = refine(asked(tmp_path, {"a": case.values()}, at=case.at, minutes=case.minutes, **case.more))

    assert (found.verdict, case.says in f"{found.summary} {found.difference} {found.basis}") == (case.verdict, True), found
    assert 0 <= found.confidence <= 1
    assert 0 <= found.severity <= 1


def test_confidence_follows_the_history(tmp_path: Path) -> None:
    def of(minutes: int) -> Refined:
        values = np.r_[day_wave(minutes), day_wave(20, seed=9)]
        values[minutes : minutes + 5] += 30
        return refine(asked(tmp_path, {"a": values}, at=minutes, minutes=5))

    found = [of(minutes).confidence for minutes in (90, 12 * 60, 2 * DAY, 5 * DAY)]

    assert found == sorted(found)
    assert found[0] < 0.7 < found[-1]


def test_what_moved_with_it_belongs_to_it_and_what_began_first_is_named(tmp_path: Path) -> None:
    series = {
        "a": with_move(25),
        "early": with_move(-18, at=AT - 5, seed=4),
        "late": with_move(15, at=AT + 2, seed=3),
        "calm": day_wave(SIZE, seed=2),
    }

    found = refine(asked(tmp_path, series, at=AT, minutes=20))

    assert found.verdict == "extended"
    assert {m.key["device"] for m in found.members} == {"early", "late"}
    kinds = {(e.kind, e.key.get("device")) for e in found.evidence}
    assert {("leads", "early"), ("follows", "late"), ("correlation", "late")} <= kinds
    assert "calm" not in {e.key.get("device") for e in found.evidence}


def test_where_another_series_was_the_unusual_one_the_answer_is_corrected(tmp_path: Path) -> None:
    series = {"a": day_wave(SIZE), "b": with_move(25, seed=3)}

    found = refine(asked(tmp_path, series, at=AT, minutes=20, members=("a", "b")))

    assert (found.verdict, "(device=a) is as ever" in found.difference) == ("corrected", True), found


def test_what_people_dismissed_before_counts(tmp_path: Path) -> None:
    def of(*words: str) -> Refined:
        past = tuple(
            Past(id=i, since_us=MONDAY_US + i * DAY_US, verdict="confirmed", feedback=word, members=(("readings", "value", "device=a"),))
            for i, word in enumerate(words, 1)
        )
        return refine(asked(tmp_path, {"a": with_move(6)}, at=AT, minutes=20, past=past))

    plain, dismissed, confirmed = of(), of("dismiss", "dismiss"), of("confirm")

    assert dismissed.severity < plain.severity <= confirmed.severity
    assert [e.what for e in dismissed.evidence if e.kind == "similar" and "incident" in e.what]


def test_lines_that_are_new_are_evidence(tmp_path: Path) -> None:
    start = MONDAY_US + AT * MINUTE_US
    ts = [start - 60 * MINUTE_US + i * MINUTE_US for i in range(60)] + [start + i * 1_000_000 for i in range(30)]
    text = [f"job {i} done" for i in range(60)] + [f"disk sd{i % 3} error {i}; DROP TABLE x" for i in range(30)]
    path = tmp_path / "lines.parquet"
    pq.write_table(pa.table({"ts": pa.array(ts, pa.timestamp("us")), "text": text}), path)

    lines = TextSource(stream="log", column="message", path=str(path))
    found = refine(asked(tmp_path, {"a": with_move(25)}, at=AT, minutes=20, texts=(lines,)))

    assert any(e.kind == "log lines" and "error <*>" in e.what for e in found.evidence)
    assert found.lines
    assert all("error" in line["text"] for line in found.lines)


def test_late_records_are_part_of_the_basis(tmp_path: Path) -> None:
    found = refine(asked(tmp_path, {"a": with_move(25)}, at=AT, minutes=20, late=4_112))

    assert found.basis.startswith("4,112 late records")
