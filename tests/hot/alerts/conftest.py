from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.hot.alerts.rules import RuleFacts
from tests.hot.alerts.house import House

Houses = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Houses]:
    """Makes one house with these rules, and closes it."""
    made: list[House] = []

    def one(*rules: RuleFacts, **more: Any) -> House:
        made.append(House(tmp_path, *rules, **more))
        return made[-1]

    yield one
    for each in made:
        each.close()
