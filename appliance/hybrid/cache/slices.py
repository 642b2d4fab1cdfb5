"""Answers whose rows belong to one bucket of time each: cut where buckets begin, and put together with rows that were found anew. Pure.

Whatever such a question asks of a bucket (a median, a count of different values, a HAVING) follows from that bucket's records alone.
So rows of buckets in which nothing has changed stay as they are, as bytes, and the question itself is asked for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from appliance.clock import US_PER_DAY
from appliance.cold.batch.views.tree import Node, arguments, column, constant_text, function, has_aggregate, interval_us, nodes, unit_us
from appliance.hot.series import I64
from appliance.serving.parse_trees import canonical
from appliance.serving.plain_select import is_ts, plain_select
from appliance.serving.rewriting import groups_of
from appliance.spans import FIRST, LAST, ORIGIN_US, Span

FORMATS: Final[Mapping[str, tuple[bytes, bytes, bytes]]] = {"json": (b"[", b",\n", b"]\n"), "jsonl": (b"", b"\n", b"\n")}
"""Formats in which rows can be told apart: what stands before, between and after them. A row holds no line feed."""
SPANS_MAX: Final = 3
"""Questions by which an answer is completed."""
SHARE_MAX: Final = 0.5
"""Of an answer's buckets, how many may be found anew: beyond, the whole is."""
_BEYOND_ROWS: Final = frozenset({"WINDOW", "SUBQUERY", "STAR", "POSITIONAL_REFERENCE"})


class NotSliced(Exception):
    """Rows of the answer can't be told apart by time; the text says why."""


@dataclass(frozen=True, slots=True)
class Slicing:
    """Where in a question's rows their bucket stands."""

    place: int
    """Among the result columns."""
    width_us: int
    """Of a bucket, which begins where ``spans.floor_to`` says."""
    order: int
    """1: the buckets rise; -1: they fall; 0: they come in any order."""
    schema_version: int
    """Of the stream, by whose names the question was understood."""


@dataclass(frozen=True, slots=True)
class Slices:
    """An answer in one of ``FORMATS``, and where its buckets lie in it."""

    body: bytes
    starts: I64
    """Of each bucket that has rows, in the order of the rows: rising or falling."""
    ends: I64
    """Where in the body its last row ends."""

    @property
    def bytes(self) -> int:
        """Memory besides the body."""
        return self.starts.nbytes + self.ends.nbytes


def slicing_of(tree: Any, columns: Mapping[str, str], *, schema_version: int) -> Slicing:
    """How the rows of a question are told apart, read off its tree; ``columns`` are its stream's, folded name -> name.

    Raises ``NotSliced``.
    """
    select = plain_select(tree["statements"][0])
    if select is None:
        raise NotSliced("it is no plain SELECT from one stream")
    node, alias = select.node, select.alias.lower()
    if len(node["group_sets"]) > 1 or node["qualify"] is not None:
        raise NotSliced("it groups in more than one way, or looks beyond its groups")
    if any(m["type"] != "ORDER_MODIFIER" for m in node["modifiers"]):
        raise NotSliced("it ends after some rows, or compares rows with each other")
    asked = [node["select_list"], node["group_expressions"], node["having"], node["where_clause"]]
    if any(n.get("class") in _BEYOND_ROWS for n in nodes(asked)):
        raise NotSliced("it looks beyond its rows")
    found = [(place, width) for place, item in enumerate(node["select_list"]) if (width := _width(item, alias))]
    if not found:
        raise NotSliced("its rows don't say to which bucket of time they belong")
    place, width_us = found[0]
    groups = {canonical(g, alias) for g in groups_of(node, columns)}
    if (groups or has_aggregate(asked)) and canonical(node["select_list"][place], alias) not in groups:
        raise NotSliced("its rows are made of several buckets")
    return Slicing(place, width_us, _order(node, place, alias), schema_version)


def sliced(body: bytes, format_: str, slicing: Slicing) -> Slices | None:
    """An answer cut by its buckets; one whose order means nothing in their order. None where it is not what its question promised."""
    before, between, _ = FORMATS[format_]
    rows = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(rows == ord("\n")).astype(np.int64) - len(between) + 1
    if not len(ends) or body in (b"[]\n", b""):
        return Slices(body, np.empty(0, np.int64), np.empty(0, np.int64))
    ends[-1] = len(body) - len(FORMATS[format_][2])
    starts = _starts(body, format_, int(ends[0]), slicing)
    if starts is None or len(starts) != len(ends):
        return None
    if slicing.order == 0 and (np.diff(starts) < 0).any():
        begins = np.append(len(before), ends[:-1] + len(between))
        order = np.argsort(starts, kind="stable")
        body = before + between.join(body[a:b] for a, b in zip(begins[order], ends[order], strict=True)) + FORMATS[format_][2]
        sizes = (ends - begins)[order] + len(between)
        starts, ends = starts[order], np.cumsum(sizes) - len(between) + len(before)
    steps = np.diff(starts) * (slicing.order or 1)
    if (steps < 0).any() or (np.mod(starts - ORIGIN_US, slicing.width_us) != 0).any():
        return None
    last = np.append(steps != 0, True)
    return Slices(body, starts[last], ends[last])


