"""The first pass over numbers: what it costs, how large it is, and how well it finds what is labelled where such series are at hand.

    NAB=../shared/data/nab NAB_SCORE=../shared/bench/nab_score.py python -m tests.bench hybrid-numeric

``NAB``: a folder with windows.json and category/file.csv, as the Numenta Anomaly Benchmark has them; ``NAB_SCORE``: the program that
scores. Figures are processor time of this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from appliance.hybrid.analysis.numeric.files import write_scores
from appliance.hybrid.analysis.numeric.scored import SLOT_BYTES_MAX
from appliance.hybrid.analysis.numeric.scorer import Scorer
from tests.bench.report import Row, note

NAB = Path(os.environ.get("NAB", "../shared/data/nab"))
NAB_SCORE = Path(os.environ.get("NAB_SCORE", "../shared/bench/nab_score.py"))
NAB_MIN = 65.0
SERIES, A_SECOND, BATCHES, SECONDS, WARM = 500, 20, 50, 15, 5
SHARE_MAX = 0.40
MANY = 1_000
SECOND_US = 1_000_000
BEGIN_US = 1_700_000_000 * SECOND_US


def rows() -> Iterator[Row]:
    """The figures."""
    live = _share(SERIES, A_SECOND, spacing_us=SECOND_US // A_SECOND)
    yield Row(_what(SERIES, A_SECOND, "as they come"), f"{live:.1%} of a core", f"<= {SHARE_MAX:.0%}", live <= SHARE_MAX)
    replayed = _share(SERIES, A_SECOND, spacing_us=SECOND_US)
    yield Row(
        _what(SERIES, A_SECOND, "a second apart by event time"), f"{replayed:.1%} of a core", f"<= {SHARE_MAX:.0%}", replayed <= SHARE_MAX
    )
    one = _share(1, SERIES * A_SECOND, spacing_us=SECOND_US // (SERIES * A_SECOND))
    yield Row(_what(1, SERIES * A_SECOND, "as they come"), f"{one:.1%} of a core", f"<= {SHARE_MAX:.0%}", one <= SHARE_MAX)
    scorer = Scorer()
    scorer.grow(MANY)
    _feed(scorer, MANY, 1, 300, spacing_us=SECOND_US)
    size, stored = scorer.nbytes, len(scorer.dump())
    yield Row(f"scores of numbers: memory of {MANY:,} series", f"{size / 2**20:.1f} MiB", "<= 64 MiB", size <= MANY * SLOT_BYTES_MAX)
    yield Row(f"scores of numbers: {MANY:,} series as they are stored", f"{stored / 2**20:.1f} MiB", "", None)
    yield from _found()


def _what(series: int, a_second: int, how: str) -> str:
    return f"scores of numbers: {series * a_second:,} records/s over {series} series, {how}"


def _share(series: int, a_second: int, *, spacing_us: int) -> float:
    """Processor time for each second of records, in ``BATCHES`` parts a second."""
    scorer = Scorer()
    scorer.grow(series)
    spent = _feed(scorer, series, a_second, WARM + SECONDS, spacing_us=spacing_us)
    return float(spent[WARM:].mean())


def _feed(scorer: Scorer, series: int, a_second: int, seconds: int, *, spacing_us: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Processor seconds for the records of each second."""
    rng = np.random.default_rng(1)
    spent = np.zeros(seconds)
    parts = min(BATCHES, series * a_second)
    for second in range(seconds):
        slots = np.tile(np.arange(series, dtype=np.int32), a_second)
        ts_us = BEGIN_US + (second * a_second + np.repeat(np.arange(a_second), series)) * spacing_us
        values = rng.normal(20.0, 3.0, len(slots))
        cuts = np.linspace(0, len(slots), parts + 1).astype(int)
        start = time.process_time()
        for a, b in pairwise(cuts):
            scorer.score(slots[a:b], ts_us[a:b], values[a:b])
        spent[second] = time.process_time() - start
    return spent


def _found() -> Iterator[Row]:
    """By the Numenta Anomaly Benchmark, standard profile."""
    if not (NAB / "windows.json").exists() or not NAB_SCORE.exists():
        note(f"scores of numbers: no labelled series at {NAB}, or no program at {NAB_SCORE}")
        return
    with tempfile.TemporaryDirectory(prefix="numeric-bench") as place:
        start = time.process_time()
        files = write_scores(NAB, Path(place))
        note(f"scores of numbers: {files} files in {time.process_time() - start:.0f} s")
        said = subprocess.run([sys.executable, str(NAB_SCORE), str(NAB), place], check=True, capture_output=True, text=True).stdout
    note(said.replace("\n", "; "))
    standard = float(said.split()[1])
    yield Row("scores of numbers: Numenta Anomaly Benchmark, standard profile", f"{standard:.1f}", f">= {NAB_MIN:g}", standard >= NAB_MIN)
