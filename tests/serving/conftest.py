"""One engine for all tests of a file: opening the databases is what takes time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.clock import SystemClock
from appliance.serving.engine import Engine
from tests.serving.world import World, at


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def engine(root: Path) -> Iterator[Engine]:
    """An engine over ``root``."""
    temp = root / "temp"
    temp.mkdir()
    (root / "lake").mkdir()
    made = Engine(root=root, temp=temp, temp_bytes_max=1 << 30, memory_max=1 << 30, threads=2, clock=SystemClock())
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "lake").mkdir()
    made = World(tmp_path, "box")
    for day in range(3):
        made.commit([{"ts": at(n * 60, day), "device": "abc"[n % 3], "value": float(n)} for n in range(60)])
    made.roll(150, parts=2)
    return made
