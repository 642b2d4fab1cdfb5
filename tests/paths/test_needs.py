"""What the config says of needs, what a kind needs by itself, and what a query's words tell."""

from __future__ import annotations

from pathlib import Path as File

import pytest

from appliance.config import load_config
from appliance.errors import ConfigRefused
from appliance.need_options import NeedsOptions
from appliance.paths.budgets import budget_ms
from appliance.paths.complexity import complexity
from appliance.paths.defaults import RUNS_ON, kind_of, needs_of
from appliance.paths.needs import Needs
from appliance.paths.rules import assign
from appliance.workload_options import WORKLOAD_KINDS

CONFIG = """
[workload.rule]
kind = "alert"
stream = "room"
when = "temperature > 30"
[workload.stretches]
kind = "session"
stream = "room"
gap = "1min"
[workload.hourly]
kind = "view"
bucket = "1h"
every = "1min"
sql = "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, avg(temperature) AS mean FROM room GROUP BY ALL"
[workload.copied]
kind = "job"
every = "30s"
table = "copied"
sql = "SELECT * FROM room"
[workload.summed]
kind = "job"
table = "summed"
schedule = "0 1 * * *"
sql = "SELECT device, sum(energy) FROM room GROUP BY device"
[workload.program]
kind = "job"
command = ["true"]
[workload.morning]
kind = "report"
schedule = "0 6 * * *"
text = "Nothing."
[workload.learned]
kind = "training"
stream = "room"
column = "temperature"
[workload.bundle]
kind = "audit"
"""


def workloads(tmp_path: File, text: str) -> dict[str, NeedsOptions]:
    file = tmp_path / "appliance.toml"
    file.write_text(text)
    return dict(load_config(data_dir=tmp_path, file=file, environment={}).workloads)


@pytest.mark.parametrize(
    ("name", "freshness_s", "staleness_s", "is_complex", "path", "budget"),
    [
        ("rule", 1, 1, False, "hot", 1_000),
        ("stretches", 1, 1, False, "hot", 1_000),
        ("hourly", 5, 60, True, "hybrid", 5_000),
        ("copied", 30, 30, False, "cold", 30_000),
        ("summed", 86_400, 86_400, True, "cold", 600_000),
        ("program", 86_400, 86_400, True, "cold", 600_000),
        ("morning", 86_400, 86_400, True, "cold", 600_000),
        ("learned", 86_400, 86_400, True, "cold", 600_000),
        ("bundle", 86_400, 86_400, True, "cold", 600_000),
    ],
)
def test_each_kind_has_needs_of_its_own(
    tmp_path: File, name: str, freshness_s: float, staleness_s: float, is_complex: bool, path: str, budget: float
) -> None:
    options = workloads(tmp_path, CONFIG)[name]
    needs = needs_of(name, options)
    assert (needs.freshness_s, needs.staleness_s, needs.is_complex, needs.records) == (freshness_s, staleness_s, is_complex, None)
    kind = kind_of(options)
    assert (assign(needs, runs_on=RUNS_ON[kind]).path, budget_ms(kind, needs)) == (path, budget)


def test_every_kind_says_where_it_can_run() -> None:
    assert set(WORKLOAD_KINDS) <= set(RUNS_ON)


NEEDS = """
waiting = true
triggers = true
session_bound = true
freshness = "3s"
staleness = "2min"
records = 20_000
complex = false
nature = "search"
"""


def test_every_need_can_be_said_of_every_kind(tmp_path: File) -> None:
    text = CONFIG.replace("]\nkind =", f"]{NEEDS}kind =")
    wanted = Needs(
        waiting=True, triggers=True, session_bound=True, freshness_s=3, staleness_s=120, records=20_000, is_complex=False, nature="search"
    )
    assert {name: needs_of(name, options) for name, options in workloads(tmp_path, text).items()} == dict.fromkeys(
        workloads(tmp_path, CONFIG), wanted
    )


@pytest.mark.parametrize(
    ("said", "freshness_s", "staleness_s"),
    [
        ('freshness = "10min"', 600, 600),
        ('freshness = "2s"', 2, 2),
        ('staleness = "1h"', 3_600, 3_600),
        ('freshness = "1min"\nstaleness = "1h"', 60, 3_600),
    ],
)
def test_what_is_said_of_freshness_or_staleness_goes_for_the_other_too(
    tmp_path: File, said: str, freshness_s: float, staleness_s: float
) -> None:
    text = CONFIG.replace('table = "summed"', f'table = "summed"\n{said}')
    needs = needs_of("summed", workloads(tmp_path, text)["summed"])
    assert (needs.freshness_s, needs.staleness_s) == (freshness_s, staleness_s)


def test_an_answer_that_is_to_be_fresher_than_what_it_knows_is_refused(tmp_path: File) -> None:
    for name in workloads(tmp_path, CONFIG):
        text = CONFIG.replace(f"[workload.{name}]", f'[workload.{name}]\nfreshness = "1min"\nstaleness = "1s"')
        with pytest.raises(ConfigRefused, match=rf"workload\.{name}\.staleness must be at least freshness"):
            workloads(tmp_path, text)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM room", ()),
        ("SELECT avg(temperature) FROM room WHERE ts > now() - INTERVAL '5 minutes'", ()),
        ("SELECT device, avg(t) FROM room GROUP BY device", ("groups",)),
        ("select d from room\n  group\tby all order by 1", ("groups", "sorts")),
        ("SELECT * FROM a JOIN b USING (ts)", ("joins",)),
        ("SELECT row_number() OVER (ORDER BY ts) FROM room", ("sorts", "ranks")),
        ("SELECT lag(t) OVER w FROM room WINDOW w AS ()", ("ranks",)),
        ("SELECT DISTINCT device FROM room", ("tells apart",)),
        ("SELECT 1 UNION ALL SELECT 2", ()),
        ("SELECT 1 UNION SELECT 2", ("tells apart",)),
        ("SELECT quantile_cont(t, 0.5), median(t) FROM room", ("takes quantiles",)),
        ("SELECT 'it''s GROUP BY', \"order by\" FROM room -- JOIN\n /* DISTINCT */", ()),
        ("SELECT grouped, joined, orders, overall FROM room", ()),
    ],
)
def test_what_makes_a_query_complex_is_read_off_its_words(sql: str, found: tuple[str, ...]) -> None:
    assert complexity(sql) == found
