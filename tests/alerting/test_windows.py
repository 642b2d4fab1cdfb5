"""Rules over windows of every kind, through the whole service: what each fires with, repeats, records in several lines, lateness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import firing, steps, stretches, told, wait_phase, write
from tests.running import Running, wait_for


def rule(name: str, when: str, *more: str, stream: str = "readings") -> str:
    return "\n".join([f"[workload.{name}]", 'kind = "alert"', f'stream = "{stream}"', 'by = ["device"]', f'when = "{when}"', *more, ""])


OVER = 'over = "60s"'
LONG = 'nodata = "1d"'
RULES = "\n".join(
    [
        '[alerts]\ngrace = "100ms"\n[stream.readings]\nlateness = "5s"',
        rule("quantile", "quantile(t, 0.5) > 80 and count(*) = 5", OVER, LONG),
        rule("distinct", "count(distinct state) >= 3", OVER, LONG),
        rule("spread", "stddev(t) > 30", OVER, LONG),
        rule("edges", "last(t) - first(t) > 50 or last(state) = 'broken'", OVER, LONG),
        rule("rising", "rate(level) > 2", LONG),
        rule("falling", "rate(level) < -2", OVER, LONG),
        rule("jump", "delta(level) >= 10", LONG),
        rule("silent_pump", "time_since(pump = true) > 30", LONG),
        rule("tumbled", "sum(t) > 100", 'over = "10s"', 'window = "tumbling"', LONG),
        rule("session", "count(*) >= 3 and max(t) > 50", 'window = "session"', 'gap = "10s"', LONG),
        rule("rows", "count(*) >= 3", 'over = "100s"', LONG, stream="repeated"),
        rule("pair", "sum(a) > 5 and sum(b) > 5", OVER, LONG, stream="lines"),
        rule("late", "count(*) >= 3", OVER, LONG, stream="readings"),
        rule("absent", "", stream="beats").replace('when = ""', 'absent = "60s"'),
    ]
)


STRETCHES = stretches()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("windows")
    with told(folder, RULES) as (running, _hook):
        write(running, 'readings,device=all t=0,state="on",level=0,pump=true 0', after=next(STRETCHES))  # every column is there
        yield running


@pytest.fixture
def after() -> int:
    """A stretch of event time for this test alone, so that any order will do."""
    return next(STRETCHES)


def fired(running: Running, name: str, device: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_phase(running, "firing", device=device, rule=name)["values"]
    return found


def test_a_quantile_is_of_the_values_in_the_window(service: Running, after: int) -> None:
    write(service, *(f"readings,device=q t={t} {100 + i}" for i, t in enumerate((10, 90, 85, 20))), after=after)
    write(service, "readings,device=q t=88 104", after=after)
    assert fired(service, "quantile", "q") == {"quantile(t, 0.5)": 85.0, "count(*)": 5}


def test_different_values_are_counted_once(service: Running, after: int) -> None:
    write(service, *(f'readings,device=s state="{s}" {110 + i}' for i, s in enumerate(("on", "off", "on", "off"))), after=after)
    assert firing(service, "distinct", "s") == []
    write(service, 'readings,device=s state="broken" 115', after=after)
    assert fired(service, "distinct", "s") == {"count(distinct state)": 3}
    assert fired(service, "edges", "s")["last(state)"] == "broken"


def test_spread_first_and_last(service: Running, after: int) -> None:
    write(service, "readings,device=e t=10 120", "readings,device=e t=70 121", after=after)
    assert fired(service, "spread", "e")["stddev(t)"] == pytest.approx(42.426406871)
    assert fired(service, "edges", "e") == {"last(t)": 70.0, "first(t)": 10.0, "last(state)": None}


def test_changes_between_records_and_over_a_window(service: Running, after: int) -> None:
    write(service, "readings,device=l level=0 130", "readings,device=l level=5 132", after=after)
    assert fired(service, "rising", "l") == {"rate(level)": 2.5}
    write(service, "readings,device=l level=15 140", after=after)
    assert fired(service, "jump", "l") == {"delta(level)": 10.0}
    write(service, "readings,device=m level=100 141", "readings,device=m level=60 151", after=after)
    assert fired(service, "falling", "m") == {"rate(level)": -4.0}


def test_time_since_fires_although_only_others_send(service: Running, after: int) -> None:
    write(service, "readings,device=p pump=true 160", "readings,device=p pump=false 170", after=after)
    assert firing(service, "silent_pump", "p") == []
    write(service, "readings,device=z t=0 200", after=after)
    assert fired(service, "silent_pump", "p")["time_since(pump = true)"] > 30
    write(service, "readings,device=p pump=true 201", after=after)
    wait_for(lambda: [s["new"] for s in steps(service, "silent_pump", "p")] == ["firing", "ok"], what="the end")


def test_a_tumbling_window_is_judged_when_it_closes(service: Running, after: int) -> None:
    write(service, "readings,device=t t=60 211", "readings,device=t t=60 212", after=after)
    assert steps(service, "tumbled", "t") == []
    write(service, "readings,device=z t=0 226", after=after)
    assert fired(service, "tumbled", "t") == {"sum(t)": 120.0}
    assert steps(service, "tumbled", "t")[0]["at_us"] % 10_000_000 == 0


def test_a_session_window_goes_on_while_records_follow_each_other(service: Running, after: int) -> None:
    write(service, *(f"readings,device=w t={t} {s}" for s, t in ((300, 10), (305, 60), (330, 1), (335, 55))), after=after)
    write(service, "readings,device=z t=0 341", after=after)
    assert firing(service, "session", "w") == []
    write(service, "readings,device=w t=2 344", after=after)
    assert fired(service, "session", "w") == {"count(*)": 3, "max(t)": 55.0}


def test_a_batch_that_is_sent_twice_counts_once(service: Running) -> None:
    lines = ["repeated,device=r x=1 0", "repeated,device=r x=1 1"]
    for _ in range(3):
        write(service, *lines)
    write(service, "repeated,device=other x=1 2")
    wait_for(lambda: service.query("SELECT count(*) AS n FROM repeated")[0]["n"] == 3, what="three records")
    assert steps(service, "rows", "r") == []
    write(service, "repeated,device=r x=1 3")
    assert fired(service, "rows", "r") == {"count(*)": 3}


def test_fields_of_one_record_in_several_lines_are_one_record(service: Running) -> None:
    write(service, "lines,device=f a=3 0", "lines,device=f b=3 0", "lines,device=f a=3 1")
    write(service, "lines,device=f b=3 1")
    assert fired(service, "pair", "f") == {"sum(a)": 6.0, "sum(b)": 6.0}
    write(service, "lines,device=f b=3 1")
    write(service, "lines,device=f b=4 1")  # said anew
    write(service, "lines,device=f a=0 2")
    wait_for(lambda: service.query("SELECT count(*) AS n, sum(b) AS b FROM lines")[0] == {"n": 3, "b": 7.0}, what="three records")
    assert [s["new"] for s in steps(service, "pair", "f")] == ["firing"]


def test_within_the_lateness_a_record_counts_and_beyond_it_is_told_apart_too(service: Running, after: int) -> None:
    write(service, "readings,device=n t=1 400", "readings,device=n t=1 410", "readings,device=n t=1 407", after=after)
    assert fired(service, "late", "n") == {"count(*)": 3}
    assert [s["kind"] for s in steps(service, "late", "n")] == ["change"]
    write(
        service,
        "readings,device=o t=1 400",
        "readings,device=o t=1 470",
        "readings,device=o t=1 410",
        "readings,device=o t=1 405",
        after=after,
    )
    wait_for(lambda: [s["kind"] for s in steps(service, "late", "o")] == ["late"], what="what would have been")
    assert steps(service, "late", "o")[0]["learned_us"] > steps(service, "late", "o")[0]["at_us"]


def test_an_absent_device_fires_and_its_next_record_resolves(service: Running) -> None:
    write(service, "beats,device=a x=1 0", "beats,device=b x=1 0")
    write(service, "beats,device=b x=1 50", "beats,device=b x=1 100")
    wait_phase(service, "firing", device="a", rule="absent")
    write(service, "beats,device=a x=1 101")
    wait_for(lambda: [s["new"] for s in steps(service, "absent", "a")] == ["firing", "ok"], what="the end")
    assert steps(service, "absent", "b") == []
