"""The samples in ``data/samples`` are whole, small and say what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import ROOT
from tests.sources.boxes import shelf

SAMPLES = sorted((ROOT / "data" / "samples").glob("machine_*"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.name))
def test_every_record_of_a_sample_is_taken(tmp_path: Path, sample: Path) -> None:
    with shelf(tmp_path, '[limits]\ndisk_free_min = 1\n[stream.machine_cpu]\ntags = ["cpu"]\n') as box:
        taken = box.take(sample.read_bytes(), sample.name)
        assert (taken.outcome, taken.rejected) == ("taken", 0), taken.reason
        assert taken.records >= 200
        for state in box.box.state.streams.values():
            assert state.schema.stream.startswith("machine_")
            assert state.schema.fields


def test_the_samples_are_small_and_of_every_notation_for_text() -> None:
    assert sum(sample.stat().st_size for sample in SAMPLES) <= 200_000
    assert {"".join(sample.suffixes) for sample in SAMPLES} == {".csv", ".csv.gz", ".jsonl", ".lp"}
