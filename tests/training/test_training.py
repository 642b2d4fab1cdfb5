"""Models learn what is known to be true, say how good they are, and only good ones are used; the way back is one step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.alerting.models import load_models, read_model
from appliance.alerting.rulebook import make_rulebook
from appliance.batching.training import Surroundings, trainings
from appliance.clock import US_PER_DAY
from appliance.cold.batch.training.forest import TREES, forest_of
from appliance.cold.batch.training.growing import grow
from appliance.cold.batch.training.model import Model, ModelUnusable, decode, encode
from appliance.config import load_config
from appliance.errors import UsageRefused
from appliance.hot.models import ModelRow
from appliance.hot.stream.baselines import Baseline
from tests.audit.dying import kill_at
from tests.clock import NOON_US
from tests.training.school import HOUR_US, School, history, of, school, usual

NAME = ("power", ("device",), "watts")
GOLDEN = Path(__file__).parent / "golden" / "model-1.json"


def truth(level: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return usual(np.arange(96, 96 + 168), level)


def row(baseline: Baseline, device: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(baseline.values[baseline.rows[device,]])


@pytest.mark.parametrize(("method", "within"), [("baseline", 0.6), ("seasonal", 0.6)])
def test_a_model_learns_the_truth_and_says_how_far_off_it_is(tmp_path: Path, method: str, within: float) -> None:
    with school(tmp_path / "data") as class_:
        class_.learn(history(days=56), history(days=56, level=500.0, device="d2", seed=2))
        outcome = class_.train(method=method)
        assert "in use" in outcome.words
        baseline = class_.baselines.tables[NAME]
        for device, level in (("d1", 100.0), ("d2", 500.0)):
            assert np.abs(row(baseline, device) - truth(level)).max() < within
        (stored,) = class_.store.rows()
        model = read_model(class_.box.folder, stored)
        assert model.error is not None
        assert model.error < 0.35
        assert model.quality["last_week_error"] > model.error
        assert model.quality["mean_error"] > 2.0
        assert model.quality["coverage"] == 1.0
        assert model.trained_on["records"] == 2 * 49 * 96
        assert model.trained_on["held_out_since_us"] == (NOON_US // HOUR_US - 7 * 24) * HOUR_US


def test_medians_stand_firm_against_what_is_wild_and_most_of_the_rest_lies_within_bounds(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ts = np.arange(NOON_US - 30 * US_PER_DAY, NOON_US, HOUR_US // 4, dtype=np.int64)
    values = rng.normal(50, 2, len(ts))
    values[rng.integers(0, len(ts), len(ts) // 10)] = 1e6
    with school(tmp_path / "data") as class_:
        class_.learn(of(ts, values, "d1"))
        class_.train(method="robust")
        model = class_.store.active("usual")
        assert model is not None
        assert model.body["median"][0] == pytest.approx(50, abs=0.5)
        assert model.body["spread"][0] == pytest.approx(2.2, abs=0.4)
        assert 0.85 < model.quality["inside"] < 0.93
        baseline = class_.baselines.tables[NAME]
        assert row(baseline, "d1")[0] == model.body["median"][0]
        assert baseline.high is not None
        assert baseline.high[0, 0] == pytest.approx(model.body["median"][0] + 3 * model.body["spread"][0])


def test_a_forest_bounds_what_is_usual_at_each_hour_and_its_file_scores_without_its_maker(tmp_path: Path) -> None:
    with school(tmp_path / "data") as class_:
        class_.learn(history(days=42), history(days=42, level=500.0, device="d2", seed=2, noise=5.0))
        assert "in use" in class_.train(method="forest").words
        (stored,) = class_.store.rows()
        model = read_model(class_.box.folder, stored)
        assert (model.error or 9) < 2.0
        assert model.quality["inside"] > 0.95
        baseline = class_.baselines.tables[NAME]
        low, high = baseline.low, baseline.high
        assert low is not None
        assert high is not None
        for device, level, noise in (("d1", 100.0, 0.5), ("d2", 500.0, 5.0)):
            least, most = low[baseline.rows[device,]], high[baseline.rows[device,]]
            assert np.isfinite(least).all()
            assert np.isfinite(most).all()
            assert np.mean(most - truth(level)) == pytest.approx(4 * noise, rel=0.6)
            assert np.mean(truth(level) - least) == pytest.approx(4 * noise, rel=0.6)
        forest = forest_of(model.body)
        points = np.random.default_rng(5).normal(0, 1, (300, 3)).astype(np.float32)
        again = grow(points).forest
        assert again == grow(points).forest
        from sklearn.ensemble import IsolationForest

        expected = -IsolationForest(n_estimators=TREES, max_samples=256, random_state=1).fit(points).score_samples(points)
        assert again.score(points) == pytest.approx(expected)
        assert (forest.score(np.array([[0, 0, 1], [11, 0, 1]], np.float32)) > forest.strange[0]).tolist() == [False, True]


def test_what_does_not_scatter_has_no_bounds_and_too_little_is_said(tmp_path: Path) -> None:
    with school(tmp_path / "data") as class_:
        class_.learn(history(days=1), of(np.arange(NOON_US - US_PER_DAY, NOON_US, HOUR_US, dtype=np.int64), np.full(24, 5.0), "still"))
        with pytest.raises(UsageRefused, match="are too few to grow a forest of; it takes 256"):
            class_.train(method="forest")


def test_without_the_extra_a_forest_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with school(tmp_path / "data") as class_:
        class_.learn(history(days=2))
        with pytest.raises(UsageRefused, match=r"the method forest needs the extra: pip install 'edge-appliance\[training\]'"):
            class_.train(method="forest")


def test_a_rule_that_asks_for_bounds_implies_a_model_that_has_some(tmp_path: Path) -> None:
    rules = {"over": "watts > baseline_high(watts)", "twice": "watts > 2 * baseline(watts)", "volts": "volts > 2 * baseline(volts)"}
    file = tmp_path / "appliance.toml"
    file.write_text("".join(f'[workload.{n}]\nkind = "alert"\nstream = "power"\nwhen = "{w}"\nby = ["device"]\n' for n, w in rules.items()))
    config = load_config(data_dir=tmp_path, file=file)
    with school(tmp_path / "data") as class_:
        around = Surroundings(class_.store, lambda: class_.box.state, class_.clock)
        found = trainings(config, make_rulebook(config), around)
    assert [(t.options.column, t.options.method) for t in found] == [("watts", "robust"), ("volts", "baseline")]


def worse_then_better(class_: School) -> None:
    """A good model; then three weeks of another kind, of which only the last is checked."""
    class_.learn(history(days=56))
    class_.train(holdout_days=7)


def test_a_worse_model_is_refused_told_and_not_used(tmp_path: Path) -> None:
    with school(tmp_path / "data") as class_:
        worse_then_better(class_)
        before = class_.baselines.tables[NAME]
        outcome = class_.train(method="robust")
        assert "refused" in outcome.words
        assert "is worse than that of version 1" in outcome.words
        [(number, channel, title, text)] = class_.told()
        assert (channel, title, text) == ("ops", "model usual: a new version was refused", outcome.words)
        assert class_.handed == [number]
        assert class_.baselines.tables[NAME] is before
        assert [(r.version, r.state, r.active) for r in class_.store.rows()] == [(2, "refused", False), (1, "accepted", True)]
        class_.learn(history(days=40, noise=3.0))
        assert "in use" in class_.train(method="robust", worse_max=10.0).words


def test_one_goes_back_and_forth_with_one_step_each(tmp_path: Path) -> None:
    with school(tmp_path / "data") as class_:
        worse_then_better(class_)
        first = row(class_.baselines.tables[NAME], "d1").copy()
        class_.train(method="seasonal")
        second = row(class_.baselines.tables[NAME], "d1").copy()
        assert class_.store.activate("usual", None, "anna") == "model 'usual': version 1 is in use in place of 2"
        assert np.array_equal(row(class_.baselines.tables[NAME], "d1"), first)
        with pytest.raises(UsageRefused, match="no accepted version of 'usual' before 1"):
            class_.store.activate("usual", None, "anna")
        class_.store.activate("usual", 2, "anna")
        assert np.array_equal(row(class_.baselines.tables[NAME], "d1"), second)
        with pytest.raises(UsageRefused, match="no usable version 9"):
            class_.store.activate("usual", 9, "anna")
        entries = [json.loads(e[0]) for e in class_.box.store.connection.execute("SELECT entry FROM chain ORDER BY id")]
        acts = [(e["version"], e["why"], e["who"]) for e in entries if e["kind"] == "model"]
        assert acts[-2:] == [(1, "rolled back", "anna"), (2, "activated", "anna")]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "older format", "another file"])
def test_a_model_file_that_can_not_be_used_is_said_and_the_one_before_stays(tmp_path: Path, damage: str) -> None:
    with school(tmp_path / "data") as class_:
        worse_then_better(class_)
        first = row(class_.baselines.tables[NAME], "d1").copy()
        class_.train(method="seasonal")
        newest = class_.store.rows()[0]
        spoil(class_.box.folder, newest, damage)
        fresh = School(class_.box, class_.clock)
        (said,) = fresh.store.load()
        assert "version 2" in said
        assert said.endswith("version 1 is used")
        assert np.array_equal(row(fresh.baselines.tables[NAME], "d1"), first)
        assert [(r.version, r.state, r.active) for r in fresh.store.rows()] == [(2, "damaged", False), (1, "accepted", True)]
        assert fresh.store.load() == ()


def spoil(folder: Path, newest: ModelRow, damage: str) -> None:
    file = folder / newest.path
    body = bytearray(file.read_bytes())
    if damage == "flip":
        body[len(body) // 2] ^= 1
    elif damage == "cut":
        del body[len(body) // 2 :]
    elif damage == "older format":
        body = bytearray(body.replace(b'"format": 1', b'"format": 0'))
    elif damage == "another file":
        body = bytearray((folder / newest.path.replace("2.json", "1.json")).read_bytes())
    file.write_bytes(body)
    if damage == "missing":
        file.unlink()


def test_only_the_newest_versions_are_kept_and_the_one_in_use(tmp_path: Path) -> None:
    with school(tmp_path / "data") as class_:
        worse_then_better(class_)
        for _ in range(3):
            class_.train(method="robust", keep=2)
        assert [r.version for r in class_.store.rows()] == [4, 3, 1]
        assert sorted(p.name for p in (class_.box.folder / "models" / "usual").iterdir()) == ["1.json", "3.json", "4.json"]


def test_a_young_box_learns_from_all_it_has_and_a_column_that_is_not_there_is_said(tmp_path: Path) -> None:
    with school(tmp_path / "data") as class_:
        class_.learn(history(days=2))
        assert "not measured" in class_.train().words
        with pytest.raises(UsageRefused, match="no column 'volts'"):
            class_.train(column="volts")
        class_.clock.pass_s(90 * 86_400)
        with pytest.raises(UsageRefused, match="no value of 'watts'"):
            class_.train()


KILLS = [("model.published:2", 1), ("model.written:2", 1), ("model.durable:2", 2)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of boxes that were killed while they stored a second version, by step."""
    folder: Path = tmp_path_factory.mktemp("killed")
    kill_at(folder, "model", [step for step, _ in KILLS])
    return folder


