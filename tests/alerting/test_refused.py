"""What can't be understood is refused when the config is loaded, with the column of the mistake, wherever the config is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.hot.stream.rules import RuleRefused, parse_rule
from appliance.workload_options import AlertOptions
from tests.running import Running, run_command

OVER: dict[str, Any] = {"over_s": 10.0}


@pytest.mark.parametrize(
    ("when", "more", "column", "why"),
    [
        ("temperature >", {}, 14, "found the end"),
        ("avg(temperature) > 80", {}, 1, "needs a window"),
        ("temperature > 80", OVER, 1, "no aggregate"),
        ("avg(temperature) > 'hot'", OVER, 20, "can't be compared"),
        ("count(*) > 'x'", OVER, 12, "can't be compared"),
        ("rate(temperature) > 'x'", {}, 21, "can't be compared"),
        ("temperature > 5 and temperature = 'x'", {}, 35, "can't be compared"),
        ("temperature between 'a' and 5", {}, 29, "can't be compared"),
        ("avg(temperature)", OVER, 1, "not a condition"),
        ("temperature > 5 and 5", {}, 21, "takes conditions"),
        ("temperature = null", {}, 15, "temperature is null"),
        ("avg(temperature > 5) > 2", OVER, 17, "takes numbers"),
        ("averag(temperature) > 2", OVER, 1, "no function"),
        ("other.temperature > 2", {}, 1, "another stream"),
    ],
)
def test_a_condition_that_no_columns_could_make_right_is_refused_by_its_text(
    when: str, more: dict[str, Any], column: int, why: str
) -> None:
    with pytest.raises(RuleRefused, match=f"workload.x.when column {column}: .*{why}"):
        parse_rule("x", AlertOptions(stream="readings", when=when, **more))


@pytest.mark.parametrize(
    ("when", "more"),
    [
        ("online", {}),
        ("not online and temperature > 5", {}),
        ("first(state) = 'on' and max(level) > 3", OVER),
        ("state = 'on' and lower(state) != 'x'", {}),
        ("a = b and coalesce(a, 'x') = 'x'", {}),
        ("temperature > 1 / 0", {}),
        ("count(distinct state) > 2 or last(online)", OVER),
    ],
)
def test_what_some_columns_make_right_is_taken(when: str, more: dict[str, Any]) -> None:
    assert parse_rule("x", AlertOptions(stream="readings", when=when, **more)).when is not None


_RULE = '[workload.{}]\nkind = "alert"\nstream = "readings"\nwhen = "x > 1"\ninhibited_by = ["{}"]\n'
REFUSED = {
    "ring": ("".join(_RULE.format(a, b) for a, b in ("ab", "bc", "ca")), '"a" by "b" by "c" by "a"'),
    "when": ('[workload.hot]\nkind = "alert"\nstream = "readings"\nwhen = "temperature > > 80"\n', "column 15"),
    "types": ('[workload.hot]\nkind = "alert"\nstream = "readings"\nwhen = "rate(temperature) > \'x\'"\n', "column 21"),
    "field": ('[workload.stay]\nkind = "session"\nstream = "r"\ngap = "10s"\nfields = { peak = "max(" }\n', "column 5"),
    "channel": ('[notify.ops]\nurl = "json//nowhere"\n', "notify.ops"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_check_config_and_run_refuse_the_same_with_status_2(tmp_path: Path, case: str) -> None:
    text, said = REFUSED[case]
    file = tmp_path / "bad.toml"
    file.write_text(text)
    checked = run_command("check-config", "--config", str(file), "--data-dir", str(tmp_path / "data"))
    assert (checked.returncode, checked.stdout) == (2, "")
    assert said in checked.stderr
    assert str(file) in checked.stderr
    assert len(checked.stderr.strip().splitlines()) == 1


def test_run_refuses_a_bad_rule_before_anything_is_made(tmp_path: Path) -> None:
    running = Running(tmp_path / "data", config=REFUSED["when"][0]).start(wait=False)
    assert running.process is not None
    assert running.process.wait(30) == 2
    assert "column 15" in running.said()
    assert not (tmp_path / "data" / "hot.sqlite").exists()
