"""One pass in the service: pins an instant, makes the look, runs the checks, and drops what has become untrue meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.box import Box
from appliance.hot.reader import HotReader
from appliance.hot.state import State, StreamState
from appliance.reconcile.engine import CHECKS, Result, run_checks
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Check, Look, Scope, Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass saw."""

    scope: Scope
    result: Result
    seen: Seen


def pass_live(
    box: Box, scope: Scope, *, checks: Sequence[Check] = CHECKS, writings: Callable[[], tuple[int, ...]] = tuple, **more: Any
) -> Pass:
    """A pass in the service's process, against its memory. ``more`` are fields of ``Look``. Blocks; from any thread but the writer's.

    ``writings``: see ``Keeper.writings``; what lies in the lake is only judged while all of them stand still, from before the pin on.
    """
    begun = writings()
    memory = box.state

    def settled() -> bool:
        return not any(n % 2 for n in begun) and writings() == begun

    reader = box.reader()
    try:
        with reader.pinned():
            state = stored_state(reader, memory) if scope == "hot" else reader.load_state()
            look = Look(
                folder=box.folder,
                reader=reader,
                state=state,
                scope=scope,
                now_us=box.clock.now_us(),
                memory=memory,
                settled=settled,
                **more,
            )
            result = run_checks(look, checks)
        result = confirmed(reader, result)
    finally:
        reader.close()
    return Pass(scope=scope, result=result, seen=look.seen)


def stored_state(reader: HotReader, memory: State) -> State:
    """The streams as they are stored, without their segments; what the service's memory knows as well is taken from there."""
    rows = reader.execute("SELECT s.fold, s.id, s.mark, s.last_seq, (SELECT max(version) FROM schema WHERE stream_id = s.id) FROM stream s")
    streams: dict[str, StreamState] = {}
    for key, stream_id, mark, last_seq, version in rows:
        known = memory.streams.get(str(key))
        if known is None or known.id != stream_id or known.schema.version != version:
            return reader.load_state()
        streams[str(key)] = replace(known, mark=int(str(mark)), last_seq=int(str(last_seq)), ring=())
    return State(streams)


def confirmed(reader: HotReader, result: Result) -> Result:
    """Without what was true of a file that has been replaced or has expired while the pass went on. ``reader`` is not pinned any more."""
    if not any("segment" in f.facts for f in result.findings):
        return result
    states = {int(str(row[0])): (str(row[1]), str(row[2])) for row in reader.execute("SELECT id, state, path FROM segment")}

    def holds(finding: Finding) -> bool:
        state, path = states.get(int(finding.facts["segment"]), ("forgotten", ""))
        return state not in ("replaced", "expired", "forgotten") and path == finding.where

    return replace(result, findings=tuple(f for f in result.findings if "segment" not in f.facts or holds(f)))
