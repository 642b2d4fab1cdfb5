"""Templates and scores of texts: how fast, how small, and how well lines are grouped where labelled logs are at hand.

    LOGS=../shared/data/logs python -m tests.bench hybrid-texts

``LOGS``: a folder with SYSTEM.csv (LineId, Content, EventId), as loghub has them. Figures are processor time of this process.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from appliance.hybrid.analysis.texts.miner import Miner
from appliance.hybrid.analysis.texts.scorer import TextScorer
from tests.bench.report import Row, note

LOGS = Path(os.environ.get("LOGS", "../shared/data/logs"))
LINES, BATCH = 200_000, 500
SPEED_MIN = 50_000
ACCURACY_MIN = 0.85
BEGIN_US = 1_700_000_000_000_000
SHAPES = (
    "Received block blk_{a} of size {b} from /10.251.42.{c}",
    "connection from 10.0.0.{c} ({c}-{b}.example.org) at Fri Jun 17 07:07:{c} 2005",
    'GET "/item/{a}" status: 200 len: {b} time: 0.{a}',
    "session opened for user u{c} by (uid={b})",
    "fan {c} runs at {b} rpm",
    "nothing special has happened",
)


def rows() -> Iterator[Row]:
    """The figures."""
    usual = pa.array([SHAPES[i % len(SHAPES)].format(a=i * 7919, b=i % 1000, c=i % 60) for i in range(LINES)])
    ts_us = BEGIN_US + np.arange(LINES, dtype=np.int64) * 1_000
    yield _speed("texts of known shapes, templates, by the 500", usual, None)
    yield _speed("texts of known shapes, templates and scores, by the 500", usual, ts_us)
    scorer = TextScorer()
    different = _different(LINES)
    began = time.process_time()
    scorer.score(different, ts_us)
    speed = LINES / (time.process_time() - began)
    yield Row("texts that are all different, templates and scores", f"{speed:,.0f}/s", "told, no limit", None)
    yield Row("memory after those", f"{scorer.nbytes / 2**20:.1f} MiB, stored {len(scorer.dump()) / 2**20:.2f} MiB", "bounded", None)
    yield from _accuracy()


def _speed(what: str, texts: pa.Array, ts_us: np.ndarray[tuple[int], np.dtype[np.int64]] | None) -> Row:
    miner = Miner()
    scorer = TextScorer(miner)
    began = time.process_time()
    for begin in range(0, LINES, BATCH):
        part = texts.slice(begin, BATCH)
        if ts_us is None:
            miner.learn(part)
        else:
            scorer.score(part, ts_us[begin : begin + BATCH])
    speed = LINES / (time.process_time() - began)
    return Row(what, f"{speed:,.0f}/s of one core", f">= {SPEED_MIN:,}/s", speed >= SPEED_MIN)


def _different(count: int) -> pa.Array:
    rng = np.random.default_rng(1)
    words = np.array(["".join(chr(97 + c) for c in rng.integers(0, 26, 7)) for _ in range(20_000)])
    return pa.array([" ".join(words[rng.integers(0, len(words), length)]) for length in rng.integers(3, 15, count)])


def _accuracy() -> Iterator[Row]:
    files = sorted(LOGS.glob("*.csv"))
    if not files:
        note(f"no labelled logs in {LOGS}: set LOGS to have grouping accuracy measured")
        return
    found = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as f:
            lines = [(row["Content"], row["EventId"]) for row in csv.DictReader(f)]
        miner = Miner()
        ids = miner.heirs_of(miner.learn(pa.array([content for content, _ in lines]))).tolist()
        found.append(_grouping([event for _, event in lines], ids))
        yield Row(f"grouping accuracy, {file.stem}", f"{found[-1]:.3f}", "", None)
    mean = sum(found) / len(found)
    yield Row(f"grouping accuracy, mean of {len(found)}", f"{mean:.3f}", f">= {ACCURACY_MIN}", mean >= ACCURACY_MIN)


def _grouping(truth: list[str], found: list[int]) -> float:
    """The part of lines whose group is exactly the lines of their true template (Zhu et al. 2019)."""
    of_truth: dict[str, set[int]] = {}
    of_found: dict[int, set[int]] = {}
    for line, (event, id_) in enumerate(zip(truth, found, strict=True)):
        of_truth.setdefault(event, set()).add(line)
        of_found.setdefault(id_, set()).add(line)
    return sum(len(lines) for lines in of_found.values() if lines == of_truth[truth[min(lines)]]) / len(truth)
