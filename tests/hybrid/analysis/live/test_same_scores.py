"""Scores are those of the records: neither cuts, nor an end of any kind, nor where the records lie by then makes a difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.hybrid.analysis.live import follower, passing, reading, watch
from appliance.hybrid.analysis.live.passing import Pace
from appliance.hybrid.analysis.sighting import Sighting
from tests.hybrid.analysis.live.house import SUBMISSIONS, Heard, living, submissions, told
from tests.nursery import SERVICE, nursery


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[object, Sighting]:
    """What is told without any end, all records being there before anybody looks at the second one."""
    with living(tmp_path_factory.mktemp("whole") / "box") as house:
        for what in submissions():
            house.send(what)
        house.settle()
    found = told(house.heard.sightings)
    assert len(found) > 20
    assert {s.kind for s in found.values()} >= {"value", "new template"}
    return dict(found)


def test_scores_do_not_depend_on_how_records_are_cut(tmp_path: Path, whole: dict[object, Sighting]) -> None:
    with living(tmp_path / "box") as house:
        for what in submissions():
            house.send(what)
            house.settle()
    assert told(house.heard.sightings) == whole


def test_the_pace_of_a_flood_changes_no_score(tmp_path: Path, whole: dict[object, Sighting], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "FLOOD_ROWS_S", 0)
    monkeypatch.setattr(passing, "FLOOD", Pace(round_s_max=0.0, rests=0.0))
    monkeypatch.setattr(watch, "VALUES_MAX", 5)
    monkeypatch.setattr(watch, "TURN_ROWS_MAX", 7)
    monkeypatch.setattr(reading, "PIECE_ROWS_MAX", 7)
    monkeypatch.setattr(passing, "REST_S", 0.0)
    with living(tmp_path / "box") as house:
        for what in submissions():
            house.send(what)
        house.settle()
    assert told(house.heard.sightings) == whole


def test_a_restart_in_the_middle_changes_no_score(tmp_path: Path, whole: dict[object, Sighting]) -> None:
    found: list[Sighting] = []
    for first in range(0, SUBMISSIONS, 5):
        with living(tmp_path / "box") as house:
            for what in submissions()[first : first + 5]:
                house.send(what)
        found += house.heard.sightings
    with living(tmp_path / "box") as house:
        house.settle()
    found += house.heard.sightings
    assert len(found) == len(whole), "nothing is told twice after an end in order"
    assert told(found) == whole


@pytest.mark.parametrize(
    ("step", "times"),
    [("analysis.scored", 1), ("analysis.scored", 5), ("analysis.written", 2), ("analysis.saved", 3)],
)
def test_a_kill_changes_no_score(tmp_path: Path, whole: dict[object, Sighting], step: str, times: int) -> None:
    out = tmp_path / "out"
    for ends, wanted in ((times, -9), (times + 3, -9), (10_000, 0)):
        child = nursery(SERVICE).start("tests.hybrid.analysis.live.house", str(tmp_path / "box"), str(out), step, str(ends))
        assert child.wait(60) == wanted
    found = [Sighting(**(r | {"key": tuple(map(tuple, r["key"]))})) for r in map(json.loads, out.read_text().splitlines())]
    assert all(whole[key] == s for s in found for key in told([s]))
    assert told(found) == whole


def test_what_is_known_is_stored_only_after_the_incidents_that_it_has_led_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "SAVE_ROWS", 100)
    monkeypatch.setattr(follower, "SAVE_AGAIN_NS", 0)
    saves: list[int] = []
    heard = Heard()

    def step(name: str) -> None:
        if name == "analysis.written":
            saves.append(heard.saves)

    with living(tmp_path / "box", heard=heard, step=step) as house:
        for what in submissions()[:6]:
            house.send(what)
            house.settle()
    assert len(saves) >= 5
    assert saves == list(range(1, len(saves) + 1))
