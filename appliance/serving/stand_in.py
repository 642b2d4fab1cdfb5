"""Which view stands in for the records of a question, and what is then asked of it. Belongs to the engine, asks its planner.

A question is looked at more closely only where its records are so many that a view saves time, which is estimated from what the
look-up said about the stream. The answer has the same columns as without a view, by name and type, or the records are read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import duckdb
import msgspec

from appliance.cold.batch.views.tree import Node
from appliance.records import TimeRange
from appliance.serving.duck import Columns, Planner, quoted
from appliance.serving.newest import newest_of
from appliance.serving.parse_trees import called, cast_to, selecting
from appliance.serving.plain_select import PlainSelect, moment_us, plain_select
from appliance.serving.rewriting import Known, NotFromView, Rewritten, asks_for_sums, is_frozen, known_of, rewritten, spanned
from appliance.serving.snapshot import Behind, Offer, Side, TableInfo
from appliance.serving.views import levels

log = logging.getLogger(__name__)
KNOWN_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Worth:
    """When it pays to look for a view."""

    records_min: int = 200_000
    """Fewer records are read faster than a view is looked for, which takes some 5 ms."""
    share_max: float = 0.25
    """Rows of the view for each record that they stand for."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A view in place of the records of a question's stream."""

    view: str
    table: TableInfo
    """The view, under the stream's name."""
    instead_of: TableInfo
    """The stream."""
    span: TimeRange
    """The event times that the question is about."""
    sql: str
    """What is asked, over ``shown``."""
    shown: tuple[tuple[str, str], ...]
    """Columns of the view and what they are called there."""

    def used(self, columns: Columns) -> Columns:
        """Those of the view's columns that are shown."""
        names = {name for name, _ in self.shown}
        return tuple(c for c in columns if c[0] in names)

    def source(self, text: str) -> str:
        """The view's rows as a WITH has them; ``text`` is the SELECT that gives them."""
        columns = ", ".join(f"{quoted(name)} AS {quoted(shown)}" for name, shown in self.shown)
        return f"{quoted(self.table.name)} AS NOT MATERIALIZED (SELECT {columns} FROM (\n{text}\n))"


class StandIns:
    """See the module."""

    def __init__(self, planner: Planner, worth: Worth) -> None:
        self._planner = planner
        self._worth = worth
        self._known: dict[tuple[str, Columns], Known] = {}
        self._made: dict[tuple[str, Offer, Columns, TimeRange], StandIn] = {}
        """Of questions that were asked before in the same words about the same times."""

    def of(self, select: PlainSelect, sql: str, table: TableInfo, *, bounds: TimeRange, now_us: int) -> tuple[StandIn | None, str]:
        """The view that stands in for ``table``, if any may and it pays; and why none does, empty where nothing was looked for.

        ``bounds`` restricts the event time besides the SQL; ``now_us`` is what ``now()`` gives.
        """
        behind = table.behind
        if behind is None or behind.rows < self._worth.records_min or not asks_for_sums(select.node):
            return None, ""
        span, parts = spanned(select, partial(self._moment, now_us=now_us))
        span = span.intersect(bounds)
        read = _read_at_most(select, table, behind, span)
        records = behind.rows * _share(behind, read)
        offers = [o for o in behind.views if records and behind.rows * self._worth.share_max >= o.rows]
        if records < self._worth.records_min or not offers or read.empty:
            return None, ""
        said = []
        for offer in sorted(offers, key=lambda o: o.rows):
            key = (sql, msgspec.structs.replace(offer, rows=0), table.columns, span)
            if key in self._made:
                return self._made[key], ""
            try:
                columns = {name.lower(): name for name, _ in table.columns}
                found = rewritten(select, self._of_view(offer), columns, span=span, spans=parts)
                made = self._stand_in(sql, table, offer, found)
                if len(self._made) >= KNOWN_MAX:
                    self._made.clear()
                self._made[key] = made
                return made, ""
            except NotFromView as e:
                said.append(f"the view {offer.name} can't answer it: {e}")
            except (duckdb.Error, ValueError) as e:
                log.debug("a question is not asked of the view %s: %s", offer.name, e)
        return None, "; ".join(said)

    def _moment(self, node: Node, *, now_us: int) -> int | None:
        """The microseconds of what is a constant of type TIMESTAMP or DATE; None for anything else."""
        found = moment_us(node, now_us=now_us)
        if found is not None or not is_frozen(node):
            return found
        moment = called("epoch_us", cast_to("TIMESTAMP", node))
        row = self._planner.value(self._planner.written(selecting([called("typeof", node), moment])), now_us=now_us)
        is_time = row is not None and (row[0] in ("TIMESTAMP", "DATE") or (row[0] == "VARCHAR" and node["class"] == "CONSTANT"))
        return row[1] if row is not None and is_time and isinstance(row[1], int) else None

    def _stand_in(self, sql: str, table: TableInfo, offer: Offer, found: Rewritten) -> StandIn:
        """Raises ``NotFromView`` where the answer would have other columns, ``duckdb.Error`` for SQL that doesn't bind."""
        columns = levels(self._planner, offer.view)[0]
        meant = self._planner.described(sql, table.name, table.columns)
        selected = [
            {**item, "alias": name} if place in found.changed else item
            for place, (item, (name, _)) in enumerate(zip(found.node["select_list"], meant, strict=True))
        ]
        text = self._planner.written({**found.node, "select_list": selected})
        kinds = dict(columns)
        shown = tuple((name, kinds[column]) for column, name in found.shown)
        if self._planner.described(text, table.name, shown) != meant:
            raise NotFromView("its columns would be others")
        view = TableInfo(table.name, Side.VIEW, offer.key, columns, offer.view)
        return StandIn(offer.name, view, table, found.span, text, found.shown)

    def _of_view(self, offer: Offer) -> Known:
        """Raises ``NotFromView`` for SQL of another form."""
        _, sql = offer.view.chain[0]
        known = self._known.get((sql, offer.view.base))
        if known is None:
            tree = self._planner.tree(sql)
            select = plain_select(tree)
            if select is None:
                raise NotFromView("its SQL is not plain")
            base = {name.lower(): name for name, _ in offer.view.base}
            types: Mapping[str, str] = dict(levels(self._planner, offer.view)[0])
            known = known_of(select, types, base, bucket=offer.view.bucket, width_us=offer.view.width_us)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[sql, offer.view.base] = known
        return known


def _read_at_most(select: PlainSelect, table: TableInfo, behind: Behind, span: TimeRange) -> TimeRange:
    """The event times that are read without a view: of the newest buckets a few."""
    newest = newest_of(select, frozenset(name.lower() for name, _ in table.columns))
    if newest is None or not newest.width_us:
        return span
    high = behind.high_us if span.until is None else min(behind.high_us, span.until)
    return span.intersect(TimeRange(high - newest.width_us * (newest.rows + 1)))


def _share(behind: Behind, span: TimeRange) -> float:
    """The part of a stream's records that lies in a range, if they lay evenly."""
    low = behind.low_us if span.since is None else max(behind.low_us, span.since)
    high = behind.high_us if span.until is None else min(behind.high_us, span.until)
    return max(0, high - low) / max(1, behind.high_us - behind.low_us)
