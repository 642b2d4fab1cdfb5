"""Scores of the deep pass for files of one series each: the same files, and the same names below the output, as for the first pass."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv

from appliance.errors import UsageRefused
from appliance.hybrid.analysis.deep.scoring import deep_scores
from appliance.hybrid.analysis.numeric.files import series_files


def write_deep_scores(folder: Path, output: Path) -> int:
    """For each file below ``folder`` one of the same name below ``output``: columns ``timestamp``, ``anomaly_score``; how many.

    Each score is computed from all rows of its file. Raises UsageRefused where there is none or one can't be read.
    """
    found = list(series_files(folder))
    if not found:
        raise UsageRefused(f"{folder}: no CSV file with the columns timestamp and value below it")
    for path, written, times, values in found:
        to = output / path.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"timestamp": written, "anomaly_score": deep_scores(times, values)})
        pc_csv.write_csv(table, to, pc_csv.WriteOptions(quoting_style="none"))
    return len(found)
