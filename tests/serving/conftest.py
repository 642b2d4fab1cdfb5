"""One engine for all tests of a file: opening the databases is what takes time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.clock import SystemClock
from appliance.serving.engine import Engine


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
