"""Which windows the rules of a stream need: one ``Windowed`` for each kind of window that they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.expression import Aggregate as AggregateTerm
from appliance.hot.stream.expression import Statistic, Term
from appliance.hot.stream.inputs import Inputs
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.quiet import may_hold
from appliance.hot.stream.quiet_table import QuietTable
from appliance.hot.stream.waiting import Batches
from appliance.hot.stream.watch import Watch
from appliance.hot.stream.windowed import VALUES_MAX, Past, Windowed
from appliance.hot.stream.windows.aggregates import Aggregate, Function
from appliance.hot.stream.windows.sessions import SessionPanes
from appliance.hot.stream.windows.table import Mode, PaneTable

_FUNCTION: Final = {s: Function(s.value) for s in Statistic if s is not Statistic.MEDIAN}


def window_groups(
    watches: Sequence[Watch],
    keys: KeySpace,
    by: tuple[str, ...],
    *,
    stream: str,
    baselines: Baselines,
    past: Past,
    lateness_us: int,
    tags: tuple[str, ...] | None,
    batches: Batches,
) -> list[Windowed]:
    """One for each kind of window: rules that have it share all the work but their comparison."""
    groups: dict[tuple[object, ...], list[Watch]] = {}
    for watch in watches:
        options = watch.rule.parsed.options
        groups.setdefault((options.window, options.over_s, options.pane_us, options.gap_s), []).append(watch)
    return [_windowed(of, keys, by, stream, baselines, past, lateness_us, tags, batches) for of in groups.values()]


def _windowed(
    watches: list[Watch],
    keys: KeySpace,
    by: tuple[str, ...],
    stream: str,
    baselines: Baselines,
    past: Past,
    lateness_us: int,
    tags: tuple[str, ...] | None,
    batches: Batches,
) -> Windowed:
    inputs = Inputs()
    wanted: list[Aggregate] = []
    places: dict[AggregateTerm, int] = {}
    for watch in watches:
        for term in watch.rule.terms:
            if isinstance(term, AggregateTerm) and term not in places:
                places[term] = len(wanted)
                wanted.append(_aggregate(term, inputs))
    of_terms: dict[Term, int] = {t: place for t, place in places.items()}  # noqa: C416 - a mapping is of its own kind of keys
    for watch in watches:
        assert watch.rule.parsed.when is not None
        watch.may_hold = may_hold(watch.rule.parsed.when, of_terms)
    options = watches[0].rule.parsed.options
    table: PaneTable | SessionPanes
    if options.gap_s is not None:
        table = SessionPanes(gap_us=round(options.gap_s * 1e6), aggregates=wanted, lateness_us=lateness_us, values_max=VALUES_MAX)
        reach_us = 24 * 3_600_000_000
    else:
        assert options.over_s is not None
        assert options.pane_us is not None
        over_us = round(options.over_s * 1e6)
        mode = Mode.TUMBLING if options.window == "tumbling" else Mode.SLIDING
        late_panes = -(-max(lateness_us, over_us) // options.pane_us)
        table = PaneTable(
            pane_us=options.pane_us,
            panes=over_us // options.pane_us,
            aggregates=wanted,
            mode=mode,
            lateness_panes=late_panes,
            lateness_us=lateness_us,
            values_max=VALUES_MAX,
        )
        if table.absorbs and all(w.may_hold is not None for w in watches):
            table = QuietTable(
                pane_us=options.pane_us,
                panes=over_us // options.pane_us,
                aggregates=wanted,
                arguments=len(inputs.arguments),
                watches=watches,
                batches=batches,
                lateness_panes=late_panes,
                lateness_us=lateness_us,
            )
        reach_us = over_us + late_panes * options.pane_us
    counts_rows = any(a.function is Function.COUNT_ALL for a in wanted)
    return Windowed(table, keys, by, stream, inputs, places, watches, baselines, past, reach_us, tags, counts_rows)


def _aggregate(term: AggregateTerm, inputs: Inputs) -> Aggregate:
    if term.argument is None:
        return Aggregate(Function.COUNT_ALL)
    argument = inputs.add(term.argument)
    if term.statistic is Statistic.MEDIAN:
        return Aggregate(Function.QUANTILE, argument, 0.5)
    return Aggregate(_FUNCTION[term.statistic], argument, term.parameter)
