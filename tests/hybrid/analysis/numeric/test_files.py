"""``appliance analysis score``: scores for files of numbers, by the code that runs live."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from appliance.cli.main import run
from appliance.hybrid.analysis.numeric.scorer import Scorer
from tests.hybrid.analysis.numeric.scenes import AT, BEGIN_US, SCENES, STEP_US

COUNT = 180


def write(path: Path, values: list[float], *, form: str = "%Y-%m-%d %H:%M:%S") -> None:
    """As the Numenta Anomaly Benchmark has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    at = [datetime.fromtimestamp((BEGIN_US + i * STEP_US) // 1_000_000, UTC).strftime(form) for i in range(len(values))]
    path.write_text("timestamp,value\n" + "".join(f"{t},{v!r}\n" for t, v in zip(at, values, strict=True)))


def read(path: Path) -> tuple[list[str], list[float]]:
    """Times as written, scores."""
    with path.open() as f:
        rows = list(csv.DictReader(f))
    return [r["timestamp"] for r in rows], [float(r["anomaly_score"]) for r in rows]


def test_each_file_is_a_series_of_its_own_scored_as_live(tmp_path: Path) -> None:
    values = SCENES["spike"][AT - COUNT + 5 : AT + 5].tolist()
    write(tmp_path / "in/a/one.csv", values)
    write(tmp_path / "in/b/two.csv", values, form="%Y-%m-%dT%H:%M:%SZ")
    (tmp_path / "in/other.csv").write_text("a,b\n1,2\n")
    assert run(["analysis", "score", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    times, scores = read(tmp_path / "out/a/one.csv")
    assert times[0] == "2023-11-20 00:00:00"
    assert read(tmp_path / "out/b/two.csv")[1] == scores
    assert not (tmp_path / "out/other.csv").exists()
    scorer = Scorer()
    scorer.grow(1)
    live = [scorer.score(np.zeros(1, np.int32), np.array([BEGIN_US + i * STEP_US]), np.array([v])).onset[0] for i, v in enumerate(values)]
    assert scores == pytest.approx(live)
    assert np.argmax(scores) == COUNT - 5


def test_a_later_value_changes_no_earlier_score(tmp_path: Path) -> None:
    values = SCENES["daily"][:COUNT].tolist()
    write(tmp_path / "in/whole.csv", values)
    write(tmp_path / "in/part.csv", values[:100])
    run(["analysis", "score", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
    assert read(tmp_path / "out/whole.csv")[1][:100] == read(tmp_path / "out/part.csv")[1]


def test_nothing_to_score_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analysis", "score", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "no CSV file with the columns timestamp and value" in capsys.readouterr().err


@pytest.mark.parametrize("rows", ["yesterday,1\n", ",1\n", "2023-11-20 00:00:00,much\n"])
def test_a_file_that_is_no_series_is_said_by_name(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.csv").write_text("timestamp,value\n" + rows)
    assert run(["analysis", "score", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "bad.csv" in capsys.readouterr().err
