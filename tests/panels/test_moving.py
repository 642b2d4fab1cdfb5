"""A panel moves between all pairs of paths while records come: nothing is lost, nothing is twice, no gap, its history goes on."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from appliance.units import parse_duration
from tests.alerting.hooks import reload
from tests.running import Running, pause, running, wait_for

SQL = "SELECT device, count(*) AS n, sum(value) AS total FROM readings GROUP BY ALL"
CONFIG = f"""
[roll]
every = "2s"
rows_max = 200
[workload.load]
kind = "panel"
sql = "{SQL}"
freshness = "2s"
"""
FRESHNESS = {"hot": "2s", "hybrid": "10s", "cold": "61s"}
"""The one need that is changed, and the path that it asks for."""
MOVES = ("hybrid", "cold", "hot", "cold", "hybrid", "hot")
"""All pairs, beginning with hot."""
NOW_US = 1_700_000_000_000_000


def panel(service: Running, name: str = "load") -> dict[str, Any]:
    status, body = service.request("GET", f"/api/panels/{name}")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


@contextmanager
def load(service: Running) -> Iterator[list[int]]:
    """Records over HTTP until the end, in turn new, late and repeated ones; how many different ones there are."""
    sent, is_over = [0], threading.Event()

    def write() -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            again = max(0, number - 3)
            lines = [f"readings,device=d{number % 3} value={number}i {NOW_US + number * 1_000_000}"]
            lines += [f"readings,device=d{again % 3} value={again}i {NOW_US + again * 1_000_000}"]
            assert service.write("\n".join(lines)) == 204
            sent[0] = number + 1
            pause(0.02)

    with ThreadPoolExecutor(1) as writer:
        done = writer.submit(write)
        try:
            yield sent
        finally:
            is_over.set()
            done.result()


def is_made_by(service: Running, path: str) -> bool:
    return bool(panel(service)["panel"]["made_by"] == path)


def history(service: Running) -> list[dict[str, Any]]:
    return service.query("SELECT ts, answer, row, rows, device, n, total FROM load_history ORDER BY answer, row")


def check(service: Running) -> None:
    """The newest answer is what its SQL gives, and its history has every answer once, each with all of its rows."""
    rows = history(service)
    numbers = [int(r["answer"]) for r in rows]
    newest = panel(service)["panel"]["number"]
    assert sorted(set(numbers)) == list(range(1, newest + 1)), "each answer is there"
    by_number = {n: [r for r in rows if r["answer"] == n] for n in set(numbers)}
    assert all(len(found) == max(1, found[0]["rows"]) for found in by_number.values()), "each row once"
    times = [by_number[n][0]["ts"] for n in sorted(by_number)]
    assert times == sorted(set(times)), "as-of rises"
    counts = [sum(int(r["n"] or 0) for r in by_number[n]) for n in sorted(by_number)]
    assert counts == sorted(counts), "what was counted once is counted ever after"


def check_gaps(service: Running, moved_at: dict[int, str]) -> None:
    """Over each move the answers follow each other within the longer freshness of the two paths; number of the answer -> that path."""
    times = {r["answer"]: r["us"] for r in service.query("SELECT DISTINCT answer, epoch_us(ts) AS us FROM load_history")}
    for number, path in moved_at.items():
        assert times[number + 1] - times[number] <= parse_duration(FRESHNESS[path]) * 1e6, f"answer {number}"


def test_a_panel_moves_between_all_pairs_of_paths_under_load(tmp_path: Path) -> None:
    with running(tmp_path / "data", config=CONFIG) as service:
        assert {(a, b) for a, b in itertools.pairwise(("hot", *MOVES))} == set(itertools.permutations(FRESHNESS, 2))
        with load(service) as sent:
            wait_for(lambda: panel(service)["panel"]["number"] > 2, what="answers on the hot path")
            moved_at: dict[int, str] = {}
            for before, after in itertools.pairwise(("hot", *MOVES)):
                text = service.config_file.read_text()
                service.config_file.write_text(text.replace(f'freshness = "{FRESHNESS[before]}"', f'freshness = "{FRESHNESS[after]}"'))
                at_move = sent[0]
                moved_at[panel(service)["panel"]["number"]] = max(before, after, key=lambda p: parse_duration(FRESHNESS[p]))
                reload(service)
                wait_for(partial(is_made_by, service, after), what=f"an answer on the {after} path")
                found = panel(service)
                assert found["panel"]["path"] == after, found
                assert sum(row["n"] for row in found["answer"]) >= at_move, f"from {before} to {after}"
                assert found["panel"]["reason"] == ""
        count = sent[0]
        wait_for(lambda: sum(row["n"] for row in panel(service)["answer"]) == count, what="the last answer")
        order = "ORDER BY device"
        assert service.query(f"SELECT * EXCLUDE (_as_of) FROM load {order}") == service.query(f"{SQL} {order}")
        assert service.query("SELECT sum(n) AS n FROM load") == [{"n": count}]
        check(service)
        check_gaps(service, moved_at)
        number = panel(service)["panel"]["number"]
        service.kill()
        service.start()
        assert panel(service)["panel"]["number"] >= number
        assert service.query("SELECT sum(n) AS n FROM load") == [{"n": count}]
        check(service)