@pytest.mark.parametrize(("step", "version"), KILLS)
def test_a_kill_leaves_one_whole_model_in_use(killed: Path, step: str, version: int) -> None:
    with school(killed / step / "data") as class_:
        assert class_.store.load() == ()
        assert [r.version for r in class_.store.rows() if r.active] == [version]
        assert [m.version for m in load_models(class_.box.folder, class_.store.rows()).models] == [version]


def golden() -> Model:
    return Model(
        name="usual",
        version=3,
        method="seasonal",
        stream="power",
        by=("device", "line"),
        column="watts",
        made_us=NOON_US,
        trained_on={"stream": "power", "records": 12, "sequence": 99, "dirty_days": ["2026-11-21"]},
        quality={"measure": "mean absolute error of hourly means on held-out days", "error": 0.25, "naive_error": 0.5, "coverage": 1.0},
        keys=(("d1", "A"), ("ü", None)),
        body={"level": [1.5, None], "hours": [[float(h) for h in range(168)], [None] * 168]},
    )


def test_a_model_file_of_this_format_is_read_by_every_later_version() -> None:
    assert decode(GOLDEN.read_bytes()) == golden()
    assert encode(golden()) == GOLDEN.read_bytes()


def test_a_model_of_a_format_to_come_is_refused_by_name() -> None:
    with pytest.raises(ModelUnusable, match="has the format 2, this version knows 1"):
        decode(GOLDEN.read_bytes().replace(b'"format": 1', b'"format": 2'))
