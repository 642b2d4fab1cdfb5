"""Where one workload runs from now on: what its needs say, what was measured, and where it ran before. Pure.

The needs of the config decide at once. What is measured (how many records it really looks at, what it costs) may ask for another
path: that is proposed, or made by itself once it has asked for the same for ``SETTLE_S``, so that a load that comes and goes moves
nothing to and fro. A move by itself holds until the config would move the workload anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from appliance.clock import US_PER_S
from appliance.paths.needs import Needs, Path
from appliance.paths.rules import HOT_RECORDS_MAX, Assignment, PathCost, assign

SETTLE_S: Final = 600.0
"""A move by itself is made when it was asked for as long without a break."""
CHEAPER_SHARE: Final = 0.8
"""Where cost alone decides, another path must cost less than this part of the present one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a workload from its runs."""

    records: int | None = None
    """Records that one run looks at; None: not measured."""
    costs: Mapping[Path, PathCost] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a workload runs, and what asks for another path."""

    path: Path
    rule: str
    reason: str
    declared: Path
    """What its needs say as they are written."""
    wanted: Assignment | None = None
    """What is measured asks for, where that is another path."""
    wanted_us: int | None = None
    """Since when without a break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is the same for all workloads of a kind in a config."""

    runs_on: Sequence[Path]
    moves: Literal["propose", "make"] = "propose"
    hot_records_max: int = HOT_RECORDS_MAX


def place(needs: Needs, measured: Measured, setting: Setting, *, before: Placement | None, now_us: int) -> Placement:
    """``before`` is where it ran until now; None: it is new. ``needs`` are those of the config, with the defaults of its kind."""
    declared = assign(needs, runs_on=setting.runs_on, hot_records_max=setting.hot_records_max)
    stays = before is not None and before.declared == declared.path
    path = before.path if before is not None and stays else declared.path
    known = needs if measured.records is None else replace(needs, records=measured.records)
    found = assign(known, measured.costs, runs_on=setting.runs_on, hot_records_max=setting.hot_records_max)
    if found.path == path:
        return Placement(path=path, rule=found.rule, reason=found.reason, declared=declared.path)
    if not _is_worth_it(found, path, measured.costs):
        return _kept(path, declared, before if stays else None)
    same = before is not None and before.wanted is not None and before.wanted.path == found.path
    since_us = before.wanted_us if same and before is not None and before.wanted_us is not None else now_us
    if setting.moves == "make" and now_us - since_us >= SETTLE_S * US_PER_S:
        return Placement(path=found.path, rule=found.rule, reason=found.reason, declared=declared.path)
    return replace(_kept(path, declared, before if stays else None), wanted=found, wanted_us=since_us)


def _kept(path: Path, declared: Assignment, before: Placement | None) -> Placement:
    """It stays where it is: by its needs, or since a move that was made by itself."""
    if path == declared.path or before is None:
        return Placement(path=path, rule=declared.rule, reason=declared.reason, declared=declared.path)
    return replace(before, wanted=None, wanted_us=None)


def _is_worth_it(found: Assignment, path: Path, costs: Mapping[Path, PathCost]) -> bool:
    """Whether to speak of a move at all; a rule always is, cost alone only where both sides are known and far enough apart."""
    if found.rule != "cheapest":
        return True
    here, there = costs.get(path), costs.get(found.path)
    return here is not None and there is not None and there.cpu_s_day < here.cpu_s_day * CHEAPER_SHARE
