"""A box with the first pass on it, whose sightings are gathered.

python -m tests.hybrid.analysis.live.house FOLDER OUT STEP TIMES    sends the rest of ``submissions`` and appends each sighting to OUT;
                                                                    kills itself when it comes to STEP for the TIMES-th time
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from appliance.box import Box, no_step
from appliance.hybrid.analysis.live import follower, passing
from appliance.hybrid.analysis.live.live import Live
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid.analysis.sighting import Sighting
from appliance.reconcile.past import make_history
from appliance.records import Submission
from tests.door.batches import batch, open_box, submission
from tests.running import wait_for

T0 = 1_760_000_000_000_000
S = 1_000_000
CONFIG = "[hot]\ncommit_every = '1ms'\nring_max = '60KiB'\n[workload.all]\nkind = 'analysis'\nsensitivity = 1.0\n"
DEVICES = 5
SECONDS = 30
SUBMISSIONS = 15


class Heard:
    """Takes what is unusual and keeps it, in a file as well where there is one."""

    def __init__(self, file: Path | None = None) -> None:
        self.sightings: list[Sighting] = []
        self.seen: dict[str, int] = {}
        self.saves = 0
        self._file = file

    def take(self, sightings: Sequence[Sighting], now_us: int, *, seen: Mapping[str, int] | None = None) -> None:
        del now_us
        self.sightings += sightings
        self.seen |= seen or {}
        if self._file is not None and sightings:
            with self._file.open("a") as out:
                out.writelines(json.dumps(asdict(s)) + "\n" for s in sightings)

    def save(self, now_us: int) -> None:
        del now_us
        self.saves += 1


class LiveHouse:
    """An open box that is followed."""

    def __init__(self, folder: Path, *, config: str = CONFIG, heard: Heard | None = None, step: Callable[[str], None] = no_step) -> None:
        self.heard = heard or Heard()
        self.box: Box = open_box(folder, config)
        self.live = Live(self.box, self.box.config, history=make_history(self.box), incidents=self.heard, step=step)
        asyncio.run(self.live.start())
        self.live.follower.call(lambda: None).result(60)  # by now it knows what it follows

    def send(self, what: Submission) -> None:
        """Returns when it is committed."""
        self.box.door.submit_blocking(what, 60)

    def settle(self) -> None:
        """Until everything has been scored."""
        wait_for(lambda: not any(self._waiting().values()), what="all records to be scored")

    def _waiting(self) -> dict[str, int]:
        found: dict[str, int] = {}

        def look(watch: Watch) -> dict[str, int]:
            watch.take_up(self.box.state)
            return watch.waiting(self.box.state)

        for name in tuple(self.live.follower.watches):
            found |= self.live.call(name, look).result(30) or {}
        return found

    def close(self) -> None:
        asyncio.run(self.live.stop())
        self.box.close()


@contextmanager
def living(folder: Path, **given: Any) -> Iterator[LiveHouse]:
    house = LiveHouse(folder, **given)
    try:
        yield house
    finally:
        house.close()


def submissions() -> list[Submission]:
    """Some minutes of two streams: noise, and now and then something that has never been."""
    rng = np.random.default_rng(7)
    found = []
    for part in range(SUBMISSIONS):
        rows = DEVICES * SECONDS
        at = [T0 + (part * SECONDS + i // DEVICES) * S for i in range(rows)]
        names = [f"d{i % DEVICES}" for i in range(rows)]
        load, heat = rng.normal(20, 1, rows), rng.normal(50, 2, rows)
        if part % 5 == 4:
            load[17:80:DEVICES] += 60
            heat[40:60] = -np.abs(heat[40:60]) * 9
        counts = [int(v) if i % 11 else None for i, v in enumerate(rng.integers(0, 9, rows))]
        cold = batch("cold", at, tags={"device": names, "site": ["here"] * rows}, heat=heat.tolist(), n=counts)
        hot = batch("hot", at, tags={"device": names}, load=load.tolist())
        texts = [f"connection {rng.integers(1_000_000)} from 10.0.0.{rng.integers(9)} closed, {rng.integers(900)} ms" for _ in range(rows)]
        if part % 5 == 4:
            texts[33:90] = ["FATAL: disk sda1 is failing, sector 1234 unreadable"] * 57
            texts[99] = "a word of nothing"
        found.append(submission(hot, cold, batch("logs", at, message=texts)))
    return found


def told(sightings: Sequence[Sighting]) -> dict[tuple[Any, ...], Sighting]:
    """Each once, by what it is about."""
    return {(s.stream, s.column, s.key, s.seq, s.kind): s for s in sightings}


def _killing(step: str, times: int) -> Callable[[str], None]:
    left = [times]

    def at(name: str) -> None:
        left[0] -= name == step
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def main(folder: Path, out: Path, step: str, times: int) -> None:
    """See the module."""
    follower.SAVE_ROWS, follower.SAVE_AGAIN_NS, passing.REST_S = 500, 0, 0.0  # type: ignore[misc]
    with living(folder, heard=Heard(out), step=_killing(step, times)) as house:
        done = house.box.state.get("hot")
        for number, what in enumerate(submissions()):
            if done is None or number >= done.last_seq // (DEVICES * SECONDS):
                house.send(what)
                house.settle()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
