"""A report as HTML, Markdown, CSV and JSON: what stands in a cell is data in each of them. The page in a real browser."""

from __future__ import annotations

import csv
import html
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from appliance.cold.batch.reports.data import as_csv, as_json
from appliance.cold.batch.reports.document import Chart, Query
from appliance.cold.batch.reports.forms import FORMATS, rendered
from appliance.cold.batch.reports.markdown import as_markdown
from appliance.cold.batch.reports.page import as_html
from appliance.cold.batch.reports.scales import number_marks, time_marks
from appliance.cold.batch.reports.series import drawn
from appliance.cold.batch.reports.svg import svg
from appliance.cold.batch.reports.tables import plain_table
from appliance.cold.batch.reports.values import Change, Difference, Part, PartChange
from tests.reports.browser import BROWSER, MISSING, run
from tests.reports.making import BERLIN, HEAD, HOSTILE, HOUR, PERIOD, course, report

DIFFERENCE = Difference(1, (PartChange("By device", (Change("changed", {"device": HOSTILE}, {"n": 2}, {"n": 3}),), more=4),))


def test_a_page_says_how_complete_it_is_and_what_failed_and_runs_nothing() -> None:
    page = as_html(report(revision=2, difference=DIFFERENCE), BERLIN)
    for said in (
        "1 of 4 parts could not be answered",
        "Incomplete: stream readings: 5 records",
        "readings 2026-11-21",
        "Revision 2. Against revision 1 differs: 5 rows of By device",
        "What differs from revision 1",
        "4 more rows",
        "Broken could not be answered: Binder Error: no column &quot;nothing&quot;",
        "<td>4711</td>",
        "2026-11-21 23:59:59",
        "the day has 24 hours",
        html.escape(HOSTILE),
    ):
        assert said in page, said
    assert "<script" not in page
    assert "<img" not in page
    assert "This day is not over: it holds what had come by 2026-11-22 01:00:00" in as_html(report(is_over=False), BERLIN)


def test_markdown_is_read_as_it_stands_and_no_cell_is_markup() -> None:
    told = as_markdown(report(parts=[Part(Query("", "T | x"), plain_table((("a|b", "text"),), [("x|y\n`z`",)])), *report().parts]), BERLIN)
    assert "### T \\| x" in told
    assert "| a\\|b |" in told
    assert "| x\\|y \\`z\\` |" in told
    assert "\\<script\\>" in told
    assert '> **Broken could not be answered: Binder Error: no column "nothing"**' in told
    assert "# The day of \\<b\\>d1\\</b\\>" in told
    assert any("▁" in line and "last" in line and line.startswith("d1") for line in told.splitlines())


def test_csv_and_json_hold_everything_in_utc() -> None:
    one = report(parts=[Part(Query("", "T"), course(["=1+1"], hours=1))])
    assert list(csv.reader(io.StringIO(as_csv(one)))) == [["hour", "device", "mean"], ["2026-11-20T23:00:00Z", "=1+1", "20.0"]]
    several = as_csv(report()).split("\n\n")
    assert several[0].startswith("# By device\ndevice,n,newest\nd1,4711,2026-11-21T22:59:59.999999Z\n")
    assert several[3] == '# Broken\n# failed: Binder Error: no column "nothing"'
    found: dict[str, Any] = json.loads(as_json(report(revision=2, difference=DIFFERENCE)))
    assert (found["day"], found["since"], found["revision"], found["failed"]) == ("2026-11-21", "2026-11-20T23:00:00Z", 2, 1)
    assert found["streams"] == [
        {"stream": "readings", "seq": 4711, "records": 4714, "newest": "2026-11-21T22:59:59.999999Z", "dirty": ["2026-11-21"]}
    ]
    assert found["parts"][1]["rows"][1] == [HOSTILE, 3, None]
    assert found["difference"]["parts"][0]["changes"][0]["was"] == {"n": 2}


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_day_and_infinite_numbers_have_every_form(form: Any) -> None:
    odd = plain_table((("x", "text"), ("y", "number")), [("a", float("nan")), ("b", float("inf")), ("c", None), ("d", 10**30)])
    parts = [
        Part(Query("", "Empty"), plain_table(HEAD, [])),
        Part(Chart("", title="No points"), plain_table(HEAD, [])),
        Part(Chart("", "bar", title="Odd"), odd),
        Part(Chart("", title="No numbers"), plain_table((("x", "text"), ("y", "text")), [("a", "b")])),
        Part(Chart("", title="None"), plain_table((), [])),
        Part(Query("", "Odd too"), odd),
    ]
    assert rendered(report(parts), form, BERLIN)


@pytest.mark.parametrize(
    ("since", "until", "count", "words"),
    [
        (
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            9,
            ["25 Oct", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "26 Oct"],
        ),
        ("2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", 6, ["01:00", "02:00", "02:00", "03:00", "04:00"]),
        ("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z", 4, ["01:00", "03:00", "04:00", "05:00"]),
        ("2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z", 6, ["2 Nov", "3 Nov", "4 Nov", "5 Nov"]),
        ("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z", 6, ["Jan 2026", "Mar 2026", "May 2026", "Jul 2026", "Sep 2026", "Nov 2026"]),
    ],
)
def test_marks_of_a_time_axis_are_round_local_times(since: str, until: str, count: int, words: list[str]) -> None:
    from datetime import datetime

    low, high = (round(datetime.fromisoformat(t).timestamp() * 1_000_000) for t in (since, until))
    found = time_marks(low, high, BERLIN, count=count)
    shown = [w for _, w in found]
    assert shown == words or shown == words[1:], shown
    assert [at for at, _ in found] == sorted({at for at, _ in found})


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.1, 0.2, [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]),
        (5, 5, [4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6]),
        (-3, 900, [-200, 0, 200, 400, 600, 800, 1000]),
    ],
)
def test_marks_of_numbers_are_round_and_cover_them(low: float, high: float, marks: list[float]) -> None:
    assert [round(m, 9) for m in number_marks(low, high)] == marks


