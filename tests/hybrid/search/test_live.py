"""A word that was written is found by everybody who may ask, wherever its record has got to, until the record is deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from appliance.hybrid.search.sealed.building import Task, build
from appliance.hybrid.search.sealed.shelf import Shelf
from appliance.serving.folder import open_folder
from tests.running import Running, run_command, wait_for

CONFIG = '[roll]\nevery = "300ms"\n'
THEN_US = 1_700_000_000_000_000
NASTY = [
    "'; DROP TABLE stream; --",
    '") OR rowid MATCH "x',
    "NEAR(a b, 3)",
    "{a b}: c",
    "^x",
    "a\0b",
    "\u202eabc",
    "x" * 1_900,
    "((((",
    "%",
    "\\",
    "*",
]


def search(service: Running, words: str, **more: str) -> dict[str, Any]:
    status, body = service.request("GET", "/api/search?" + urlencode({"q": words, **more}))
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def found(service: Running, words: str) -> list[str]:
    """The texts that are found."""
    return [hit["snippet"] for hit in search(service, words)["hits"] if hit["kind"] == "record"]


def index(service: Running) -> dict[str, Any]:
    rows = json.loads(service.request("GET", "/api/search/status")[1])["indexes"]
    return next((row for row in rows if row["stream"] == "log"), {"sealed_records": 0, "files": 0})


def seal(service: Running) -> None:
    """As the process of batch work does, which has to wait its turn on a busy machine."""
    with open_folder(service.folder) as (_, state):
        missing = Shelf(service.folder).missing(state.streams["log"], ("message",))
    assert build(Task(str(service.folder), tuple(missing), 16 << 20)).built == 1


def test_a_written_word_is_found_until_it_is_deleted(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", config=CONFIG).start()
    folder = ("--data-dir", str(service.folder), "--config", str(service.config_file))
    try:
        assert service.write(f'log,host=a message="the Quetzal has landed" {THEN_US}') == 204
        assert found(service, "quetzal") == ["the Quetzal has landed"]
        wait_for(lambda: service.query("SELECT count(*) AS n FROM log_cold")[0]["n"] == 1, what="the roll")
        assert found(service, "quetz*") == ["the Quetzal has landed"]
        seal(service)
        assert index(service)["sealed_records"] == 1
        assert found(service, "quetzal") == ["the Quetzal has landed"]
        assert service.request("POST", "/api/search/rebuild", body=b"{}")[0] == 200
        assert found(service, "quetzal") == ["the Quetzal has landed"]
        assert service.write(f'log,host=b message="another quetzal" {THEN_US + 1}') == 204
        assert found(service, "quetzal") == ["another quetzal", "the Quetzal has landed"]
        for text in NASTY:
            assert service.request("GET", "/api/search?" + urlencode({"q": text}))[0] in (200, 400), text
        service.kill()
        service.start()
        assert found(service, '"QUETZAL has"') == ["the Quetzal has landed"]
        deleted = run_command("delete", "log", "--where", "host=a", "--reason", "test", "--yes", *folder)
        assert deleted.returncode == 0, deleted.stderr
        assert found(service, "quetzal") == ["another quetzal"]
    finally:
        service.stop()
    said = run_command("search", "quetzal", "--format", "jsonl", *folder)
    assert [json.loads(line)["snippet"] for line in said.stdout.splitlines()] == ["another quetzal"], said.stderr
    assert "log.message" in run_command("search", "quetzal", *folder).stdout


def test_names_are_found_before_records_and_errors_are_said_in_a_line(tmp_path: Path) -> None:
    service = Running(tmp_path / "data").start()
    try:
        assert service.write(f'pump,site=north message="north of it" {THEN_US}\nnorth x=1 {THEN_US}') == 204
        hits = [(h["kind"], h["name"]) for h in search(service, "north")["hits"] if h["kind"] != "template"]
        assert hits == [("stream", "north"), ("tag", "site=north"), ("record", "message")]
        assert [h["kind"] for h in search(service, "north", stream="pump")["hits"]] == ["record"]
        assert [h["kind"] for h in search(service, "north", where="site=south")["hits"]] == []
        for number in range(3):
            assert service.write(f'log,host=a message="valve v{number} of line {number} stuck" {THEN_US + number}') == 204
        wait_for(lambda: "template" in {h["kind"] for h in search(service, "valve")["hits"]}, what="the template")
        hit = next(h for h in search(service, "valve")["hits"] if h["kind"] == "template")
        assert (hit["stream"], hit["ts_us"] is not None) == ("log", True)
        texts = [h["snippet"] for h in search(service, hit["again"], stream=hit["stream"])["hits"]]
        assert texts == [f"valve v{number} of line {number} stuck" for number in (2, 1, 0)]
        assert service.command("delete", "log", "--all", "--yes", "--reason", "a test").returncode == 0
        assert search(service, "valve")["hits"] == [], "the words of what was deleted are found nowhere"
        for words, said in (("?!", "no word to search for"), ("NOT x", "only what must not be there"), ("y" * 3_000, "more than 2,000")):
            status, body = service.request("GET", "/api/search?" + urlencode({"q": words}))
            assert status == 400
            assert said in body.decode()
        assert service.request("GET", "/api/search?q=x&stream=nobody")[0] == 400
    finally:
        service.stop()
