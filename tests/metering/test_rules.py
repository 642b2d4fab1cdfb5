"""What is decided of latencies and costs: budgets, verdicts as alerts, shares, trials, wear. Tables and properties, no service."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.alerting.budget_rule import BY, RULE, budget_facts, follow_budgets, missed_budgets
from appliance.clock import US_PER_S
from appliance.config import Config, load_config
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.values import Phase
from appliance.metering.process import shared
from appliance.metering.trial import Run, sides_of
from appliance.observe.budgets import Verdict, budgets_of, verdicts
from appliance.observe.costs import Spent
from appliance.observe.histogram import Histogram, bucket_of
from appliance.observe.latencies import ALERTS
from appliance.observe.meter_pictures import wear_of
from appliance.observe.tiers import Entry
from appliance.paths.needs import Needs
from appliance.serving.meter_rows import stored_costs, stored_latency
from tests.clock import NOON_US

HOUR_US = 3600 * US_PER_S
READY = ("daily", "ready")


def config(folder: Path, text: str) -> Config:
    """A config of this text."""
    file = folder / "box.toml"
    file.write_text(text)
    return load_config(data_dir=folder / "data", file=file)


@pytest.mark.parametrize(
    ("workload", "stages"),
    [
        ('kind = "alert"\nstream = "s"\nwhen = "v > 1"', {"evaluated": 1_000.0, "committed": 1_000.0, "handed over": 1_000.0}),
        ('kind = "alert"\nstream = "s"\nwhen = "v > 1"\ngroup_wait = "30s"', {"handed over": 30_500.0}),
        ('kind = "alert"\nstream = "s"\nwhen = "v > 1"\nfreshness = "200ms"', {"evaluated": 200.0, "handed over": 200.0}),
        ('kind = "alert"\nsql = "SELECT 1"\nevery = "10s"', {"evaluated": 10_000.0}),
        ('kind = "job"\nsql = "SELECT 1 AS n"\ntable = "t"\nevery = "1h"', {"ready": 600_000.0}),
        ('kind = "job"\nsql = "SELECT 1 AS n"\ntable = "t"\nfreshness = "30s"', {"ready": 30_000.0}),
        ('kind = "job"\nsql = "SELECT 1 AS n"\ntable = "t"\nnature = "analysis"', {"first pass": 3_000.0, "refined": 30_000.0}),
        ('kind = "session"\nstream = "s"\ngap = "1min"', {}),
    ],
)
def test_budgets_follow_from_kind_and_needs(tmp_path: Path, workload: str, stages: dict[str, float]) -> None:
    found = budgets_of(config(tmp_path, f"[workload.w]\n{workload}\n").workloads)
    of_it = {stage: ms for (name, stage), ms in found.items() if name == "w"}
    assert stages.items() <= of_it.items()
    assert bool(stages) == bool(of_it)
    assert found[(ALERTS, "committed")] == 1_000.0


def test_the_99th_of_a_hundred_may_be_late_and_the_98th_may_not() -> None:
    def judged(late: int) -> bool:
        counts = {bucket_of(10.0): 100 - late, bucket_of(2_000.0): late}
        [verdict] = verdicts({READY: 1_000.0}, {READY: Histogram.of(counts, 2_000.0)})
        return verdict.is_missed

    assert [judged(n) for n in (0, 1, 2)] == [False, False, True]
    assert verdicts({READY: 1_000.0}, {}) == []


def test_a_missed_budget_fires_once_stays_while_nothing_is_known_and_is_resolved_by_the_first_that_is_met(tmp_path: Path) -> None:
    told = config(tmp_path, '[notify.a]\nurl = "file:a"\n[workload.w]\nkind = "alert"\nstream = "s"\nwhen = "v > 1"\nnotify = ["a"]\n')
    assert budget_facts(told).notify == ("a",)
    book = AlertBook(instances=[], silences=[], known={}, silence_id=0)
    first = Draft(book, now_us=NOON_US)
    first.configure({RULE: budget_facts(told)}, ["a"])
    book.accept(first.finish())
    late, good = Verdict(READY, 1500.0, 1000.0, 1), Verdict(READY, 10.0, 1000.0, 5)
    steps: list[tuple[str, int]] = []
    rounds: list[tuple[list[Verdict], dict[tuple[str, str], float]]] = [
        ([late], {READY: 1000.0}),
        ([late], {READY: 1000.0}),
        ([], {READY: 1000.0}),
        ([good], {READY: 1000.0}),
        ([good], {READY: 1000.0}),
        ([late], {READY: 1000.0}),
        ([], {}),  # it has no budget any more
        ([late], {READY: 1000.0}),
        ([], {READY: 2000.0}),  # what it was raised for is within the budget now
    ]
    for at, (found, budgets) in enumerate(rounds):
        draft = Draft(book, now_us=NOON_US + at * 60 * US_PER_S)
        follow_budgets(draft, found, budgets=budgets, now_us=draft.now_us)
        plan = draft.finish()
        steps += [(t.new, at) for t in plan.transitions]
        assert all(p.item.summary for p in plan.parcels)
        book.accept(plan)
        assert [v.key for v in missed_budgets(book)] == ([READY] if steps[-1][0] is Phase.FIRING else [])
    assert steps == [(Phase.FIRING, 0), (Phase.OK, 3), (Phase.FIRING, 5), (Phase.OK, 6), (Phase.FIRING, 7), (Phase.OK, 8)]
    assert budget_facts(told).by == BY


@given(
    st.floats(0, 10),
    st.dictionaries(
        st.sampled_from("abc"),
        st.tuples(st.integers(0, 1000), st.integers(0, 100), st.lists(st.sampled_from("xyz"), unique=True)),
    ),
)
def test_what_is_shared_out_is_all_of_it(cpu_s: float, streams: dict[str, tuple[int, int, list[str]]]) -> None:
    spans = {name: (time, rows) for name, (time, rows, _) in streams.items()}
    found = shared(cpu_s, spans, {name: tuple(names) for name, (_, _, names) in streams.items()})
    assert sum(s.cpu_s for s in found.values()) == pytest.approx(cpu_s, abs=1e-6)


def test_a_side_costs_its_run_as_often_as_the_needs_ask() -> None:
    needs = Needs(freshness_s=4.0, staleness_s=60.0)
    hot, cold, hybrid = sides_of(needs, Run(2.0, 0.002, 10, 0), Run(50.0, 0.05, 1000, 5), path="cold")
    assert (hot.runs_day, hot.cpu_s_day) == (21_600.0, 43.2)
    assert (cold.runs_day, cold.cpu_s_day, cold.is_current) == (1_440.0, 72.0, True)
    assert hybrid.cpu_s_day == pytest.approx(43.2 + 0.05 * 288)


def test_a_card_lasts_its_endurance_over_what_is_written() -> None:
    wear = wear_of(1_000_000, 86_400 / 2, 730_500_000_000)
    assert wear.bytes_per_day == 2_000_000
    assert wear.years_left == pytest.approx(1000.0)
    assert wear_of(0, 60.0, 10).years_left is None
    assert wear_of(5, 60.0, None).years_left is None


def test_stored_rows_cover_each_time_once_and_say_what_was_missed() -> None:
    day_us = NOON_US - NOON_US % (24 * HOUR_US)
    key = ("daily", "cold")

    def spent(at_us: int, span_s: int) -> Entry[Spent]:
        return Entry(at_us, span_s, key, Spent(rows=1))

    hours = [spent(day_us - 24 * HOUR_US + n * HOUR_US, 3600) for n in range(20, 26)]
    minutes = [spent(day_us + HOUR_US, 60), spent(day_us + 2 * HOUR_US, 60), spent(day_us + 2 * HOUR_US, 60)]
    days = [spent(day_us - n * 24 * HOUR_US, 86_400) for n in (1, 2)]
    rows = stored_costs([*hours, *minutes, *days])
    begins = [(r[0], r[1], r[7]) for r in rows]
    assert begins == [
        (day_us - 48 * HOUR_US, 86_400, 1),
        (day_us - 24 * HOUR_US, 86_400, 1),
        (day_us, 3600, 1),
        (day_us + HOUR_US, 3600, 1),
        (day_us + 2 * HOUR_US, 60, 2),
    ]
    held = Histogram.of({bucket_of(2_000.0): 1}, 2_000.0)
    [hour, day] = stored_latency([Entry(day_us, 60, READY, held), Entry(day_us + 60 * US_PER_S, 60, ("w", "x"), held)], {READY: 5.0})[:2]
    assert (hour[2], hour[8]) == ("hour", True)
    assert (day[2], day[6]) == ("day", 1)
    assert stored_latency([], {}) == []
