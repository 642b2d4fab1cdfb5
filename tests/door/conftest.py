from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.box import Box
from tests.clock import FakeClock
from tests.door.batches import open_box

Opens = Callable[..., Box]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opens(tmp_path: Path, clock: FakeClock) -> Iterator[Opens]:
    """Opens boxes on one folder, each after the one before was closed, and closes the last."""
    made: list[Box] = []

    def one(text: str = "", **more: Any) -> Box:
        if made:
            made[-1].close()
        made.append(open_box(tmp_path / "box", text, clock=more.pop("clock", clock), **more))
        return made[-1]

    yield one
    if made:
        made[-1].close()
