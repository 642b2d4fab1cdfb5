"""Which times a look is about, and a look again: what a query says is of a later instant than the picture, so only what stays counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.spans import FIRST, LAST, Span, common, union

MINUTE_US: Final = 60_000_000


def seen_twice(look: Look, check: Callable[[Look], Iterator[Finding]]) -> Iterator[Finding]:
    """What ``check`` finds now and in a picture that is taken after that, as it is in the second."""
    first = {f.name for f in check(look)}
    if not first:
        return
    with looked_again(look) as again:
        yield from (f for f in check(again) if f.name in first)


@contextmanager
def looked_again(look: Look) -> Iterator[Look]:
    """The same look over the folder as it is now; without the service's memory, which is of another instant."""
    reader = HotReader(look.folder)
    try:
        with reader.pinned():
            yield replace(look, reader=reader, state=reader.load_state(), memory=None)
    finally:
        reader.close()


def asked_spans(look: Look, stream: StreamState) -> tuple[Span, ...]:
    """Event times of a stream that a look is about: from ``since_us`` on, and of the segments in ``only``."""
    low = FIRST if look.since_us is None else look.since_us
    if look.only is None:
        return ((low, LAST),)
    return common(union((s.ts_min, s.ts_max + 1) for s in stream.segments if s.path in look.only), ((low, LAST),))


def turn_of(look: Look) -> int:
    """Which part of what goes by turns is this look's: where nobody counts looks, as in a process of one look, the minute tells."""
    return look.turn or look.now_us // MINUTE_US
