"""Reports as people and programs meet them: over HTTP, on the command line, with a service and from a copied folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.cli.main import run
from tests.clock import NOON_US
from tests.http.report_desk import PATH
from tests.http.serving import Serving
from tests.reports.living import living
from tests.reports.test_issuing import HOURLY, fill
from tests.running import run_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A box that has issued two reports, one with a part that failed, and is not running."""
    root = tmp_path_factory.mktemp("box")

    async def issue() -> None:
        async with living(root, HOURLY, now_us=NOON_US) as box:
            fill(box)
            await box.run("hourly")
            await box.run("daily")

    asyncio.run(issue())
    return root


def command(folder: Path, *words: str) -> tuple[int, str, str]:
    done = run_command("report", *words, "--data-dir", str(folder / "data"), "--config", str(folder / "c.toml"))
    return done.returncode, done.stdout, done.stderr


def test_a_copied_folder_makes_reports_by_itself_and_changes_nothing(folder: Path, tmp_path: Path) -> None:
    before = sorted((p.relative_to(folder), p.stat().st_mtime_ns) for p in (folder / "data" / "reports").rglob("*"))
    out = tmp_path / "r.html"
    status, said, told = command(folder, "hourly", "--day", "2026-11-21", "-p", "device=d1", "-o", str(out))
    assert (status, said) == (0, ""), told
    assert "no service runs: made from what is stored" in told
    assert '<td class="number">24</td>' not in said
    assert "Of d1 on 2026-11-21." in out.read_text()
    assert "all up to _seq" in out.read_text()
    assert sorted((p.relative_to(folder), p.stat().st_mtime_ns) for p in (folder / "data" / "reports").rglob("*")) == before


def within(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """As ``command``, in this process: for what starts no engine, whose cage would stay."""
    status = run(["report", *words, "--data-dir", str(folder / "data"), "--config", str(folder / "c.toml")])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_list_names_what_can_be_made_and_what_was_issued(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = within(folder, capsys, "list")
    assert status == 0
    assert "hourly  day     on request  device=d1   By the hour" in said
    assert "daily   day     15 0 * * *" in said
    assert "reports/hourly/2026-11-21.r1.html" in said
    found = json.loads(within(folder, capsys, "list", "--json")[1])
    assert [i["name"] for i in found["issues"]] == ["daily", "hourly"]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("nowhere",), 2, "there is no report 'nowhere'; there are hourly, daily"),
        (("hourly", "--day", "2099-01-01"), 2, "has not begun"),
        (("hourly", "--issue"), 1, "no service runs on"),
        (("hourly", "-p", "device"), 2, "write NAME=VALUE"),
    ],
)
def test_what_can_t_be_done_is_said_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, told: str
) -> None:
    found = within(folder, capsys, *words)
    assert found[0] == status
    assert told in found[2]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("http") / "data") as started:
        yield started


def test_a_page_is_handed_out_so_that_a_browser_runs_nothing_in_it(serving: Serving) -> None:
    answer = serving.request("GET", f"/api/reports/file/{PATH}")
    assert (answer.status, answer.body) == (200, b"<!doctype html>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert serving.request("GET", "/api/reports/file/hot.sqlite").status == 404
    assert serving.request("GET", "/api/reports/file/reports/../hot.sqlite").status == 404


def test_over_http_reports_are_listed_made_and_issued(serving: Serving) -> None:
    assert serving.request("GET", "/api/reports").json == {"at_us": 0, "definitions": [], "issues": [], "truncated": 0}
    asked = {"name": "daily", "day": "today", "parameters": {"device": "d1"}, "format": "csv"}
    assert serving.request("POST", "/api/reports/render", json.dumps(asked).encode()).body == b"as csv"
    assert serving.request("POST", "/api/reports/issue", b'{"name":"daily"}').json == {
        "said": "daily 2026-11-21 revision 1",
        "issue": {"id": 1},
    }
    for wrong in (b"{}", b"[]", b'{"name":"daily","more":1}', b'{"name":"daily","parameters":{"a":1}}', b'{"name":"gone"}'):
        assert serving.request("POST", "/api/reports/issue", wrong).status == 400
