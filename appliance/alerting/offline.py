"""Rules over a data folder, beside a running service or without one; read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec

from appliance.alerting.models import load_models
from appliance.alerting.rehearsal import Rehearsal, rehearse
from appliance.alerting.rulebook import identity_tags, make_rulebook
from appliance.clock import Clock
from appliance.config import Config
from appliance.errors import UsageRefused
from appliance.hot.models import models
from appliance.hot.reader import HotReader
from appliance.hot.state import StreamState
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.expression import columns
from appliance.hot.stream.rules import ParsedRule
from appliance.hot.stream.values import Rows
from appliance.manifest import Segment
from appliance.records import TimeRange, fold
from appliance.serving.folder import open_folder
from appliance.serving.history import History


def rehearse_folder(
    config: Config, rule: str, *, since_us: int | None, clock: Clock, on_progress: Callable[[int], None] = lambda _records: None
) -> Rehearsal:
    """A rule of the config over the records of its data folder from ``since_us`` (None: the first) on.

    Raises ``UsageRefused`` where there is no such stream or folder, ``StoreDamaged`` for a segment that can't be read.
    """
    rulebook = make_rulebook(config)
    parsed = rulebook.parsed[rule]
    with open_folder(config.data_dir) as (reader, state):

        @contextmanager
        def same_reader() -> Iterator[HotReader]:
            yield reader

        stream = state.get(parsed.options.stream or "")
        if stream is None and parsed.options.stream is not None:
            raise UsageRefused(f"there is no stream {parsed.options.stream!r} in {config.data_dir}")
        assert stream is not None or parsed.options.sql is not None
        if stream is None:
            raise UsageRefused(f"the rule {rule!r} is free SQL, which can't be rehearsed")
        history = History(root=config.data_dir, state=lambda: state, reader=same_reader, damaged=_refuse)
        span = TimeRange(since_us, None)

        def past(since_us: int, until_us: int, up_to_seq: int) -> tuple[Rows, ...]:
            return tuple(history.rows(stream.name, up_to_seq=up_to_seq, span=TimeRange(since_us, until_us)))

        return rehearse(
            parsed,
            stream.schema,
            _ahead(history.rows(stream.name, span=span, columns=_needed(parsed, stream))),
            lateness_s=config.stream(stream.name).lateness_s,
            keys_max=config.alerts.keys_max,
            identity=identity_tags(stream) if stream.dirty else None,
            baselines=Baselines(load_models(config.data_dir, models(reader)).baselines()),
            past=past,
            now_us=clock.now_us(),
            on_progress=on_progress,
        )


def _needed(rule: ParsedRule, stream: StreamState) -> set[str]:
    """The columns that a rule looks at, and the tags, by which records are the same one."""
    folded = {c.name for e in (rule.when, rule.clear) if e is not None for c in columns(e)} | {fold(c) for c in rule.options.by or ()}
    tags = set(stream.schema.tags) if _all_tags(rule, stream) else set()
    return tags | {c.name for c in stream.schema.columns if fold(c.name) in folded}


def _all_tags(rule: ParsedRule, stream: StreamState) -> bool:
    return rule.options.by is None or bool(stream.dirty)


def _ahead(parts: Iterator[Rows]) -> Iterator[Rows]:
    """Reads the next part while this one is looked at."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        following = pool.submit(next, parts, None)
        while (rows := following.result()) is not None:
            following = pool.submit(next, parts, None)
            yield rows


def transitions_json(found: Rehearsal) -> str:
    """Every transition as an object of one array: what of it is the same in a live run over the same records."""
    rows = [
        {
            "rule": t.rule,
            "key": dict(zip(found.by, t.key, strict=False)),
            "kind": t.kind,
            "old": t.old,
            "new": t.new,
            "at_us": t.at_us,
            "seq": t.seq,
            "values": t.values,
        }
        for t in found.transitions
    ]
    return msgspec.json.encode(rows).decode()


def _refuse(segment: Segment, reason: str) -> None:
    raise UsageRefused(f"{segment.path} {reason}; a rehearsal over part of the records would mislead; run: appliance verify")
