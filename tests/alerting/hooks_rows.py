"""Records as rows, and a rule rehearsed over them, without a process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.alerting.rehearsal import Rehearsal, rehearse
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.rules import parse_rule
from appliance.hot.stream.values import Rows
from appliance.records import Column, Kind, Schema
from appliance.workload_options import AlertOptions

SCHEMA = Schema("readings", (Column("device", Kind.TAG), Column("t", Kind.FLOAT)), 1)
T0 = 1_760_000_000_000_000
S = 1_000_000
HOUR_S = 3_600
DAY_S = 86_400
NOW = T0 + 400 * DAY_S * S


def rows(records: Sequence[tuple[float, str, float | None]]) -> Rows:
    """(second, device, value), in the order of their sequences."""
    ts = pa.array([T0 + round(s * S) for s, _, _ in records], pa.int64()).cast(pa.timestamp("us"))
    device = pa.array([d for _, d, _ in records], pa.string()).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string()))
    data = pa.RecordBatch.from_arrays([ts, device, pa.array([v for _, _, v in records], pa.float64())], schema=SCHEMA.arrow)
    return Rows(data, np.arange(1, len(records) + 1, dtype=np.int64))


def rehearsed(
    rule: dict[str, Any],
    records: Sequence[tuple[float, str, float | None]],
    *,
    cuts: Iterable[int] | None = None,
    now_us: int = NOW,
    identity: tuple[str, ...] | None = None,
    asked: list[tuple[int, int]] | None = None,
) -> Rehearsal:
    """What a rule says of records that come in rounds which end at ``cuts``; None: one by one. ``asked`` gets the times read again."""
    whole = rows(records)
    inner = range(len(records)) if cuts is None else cuts
    ends = sorted({c for c in inner if 0 < c < len(whole)} | {len(whole)})
    parts, start = [], 0
    for end in ends:
        parts.append(Rows(whole.data.slice(start, end - start), whole.seqs[start:end]))
        start = end

    def past(since_us: int, until_us: int, up_to_seq: int) -> tuple[Rows, ...]:
        if asked is not None:
            asked.append((since_us, until_us))
        kept = (whole.ts >= since_us) & (whole.ts < until_us) & (whole.seqs <= up_to_seq)
        return (Rows(whole.data.filter(pa.array(kept)), whole.seqs[kept]),) if kept.any() else ()

    return rehearse(
        parse_rule("rule", AlertOptions(stream="readings", **rule)),
        SCHEMA,
        parts,
        lateness_s=1.0,
        keys_max=100,
        identity=identity,
        baselines=Baselines(),
        past=past,
        now_us=now_us,
    )


def happened(found: Rehearsal, device: str) -> list[tuple[str, str, float, int | None]]:
    """(kind, new, seconds after T0, sequence) of each transition of a device."""
    return [(t.kind.value, t.new.value, (t.at_us - T0) / S, t.seq) for t in found.transitions if t.key == (device,)]
