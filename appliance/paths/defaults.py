"""The needs of a workload of the config: what it says, and the defaults of its kind for the rest. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from appliance.batch_options import JobOptions, ViewOptions
from appliance.need_options import NeedsOptions
from appliance.paths.complexity import complexity
from appliance.paths.needs import PATHS, Needs, Path
from appliance.workload_options import AlertOptions

T = TypeVar("T")
DAY_S: Final = 86_400.0

RUNS_ON: Final[dict[str, tuple[Path, ...]]] = {
    "alert": ("hot",),
    "session": ("hot",),
    "view": ("hybrid",),
    "job": ("cold",),
    "report": ("cold",),
    "training": ("cold",),
    "audit": ("cold",),
    "panel": PATHS,
    "analysis": ("hybrid",),
}
"""Kind -> the paths that it can run on. Only a panel can run on each; a kind bound to one path stays there whatever its needs say,
and is told so (``appliance paths``)."""

_ALERT: Final = Needs(triggers=True, freshness_s=1.0, staleness_s=1.0)
_SESSION: Final = Needs(session_bound=True, freshness_s=1.0, staleness_s=1.0)
_VIEW: Final = Needs(freshness_s=5.0, staleness_s=300.0, is_complex=True, nature="cache")
_BATCH: Final = Needs(freshness_s=DAY_S, staleness_s=DAY_S, is_complex=True)
_ANALYSIS: Final = Needs(freshness_s=3.0, staleness_s=3.0, is_complex=True, nature="analysis")
_PANEL: Final = Needs(freshness_s=4.0, staleness_s=4.0)
"""A panel's newest answer lies ready, so nobody waits for it to be made; it stands on a dashboard, which is to be below 5 s."""
QUERY: Final = Needs(waiting=True, freshness_s=1.0, staleness_s=1.0)
"""A query that somebody asks and waits for."""


def kind_of(options: NeedsOptions) -> str:
    """The kind of a workload, as the config writes it."""
    tag = options.__struct_config__.tag
    assert isinstance(tag, str), "every class of workloads has a kind"
    return tag


def needs_of(_name: str, options: NeedsOptions) -> Needs:
    """The needs of the workload ``[workload.NAME]``: declared, else the default of its kind.

    ``records`` is None where it has to be measured.
    """
    default = _default_of(options)
    sql = getattr(options, "sql", None)
    is_complex = default.is_complex if sql is None else bool(complexity(sql))
    freshness_s = _first(options.freshness_s, _least(default.freshness_s, options.staleness_s))
    kind_staleness_s = default.staleness_s if options.freshness_s is None else freshness_s
    return replace(
        default,
        waiting=_first(options.waiting, default.waiting),
        triggers=_first(options.triggers, default.triggers),
        session_bound=_first(options.session_bound, default.session_bound),
        freshness_s=freshness_s,
        staleness_s=_first(options.staleness_s, max(freshness_s, kind_staleness_s)),
        records=options.records,
        is_complex=_first(options.complex, is_complex),
        nature=_first(options.nature, default.nature),
    )


def _default_of(options: NeedsOptions) -> Needs:
    """The needs of a kind, where its options say how often it runs, with that."""
    match options:
        case AlertOptions(sql=str(), every_s=every_s):
            return replace(_ALERT, freshness_s=every_s or 1.0, staleness_s=every_s or 1.0)
        case ViewOptions(every_s=every_s):
            return replace(_VIEW, staleness_s=max(every_s, _VIEW.freshness_s))
        case JobOptions(every_s=float(every_s)):
            return replace(_BATCH, freshness_s=every_s, staleness_s=every_s)
    return {"alert": _ALERT, "session": _SESSION, "view": _VIEW, "panel": _PANEL, "analysis": _ANALYSIS}.get(kind_of(options), _BATCH)


def _least(default: float, bound: float | None) -> float:
    return default if bound is None else min(default, bound)


def _first(said: T | None, default: T) -> T:
    return default if said is None else said
