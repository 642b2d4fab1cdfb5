"""Histories whose truth is known, as the tables of cells that queries give, and incidents in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.hybrid.analysis.deep.values import Asked, Source, TextSource
from appliance.observe.analysis import MemberRow

F64 = npt.NDArray[np.float64]
MINUTE_US = 60_000_000
DAY_US = 1_440 * MINUTE_US
MONDAY_US = 1_767_571_200_000_000
"""2026-01-05 00:00 UTC."""


def day_wave(minutes: int, *, seed: int = 1, noise: float = 1.0) -> F64:
    """A value for each minute: 50, ten up and down over the day, with noise."""
    at = np.arange(minutes)
    return np.asarray(50 + 10 * np.sin(2 * np.pi * at / 1_440) + np.random.default_rng(seed).normal(0, noise, minutes), np.float64)


def source(
    folder: Path, stream: str, series: Mapping[str, F64], *, since_us: int, step_us: int, name: str = "", extremes: bool = True
) -> Source:
    """The field ``value`` of some devices, a value a minute, as cells of ``step_us``; NaN: no record."""
    rows: dict[str, list[Any]] = {k: [] for k in ("k0", "b", "n", "m0", "l0", "h0")}
    for device, values in series.items():
        ts = since_us + np.arange(len(values)) * MINUTE_US
        ok = np.isfinite(values)
        cell = (ts // step_us)[ok]
        for b in np.unique(cell):
            inside = values[ok][cell == b]
            for key, v in zip(rows, (device, int(b), len(inside), inside.mean(), inside.min(), inside.max()), strict=True):
                rows[key].append(v)
    path = folder / f"{stream}{name}.parquet"
    pq.write_table(pa.table(rows), path)
    return Source(stream=stream, tags=("device",), columns=("value",), path=str(path), step_us=step_us, has_extremes=extremes)


def member(device: str, *, since_us: int, until_us: int, stream: str = "readings", value: float = 90.0, score: float = 0.99) -> MemberRow:
    """A series that the first pass found unusual."""
    return MemberRow(
        stream=stream,
        column="value",
        key={"device": device},
        template=None,
        kind="value",
        since_us=since_us,
        until_us=until_us,
        peak_us=since_us,
        score=score,
        value=value,
        expected=50.0,
        records=3,
        reason="9 times the usual spread",
        seq=1_000,
    )


def asked(
    folder: Path,
    series: Mapping[str, F64],
    *,
    at: int,
    minutes: int,
    members: tuple[str, ...] = ("a",),
    severity: float = 0.9,
    texts: tuple[TextSource, ...] = (),
    **more: Any,
) -> Asked:
    """An incident of ``minutes`` from the minute ``at`` of these series on, with all of them as history and surroundings."""
    since_us, until_us = MONDAY_US + at * MINUTE_US, MONDAY_US + (at + minutes - 1) * MINUTE_US
    size = max(len(v) for v in series.values())
    now_us = MONDAY_US + (size - 1) * MINUTE_US
    near_since, near_until = max(MONDAY_US, since_us - 120 * MINUTE_US), min(now_us + MINUTE_US, until_us + 60 * MINUTE_US)
    near = {d: v[(near_since - MONDAY_US) // MINUTE_US : (near_until - MONDAY_US) // MINUTE_US] for d, v in series.items()}
    history = {d: v for d, v in series.items() if d in members}
    step = 5 * MINUTE_US if size > 9_000 else MINUTE_US
    return Asked(
        id=7,
        since_us=since_us,
        until_us=until_us,
        now_us=now_us,
        severity=severity,
        members=tuple(member(d, since_us=since_us, until_us=until_us) for d in members),
        history_since_us=MONDAY_US,
        near_since_us=near_since,
        near_until_us=near_until,
        history=(source(folder, "readings", history, since_us=MONDAY_US, step_us=step),),
        near=(source(folder, "readings", near, since_us=near_since, step_us=MINUTE_US, name="-near", extremes=False),),
        texts=texts,
        **more,
    )
