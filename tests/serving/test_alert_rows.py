"""What is stored of alerts, as rows: from a folder that nobody serves, and behind a transition for who comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.box import Box
from appliance.config import Config, HotOptions
from appliance.hot.alerts.plan import Plan
from appliance.hot.alerts.tables import commit_alerts
from appliance.hot.alerts.values import Ident, Instance, Kind, Matcher, Phase, Silence, Transition
from appliance.serving.alert_folder import folder_history, folder_picture
from appliance.serving.alert_rows import ALERTS_MAX, stored_counts, transitions_after
from appliance.serving.folder import folder_status
from tests.clock import NOON_US, FakeClock

S = 1_000_000
COLUMNS = {"hot": ("device",), "cold": ("device", "line")}


def instance(rule: str, device: str | None, phase: Phase, *, severity: str = "warning", since_us: int = NOON_US) -> Instance:
    key = (device,) if rule == "hot" else (device, "A")
    labels = {**dict(zip(COLUMNS[rule], (k or "" for k in key), strict=True)), "rule": rule, "severity": severity}
    return Instance(rule, key, phase, since_us=since_us, values={"avg(t)": 83.5}, labels=labels, seq=7)


def step(rule: str, device: str, at_us: int) -> Transition:
    key = (device,) if rule == "hot" else (device, "A")
    return Transition(rule, key, Kind.CHANGE, Phase.OK, Phase.FIRING, at_us, at_us + 12_000, 7, {"avg(t)": 83.5})


def store(folder: Path, plan: Plan) -> None:
    """What the processor commits."""
    box = Box(Config(data_dir=folder, hot=HotOptions()), clock=FakeClock())
    box.start()
    try:
        box.writer.call(lambda c: commit_alerts(c.store, plan, history_max=1_000)).result(20)
    finally:
        box.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a few alerts, ten transitions and two silences."""
    found = [
        instance("cold", "d9", Phase.PENDING),
        instance("hot", "d2", Phase.FIRING, since_us=NOON_US - 5 * S),
        instance("hot", "d1", Phase.FIRING, since_us=NOON_US),
        instance("cold", None, Phase.FIRING, severity="critical", since_us=NOON_US - 60 * S),
        instance("hot", "d3", Phase.NODATA),
    ]
    silences = (
        Silence(1, (Matcher("device", "d2"),), NOON_US - S, NOON_US + 3600 * S, "ann@press", "new bearing"),
        Silence(2, (Matcher("rule", "*"),), NOON_US - 9 * S, NOON_US + 3600 * S, "bob@press", "over", ended_us=NOON_US - 5 * S),
    )
    transitions = tuple(step("hot" if n % 2 else "cold", f"d{n}", NOON_US + n) for n in range(1, 11))
    store(
        tmp_path / "data",
        Plan(NOON_US, instances={(i.rule, i.key): i for i in found}, transitions=transitions, silences=silences, columns=COLUMNS),
    )
    return tmp_path / "data"


def test_the_stored_picture_has_the_gravest_and_newest_first(folder: Path) -> None:
    picture = folder_picture(folder, now_us=NOON_US + S)
    assert [(a.rule, dict(a.key), a.phase, a.severity) for a in picture.alerts] == [
        ("cold", {"device": None, "line": "A"}, "firing", "critical"),
        ("hot", {"device": "d1"}, "firing", "warning"),
        ("hot", {"device": "d2"}, "firing", "warning"),
        ("cold", {"device": "d9", "line": "A"}, "pending", "warning"),
        ("hot", {"device": "d3"}, "nodata", "warning"),
    ]
    assert [a.silenced_by for a in picture.alerts] == [None, None, 1, None, None]
    assert (picture.alerts[1].values, picture.alerts[1].seq) == ({"avg(t)": 83.5}, 7)
    assert [(s.id, s.matchers, s.is_active) for s in picture.silences] == [(2, ("rule=*",), False), (1, ("device=d2",), True)]
    assert picture.silences[0].until_us == NOON_US - 5 * S, "when it was taken back"
    assert folder_status(folder).alerts_firing == 3
    assert folder_status(folder).alerts_pending == 1


def test_the_stored_history_comes_newest_first(folder: Path) -> None:
    assert [t.id for t in folder_history(folder, limit=3)] == [10, 9, 8]
    found = folder_history(folder, limit=2, rule="cold")
    assert [(t.id, dict(t.key), t.kind, t.old, t.new) for t in found] == [
        (10, {"device": "d10", "line": "A"}, "change", "ok", "firing"),
        (8, {"device": "d8", "line": "A"}, "change", "ok", "firing"),
    ]


def test_transitions_after_one_come_in_their_order(folder: Path) -> None:
    box = Box(Config(data_dir=folder, hot=HotOptions()), clock=FakeClock())
    box.start()
    reader = box.reader()
    try:
        assert [t.id for t in transitions_after(reader, 0, 4)] == [1, 2, 3, 4]
        assert [t.id for t in transitions_after(reader, 8, 4)] == [9, 10]
        assert transitions_after(reader, 10, 4) == []
        assert {t.id: t for t in folder_history(folder, limit=9)}[9] == transitions_after(reader, 8, 1)[0]
        assert stored_counts(reader) == (3, 1)
    finally:
        reader.close()
        box.close()


def test_too_many_alerts_are_counted(tmp_path: Path) -> None:
    many: dict[Ident, Instance | None] = {("hot", (f"d{n}",)): instance("hot", f"d{n}", Phase.FIRING) for n in range(ALERTS_MAX + 5)}
    store(tmp_path / "data", Plan(NOON_US, instances=many, columns=COLUMNS))
    picture = folder_picture(tmp_path / "data", now_us=NOON_US)
    assert (len(picture.alerts), picture.truncated) == (ALERTS_MAX, 5)
