"""Acknowledged means kept, exactly once: a real process, killed at random moments and at each named step, under load."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.faults.oracle import Ledger, Load, differences
from tests.running import UNWATCHED, Running, wait_for
from tests.tally.books import Held, check_books

CONFIG = """
[hot]
commit_every = "2ms"
ring_max = "64KiB"

[roll]
every = "150ms"
rows_max = 400

[compact]
files_max = 2
replaced_keep = "1s"
"""
STEPS = (
    "commit.written",
    "commit.durable",
    "segment.written",
    "segment.synced",
    "segment.renamed",
    "segment.folder_synced",
    "roll.written",
    "roll.durable",
    "compact.written",
    "compact.durable",
)
RANDOM_KILLS = 32
KILLS_A_STEP = 2
LOADED_ROWS_MAX = 1_200

pytestmark = pytest.mark.timeout(600)


def numbers_there(service: Running) -> Counter[int]:
    """How often each number is in the merged view."""
    rows = (
        service.query("SELECT n, count(*) AS c FROM load GROUP BY n")
        if any(s["name"] == "load" for s in service.status()["streams"])
        else []
    )
    return Counter({int(r["n"]): int(r["c"]) for r in rows})


def service_on(folder: Path, *more: str) -> Running:
    return Running(folder, config="".join((CONFIG, *more)), module=("tests.faults.program",))


def test_what_was_acknowledged_survives_kills_at_random_moments(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    service, ledger = service_on(tmp_path / "data", UNWATCHED), Ledger()
    held: Held = {}
    for _ in range(RANDOM_KILLS):
        service.start()
        load = Load(service.port, ledger).start()
        target = rng.randrange(1, LOADED_ROWS_MAX)
        wait_for(partial(load.has, target), what=f"{target} acknowledgements; seed {seed}; {service.said()}")
        service.kill()
        load.stop()
        check_books(service.folder, held)
    service.start()
    assert differences(numbers_there(service), ledger) == [], f"seed {seed}"
    assert service.stop() == 0
    assert service.command("verify").returncode == 0
    assert check_books(service.folder, held)


@pytest.mark.parametrize("step", STEPS)
def test_what_was_acknowledged_survives_a_kill_at_each_step(tmp_path: Path, step: str) -> None:
    service, ledger = service_on(tmp_path / "data"), Ledger()
    for turn in range(KILLS_A_STEP):
        service.start("--kill-at", f"{step}:{turn + 2}", wait=False)
        wait_for(lambda: service.has_died() or service.is_ready(), what=f"the service to be ready or killed; {service.said()}")
        load = Load(service.port, ledger).start()
        wait_for(service.has_died, what=f"the kill at {step}; {service.said()}")
        load.stop()
        check_books(service.folder)
    service.start()
    assert differences(numbers_there(service), ledger) == []
    assert ledger.acknowledged
    assert service.stop() == 0
    assert service.command("verify").returncode == 0
    check_books(service.folder)
