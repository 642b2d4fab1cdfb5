"""The text of a report: what is a block, with which options, and what is refused with its line."""

from __future__ import annotations

import pytest

from appliance.batching.report_definitions import check_blocks, check_reports, definitions_of
from appliance.cold.batch.reports import daily
from appliance.cold.batch.reports.document import Box, Chart, Query, Text, parse
from appliance.config import Config, load_config
from appliance.errors import ConfigRefused, UsageRefused
from tests.running import ROOT

TEXT = """# Head

```sql title="By device" key=device,hour rows=5
SELECT 1
```
between
```chart bar unit="°C" x=hour y=mean,peak by=device height=200
SELECT 2
```
```python
not ours
```
  - ```sql
    SELECT 'within a list'
    ```
```box disk title=Disk
```
"""


def test_blocks_are_fences_of_the_first_level_and_the_rest_is_text() -> None:
    found = parse(TEXT)
    assert [type(b) for b in found] == [Text, Query, Text, Chart, Text, Box]
    assert found[1] == Query("SELECT 1", "By device", ("device", "hour"), 5)
    assert found[3] == Chart("SELECT 2", "bar", unit="°C", x="hour", y=("mean", "peak"), by=("device",), height=200)
    assert found[5] == Box("disk", "Disk")
    assert "not ours" in found[4].markdown  # type: ignore[union-attr]  # the claim above
    assert parse("only text") == (Text("only text"),)
    assert parse("") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a\n\n```chart pie\nSELECT 1\n```", "line 3: a chart is one of line, bar, area, not 'pie'"),
        ("```chart tilte=x\nSELECT 1\n```", "line 1: chart has no option 'tilte'; did you mean 'title'?"),
        ("```sql\n\n```", "line 1: the block holds no SQL"),
        ("```sql rows=0\nSELECT 1\n```", "line 1: rows='0' is no whole number from 1 to 20000"),
        ("```sql bare\nSELECT 1\n```", "line 1: 'bare' is no option of sql"),
        ("```box nothing\n```", "line 1: box is followed by one of"),
        ('```sql title="x\nSELECT 1\n```', "line 1: .*no closing quotation"),
    ],
)
def test_a_block_that_can_t_be_understood_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(UsageRefused, match=why):
        parse(text)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('text = "```sql\\nSELECT {dya}\\n```"', r"workload.r.text: \{dya\} is no parameter"),
        ("sql = \"SELECT '{day}'\"", "workload.r.sql: {day} stands within quotes"),
        ('sql = "SELECT 1"\nparameters = { day = "x" }', "workload.r.parameters: 'day' is there without being declared"),
        ('text = "```box x\\n```"', "workload.r.text: line 1: box"),
    ],
)
def test_a_config_with_a_report_that_can_t_be_made_is_refused(tmp_path: object, lines: str, why: str) -> None:
    with pytest.raises(ConfigRefused, match=why):
        check_reports(config(lines))


def config(lines: str) -> Config:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "c.toml"
        file.write_text(f'[workload.r]\nkind = "report"\n{lines}\n')
        return load_config(data_dir=ROOT, file=file, environment={})


def test_the_daily_report_is_there_unless_the_config_has_its_own_or_wants_none() -> None:
    assert definitions_of(config('sql = "SELECT 1"'))["daily"].is_built_in
    assert "daily" not in definitions_of(
        Config(data_dir=ROOT, batch=load_config(data_dir=ROOT, file=None, environment={}).batch.__class__(daily_report=False))
    )


def test_the_daily_report_of_any_streams_is_one_that_can_be_parsed() -> None:
    names = ['odd "name"', "it's", "{day}", "```", "<b>", "host_cpu"]
    streams = [daily.StreamName(n, frozenset({"busy"}), 10) for n in names]
    for some in ([], streams, [daily.StreamName(f"s{n}", frozenset(), n) for n in range(150)]):
        blocks = parse(daily.text(some))
        check_blocks(blocks, {})
    said = daily.text(streams)
    assert '"odd ""name"""' in said
    assert "'it''s'" in said
    assert "1 of 6 streams are left out" in said