def test_a_chart_breaks_at_gaps_and_keeps_within_its_frame() -> None:
    picture = svg(drawn(course(), Chart("")), width=760, height=260, zone=BERLIN, label="x", span_us=(PERIOD.since_us, PERIOD.until_us))
    tree = ET.fromstring(picture)  # noqa: S314 - our own
    paths = [p.get("d") or "" for p in tree.iter("{http://www.w3.org/2000/svg}path") if "line" in (p.get("class") or "")]
    assert len(paths) == 4, "two devices, each before and after the gap"
    places = [tuple(map(float, pair.split())) for path in paths for pair in path[1:].split("L")]
    assert all(0 <= x <= 760 and 0 <= y <= 260 for x, y in places)
    words = ["".join(t.itertext()) for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert HOSTILE[:25] + "…" in words
    assert "21 Nov" in words


def test_twenty_thousand_points_become_a_picture_of_some_kilobytes_that_keeps_its_peak() -> None:
    rows = [(PERIOD.since_us + n * 4_000_000, "d", 1.0 + (500.0 if n == 7_777 else 0)) for n in range(20_000)]
    picture = svg(drawn(plain_table(HEAD, rows), Chart("")), width=760, height=260, zone=BERLIN, label="x")
    assert len(picture) < 60_000
    assert "600" in picture


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="rsvg-convert is not installed (package librsvg2-bin)")
def test_a_drawing_is_one_for_other_viewers_too(tmp_path: Path) -> None:
    for kind in ("line", "bar", "area"):
        file = tmp_path / f"{kind}.svg"
        file.write_text(svg(drawn(course(), Chart("", kind)), width=760, height=260, zone=BERLIN, label=HOSTILE))
        done = subprocess.run(["rsvg-convert", str(file), "-o", str(tmp_path / f"{kind}.png")], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{kind}.png").stat().st_size > 2_000


@pytest.mark.skipif(BROWSER is None, reason=MISSING)
def test_in_a_browser_nothing_is_fetched_or_run_and_nothing_is_wider_than_a_phone(tmp_path: Path) -> None:
    wide = plain_table(tuple((f"column_{n}", "text") for n in range(12)), [tuple("x" * 30 for _ in range(12))])
    long = plain_table((("device", "text"), ("n", "number")), [("y" * 300, 1)])
    parts = [*report().parts, Part(Query("", "Wide"), wide), Part(Query("", "Long"), long), Part(Chart("", "bar", "Bars"), course(["d1"]))]
    page = as_html(report(parts, revision=2, difference=DIFFERENCE), BERLIN)
    found = looked_at(page, tmp_path)
    assert sorted(found) == ["360", "900"]
    for width, seen in found.items():
        assert seen["title"] == "The day of <b>d1</b> · 2026-11-21"
        assert seen["fetched"] == []
        assert seen["scripts"] == 0
        assert seen["overflow"] <= int(width)
        assert seen["tables"] >= 6
        assert HOSTILE in seen["cells"]
        shown = [c for c in seen["charts"] if c["width"]]
        assert len(seen["charts"]) == 4
        assert len(shown) == 2, "each chart is shown once, as fits the width"
        assert all(c["height"] > 150 and c["width"] <= int(width) and c["shapes"] >= 1 for c in shown)
        assert {c["kind"] for c in shown} == {"narrow" if width == "360" else "wide"}


def looked_at(page: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What a browser makes of a page at two widths: in frames, since the page itself lets no script in."""
    frame = '<iframe id="w{0}" width="{0}" height="900" srcdoc="{1}"></iframe>'
    script = """
    addEventListener('load', () => {
      const found = {};
      for (const frame of document.querySelectorAll('iframe')) {
        const page = frame.contentDocument, view = frame.contentWindow;
        found[frame.width] = {
          title: page.title, scripts: page.scripts.length, overflow: page.documentElement.scrollWidth,
          fetched: view.performance.getEntriesByType('resource').map(e => e.name),
          tables: page.querySelectorAll('table').length, cells: [...page.querySelectorAll('td')].map(c => c.textContent),
          charts: [...page.querySelectorAll('svg')].map(s => ({kind: s.classList[1], width: s.getBoundingClientRect().width,
            height: s.getBoundingClientRect().height, shapes: s.querySelectorAll('.line,.bar,.area').length})),
        };
      }
      document.body.innerHTML = '';
      const out = document.createElement('pre');
      out.textContent = JSON.stringify(found);
      document.body.append(out);
    });
    """
    harness = folder / "harness.html"
    frames = "".join(frame.format(width, html.escape(page)) for width in (360, 900))
    harness.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{script}</script></body>", "utf-8")
    dom = run(harness, "--dump-dom", "--virtual-time-budget=5000", "--window-size=1400,1000")
    found: dict[str, dict[str, Any]] = json.loads(html.unescape(dom.split("<pre>")[1].split("</pre>")[0]))
    return found


def test_the_bars_of_a_day_are_its_hours() -> None:
    picture = drawn(course(["d1"], hours=3, gap=range(0)), Chart("", "bar"))
    assert [x for s in picture.series for x, _ in s.points] == [PERIOD.since_us + n * HOUR for n in range(3)]
