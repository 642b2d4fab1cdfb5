"""How good a model is, and whether it may be used in place of the one that is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from appliance.cold.batch.training.fitting import Cells, error_of, last_week, said_of
from appliance.cold.batch.training.model import F64, Model

MEASURE: Final = "mean absolute error of hourly means on held-out days"
HISTORY_A_HELD_DAY: Final = 4
"""At most one of so many days is held out: a young box learns from what it has."""
DAY_H: Final = 24


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a new model is used from now on."""

    accepted: bool
    reason: str


def held_since(hours: Cells, *, days: int, until_h: int) -> int:
    """The hour from which on days are held out: the newest ``days``, fewer where history is short; ``until_h`` where none can be."""
    if not len(hours.hour):
        return until_h
    history_days = (until_h - int(hours.hour.min())) // DAY_H
    return until_h - min(days, history_days // HISTORY_A_HELD_DAY) * DAY_H


def quality_of(hours: F64, learned: Cells, held: Cells, every: Cells) -> dict[str, Any]:
    """How far off a model is on ``held``, beside two that need no thought: last week's value, and the mean of what it ``learned``."""
    said = said_of(hours, learned.keys, held)
    counts = np.bincount(learned.key, weights=learned.count, minlength=len(learned.keys))
    sums = np.bincount(learned.key, weights=learned.count * learned.mean, minlength=len(learned.keys))
    with np.errstate(invalid="ignore"):
        means = (sums / counts)[held.key]
    errors = {"last_week_error": error_of(last_week(held, every), held), "mean_error": error_of(means, held)}
    known = [e for e in errors.values() if e is not None]
    return {
        "measure": MEASURE,
        "error": error_of(said, held),
        "naive_error": min(known) if known else None,
        **errors,
        "coverage": float(np.isfinite(said).mean()) if len(said) else None,
        "cells": len(said),
    }


def judge(new: Model, active: Model | None, held: Cells, *, worse_max: float) -> Judged:
    """By the same held-out days: the new one may be at most ``worse_max`` (part of the error in use) worse, where both say something.

    What can't be measured (too short a history) is used unless one is in use that was measured.
    """
    if active is None:
        return Judged(True, "the first one")
    ours, theirs = said_of(new.hours, new.keys, held), said_of(active.hours, active.keys, held)
    both = np.isfinite(ours) & np.isfinite(theirs)
    common = held.where(both)
    error, before = error_of(ours[both], common), error_of(theirs[both], common)
    if error is None or before is None:
        if active.error is not None and new.error is None:
            return Judged(False, f"it could not be measured, and version {active.version}, which is in use, was")
        return Judged(True, "there was nothing to compare it with")
    if error > before * (1 + worse_max) and error - before > 1e-12 * abs(before):
        worse = f"by {error / before - 1:.1%}" if before > 0 else "where the other one is exact"
        return Judged(False, f"its error {error:.6g} is worse than that of version {active.version}, {before:.6g}, {worse}")
    return Judged(True, f"its error {error:.6g} against {before:.6g} of version {active.version}")


def summary(model: Model, judged: Judged) -> str:
    """In a few words, for the history."""
    quality, use = model.quality, f"{'in use' if judged.accepted else 'refused'}: {judged.reason}"
    error, naive = quality.get("error"), quality.get("naive_error")
    if error is None:
        return f"version {model.version}: not measured: the history is too short; {use}"
    beside = "" if naive is None else f", the better naive one {naive:.6g}"
    return f"version {model.version}: error {error:.6g}{beside}, says something of {quality.get('coverage') or 0:.0%}; {use}"
