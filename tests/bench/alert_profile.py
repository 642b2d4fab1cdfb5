"""Where the time of the stream processor goes: the plan of the bench's rules over rounds as they come live, in this process alone.

    python -m tests.bench.alert_profile [--rules 100] [--devices 500] [--rows 500] [--rounds 600] [--hot-every-s 0.5] [--profile]

No service, no disk: what a round costs in processor time of this thread, and with ``--profile`` which functions take it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from appliance.alerting.rulebook import make_rulebook
from appliance.config import load_config
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.rules import facts_of
from appliance.hot.stream.applying import apply
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.plan import PlanOptions, StreamPlan, make_plan
from appliance.hot.stream.values import Rows
from appliance.records import TAG_TYPE, Column, Kind, Schema
from tests.bench.alert_rules import FIELDS, HOT, STREAM, name_of, rules
from tests.bench.report import note, percentile

SCHEMA = Schema(STREAM, (Column("device", Kind.TAG), *(Column(f, Kind.FLOAT) for f in FIELDS)), 1)
BEGIN_US = 1_760_000_000_000_000
LATENESS_US = 1_000_000


def plan_of(config: str) -> tuple[StreamPlan, AlertBook]:
    """The plan of a config's rules and a book that knows them."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        file = Path(folder) / "rules.toml"
        file.write_text(f'[notify.ops]\nurl = "file:{folder}/told"\n{config}')
        parsed = make_rulebook(load_config(data_dir=Path(folder), file=file)).streams[STREAM]
    plan = make_plan(SCHEMA, parsed, PlanOptions(LATENESS_US, 100_000, ("device",), Baselines(), lambda *_: ()))
    assert not plan.refused, plan.refused
    book = AlertBook()
    draft = Draft(book, now_us=BEGIN_US)
    facts = {r.name: facts_of(r.name, r.options, by=plan.rules[r.name], summary=r.summary, clock=STREAM) for r in parsed}
    draft.configure(facts, ("ops",))
    book.accept(draft.finish())
    return plan, book


def rounds(*, devices: int, rows: int, count: int, per_s: int, hot_every_s: float, lanes: int = 2) -> list[Rows]:
    """Rounds of ``rows`` records at ``per_s`` records a second of event time, as the plant of ``alert_load`` sends them: each lane has its
    own devices, whose records come in turn, and gives every ``lanes``-th round. One device is hot in one record every ``hot_every_s``."""
    values = np.random.default_rng(1)
    names = pa.array([name_of(d) for d in range(devices)])
    mine = devices // lanes
    steps = -(-rows // mine)
    found, hot_next, hot = [], 0.0, 0
    for number in range(count):
        lane, place = number % lanes, np.arange(rows)
        step = number // lanes * steps + place // mine
        who = lane + lanes * (place % mine)
        ts = BEGIN_US + step * (devices * 1_000_000 // per_s) + lane * (rows * 1_000_000 // per_s)
        device = pa.DictionaryArray.from_arrays(pa.array(who.astype(np.int32)), names).cast(TAG_TYPE)
        fields = values.normal(20, 3, (len(FIELDS), rows))
        if hot_every_s and number * rows / per_s >= hot_next:
            fields[0][np.flatnonzero(who == lane + lanes * (hot % mine))[-1:]] = HOT
            hot, hot_next = hot + 1, hot_next + hot_every_s
        columns = [pa.array(ts).cast(pa.timestamp("us")), device, *(pa.array(f) for f in fields)]
        data = pa.RecordBatch.from_arrays(columns, schema=SCHEMA.arrow)
        found.append(Rows(data, number * rows + place + 1))
    return found


def run(plan: StreamPlan, book: AlertBook, parts: list[Rows]) -> list[float]:
    """Milliseconds of processor time of each round."""
    spent = []
    for rows in parts:
        now_us = int(rows.ts[-1])
        started = time.thread_time()
        draft = Draft(book, now_us=now_us)
        apply(draft, plan, STREAM, plan.take(rows, now_us=now_us, now_ns=now_us * 1000))
        book.accept(draft.finish())
        spent.append((time.thread_time() - started) * 1e3)
    return spent


def main() -> None:
    """The command above."""
    parser = argparse.ArgumentParser(prog="tests.bench.alert_profile")
    for name, usual in (("rules", 100), ("devices", 500), ("rows", 500), ("rounds", 600), ("per-s", 20_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--hot-every-s", type=float, default=0.5)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    plan, book = plan_of(rules(given.rules))
    parts = rounds(devices=given.devices, rows=given.rows, count=given.rounds, per_s=given.per_s, hot_every_s=given.hot_every_s)
    warm = len(parts) // 2
    run(plan, book, parts[:warm])
    profile = cProfile.Profile()
    if given.profile:
        profile.enable()
    spent = run(plan, book, parts[warm:])
    profile.disable()
    a_second = given.per_s / given.rows
    mean = sum(spent) / len(spent)
    print(
        f"{given.rules} rules, {given.devices} devices, {given.rows} rows a round: mean {mean:.2f} ms, p50 {percentile(spent, 0.5):.2f},"
        f" p99 {percentile(spent, 0.99):.2f}, max {max(spent):.2f}; {mean * a_second / 10:.1f} % of a core at {given.per_s:,} records/s,"
        f" {given.rows / mean * 1e3:,.0f} records/s"
    )
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45).sort_stats("cumtime").print_stats(60)
    note("processor time of this thread")


if __name__ == "__main__":
    main()