def completed(kept: Slices, fresh: Sequence[tuple[Span, bytes]], format_: str, slicing: Slicing) -> Slices | None:
    """The answer in which the buckets of some spans (disjoint, rising) are those of ``fresh``; None where these lie elsewhere."""
    before, between, after = FORMATS[format_]
    pieces: list[tuple[Slices, int, int]] = []
    done = 0
    for span, body in fresh if slicing.order >= 0 else reversed(fresh):
        found = sliced(body, format_, slicing)
        if found is None or ((found.starts < span[0]) | (found.starts >= span[1])).any():
            return None
        low, high = _within(kept.starts, span, falls=slicing.order < 0)
        pieces += [(kept, done, low), (found, 0, len(found.starts))]
        done = high
    pieces.append((kept, done, len(kept.starts)))
    bodies, starts, ends, at = [], [], [], len(before)
    for source, low, high in pieces:
        if low >= high:
            continue
        begin = len(before) if low == 0 else int(source.ends[low - 1]) + len(between)
        end = int(source.ends[high - 1])
        bodies.append(source.body[begin:end])
        starts.append(source.starts[low:high])
        ends.append(source.ends[low:high] - begin + at)
        at += end - begin + len(between)
    if not bodies:
        return Slices(before + after if before else b"", np.empty(0, np.int64), np.empty(0, np.int64))
    return Slices(before + between.join(bodies) + after, np.concatenate(starts), np.concatenate(ends))


def are_few(kept: Slices, spans: Sequence[Span]) -> bool:
    """Whether it pays to find the buckets of these spans anew."""
    if len(spans) > SPANS_MAX or any(FIRST in span or LAST in span for span in spans) or not len(kept.starts):
        return False
    low, high = int(kept.starts.min()), int(kept.starts.max())
    inside = sum(max(0, min(b, high + 1) - max(a, low)) for a, b in spans)
    return inside <= SHARE_MAX * (high + 1 - low)


def _width(item: Node, alias: str) -> int:
    """The width of the buckets that an expression gives the start of; 0 for anything else."""
    if item["class"] == "CAST":
        is_date = str(item["type_expr"].get("type_name", "")).upper() == "DATE"
        return US_PER_DAY if is_date and is_ts(item["child"], alias) else 0
    given = arguments(item)
    if len(given) != 2 or not is_ts(given[1], alias):
        return 0
    match function(item):
        case "time_bucket":
            return interval_us(given[0]) or 0
        case "date_trunc":
            return unit_us(constant_text(given[0]) or "") or 0
        case _:
            return 0


def _order(node: Node, place: int, alias: str) -> int:
    """See ``Slicing.order``. Raises ``NotSliced`` where rows come in another order than that of their buckets."""
    orders = [order for m in node["modifiers"] for order in m["orders"]]
    if not orders:
        return 0
    by, item = orders[0]["expression"], node["select_list"][place]
    names = column(by) or ()
    is_name = len(names) == 1 and names[0].lower() == str(item.get("alias") or "").lower()
    is_place = constant_text(by) == str(place + 1) or (by["class"] == "STAR" and place == 0)
    if not (is_name or is_place or canonical(by, alias) == canonical(item, alias)):
        raise NotSliced("its rows come in another order than that of time")
    return -1 if orders[0]["type"] == "DESCENDING" else 1


def _starts(body: bytes, format_: str, first_end: int, slicing: Slicing) -> I64 | None:
    """The start of the bucket of each row."""
    try:
        first = msgspec.json.decode(body[len(FORMATS[format_][0]) : first_end], type=dict[str, Any])
        name = list(first)[slicing.place]
        row = msgspec.defstruct("Row", [("t", str, msgspec.field(name=name))])
        decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]  # made of the answer's own column
        found: list[Any] = decoder.decode(body) if format_ == "json" else msgspec.json.Decoder(row).decode_lines(body)
        texts = pa.array([one.t for one in found], pa.string())
        moments = texts.cast(pa.timestamp("us", tz="UTC") if first[name].endswith("Z") else pa.timestamp("us"))
        return np.asarray(moments.view(pa.int64()).to_numpy(), np.int64)
    except (msgspec.MsgspecError, pa.ArrowException, IndexError, AttributeError):
        return None


def _within(starts: I64, span: Span, *, falls: bool) -> tuple[int, int]:
    """The numbers (half-open) of the buckets that lie in a span."""
    if not falls:
        return int(np.searchsorted(starts, span[0])), int(np.searchsorted(starts, span[1]))
    rising = starts[::-1]
    return len(starts) - int(np.searchsorted(rising, span[1])), len(starts) - int(np.searchsorted(rising, span[0]))
