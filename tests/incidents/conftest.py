"""What the tests of incidents share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerting.hooks import Hook
from tests.incidents.house import House, house


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for a module; each test opens incidents of its own."""
    hook = Hook()
    with house(tmp_path_factory.mktemp("incidents"), hook) as made:
        yield made
    hook.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A channel of one test."""
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a service of one test."""
    return tmp_path
