"""Scores for files of one series each, as the Numenta Anomaly Benchmark has them: columns ``timestamp``, ``value``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from appliance.errors import UsageRefused
from appliance.hybrid.analysis.numeric.counters import Counters
from appliance.hybrid.analysis.numeric.scored import F64, I64
from appliance.hybrid.analysis.numeric.scorer import Scorer


def series_files(folder: Path) -> Iterator[tuple[Path, pa.Array, I64, F64]]:
    """Each CSV file below ``folder`` that has both columns: its path, its times as written, as µs UTC, its values (NaN: none).

    Times as ISO 8601, with ``T`` or a blank, with a zone or without one, meaning UTC. Raises UsageRefused where a file can't be read.
    """
    for path in sorted(folder.rglob("*.csv")):
        try:
            table = pc_csv.read_csv(
                path, convert_options=pc_csv.ConvertOptions(column_types={"timestamp": pa.string(), "value": pa.float64()})
            )
            if not {"timestamp", "value"} <= set(table.column_names):
                continue
            written = table.column("timestamp").combine_chunks()
            if written.null_count:
                raise UsageRefused(f"{path}: {written.null_count} rows without a timestamp")
            times = _times(written)
        except pa.ArrowInvalid as e:
            raise UsageRefused(f"{path}: {str(e).splitlines()[0]}; expected CSV with the columns timestamp and value") from e
        yield path, written, times, table.column("value").fill_null(float("nan")).to_numpy()


def write_scores(folder: Path, output: Path) -> int:
    """For each file below ``folder`` one of the same name below ``output``: columns ``timestamp``, ``anomaly_score``
    (``Scored.onset``: one alarm for each anomaly); how many.

    Each file is a series of its own: nothing learned from one is used for another.
    """
    found = list(series_files(folder))
    if not found:
        raise UsageRefused(f"{folder}: no CSV file with the columns timestamp and value below it")
    scorer, counters = Scorer(), Counters()
    scorer.grow(len(found))
    counters.grow(len(found))
    slots = np.repeat(np.arange(len(found), dtype=np.int32), [len(times) for _, _, times, _ in found])
    ts_us, values = np.concatenate([f[2] for f in found]), np.concatenate([f[3] for f in found])
    onsets = counters.score(scorer, slots, ts_us, values).onset
    for slot, (path, written, _, _) in enumerate(found):
        to = output / path.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"timestamp": written, "anomaly_score": onsets[slots == slot]})
        pc_csv.write_csv(table, to, pc_csv.WriteOptions(quoting_style="none"))
    return len(found)


def _times(written: pa.Array) -> I64:
    """µs UTC. Raises ArrowInvalid."""
    zoned = bool(pc.any(pc.match_substring_regex(written, r"(Z|[+-]\d\d:?\d\d)$")).as_py())
    times: I64 = pc.cast(written, pa.timestamp("us", "UTC" if zoned else None)).cast(pa.int64()).to_numpy()
    return times
