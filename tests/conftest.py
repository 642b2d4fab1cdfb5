"""What all tests have."""

from __future__ import annotations

import gc
import resource
from collections.abc import Generator
from typing import Final

import pytest
from hypothesis import settings

from tests.examples import examples
from tests.spreading import spread_over_workers

settings.register_profile("tests", deadline=None, max_examples=examples(100))  # however slow the machine is
settings.load_profile("tests")

COLLECTED_AT: Final = (5_000, 20, 100)
"""Seldom all generations: each such look goes over all that was imported, and would be a sixth of what the tests of one process take."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """See tests/spreading.py."""
    spread_over_workers(config, items)


def pytest_collection_finish() -> None:
    """What is there now stays to the end: six thousand tests and all that they import."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AT)


def pytest_unconfigure() -> None:
    """Else a library that counts what is left of it at the end would say so."""
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """After a test in whose own process SQL from outside has run, which limits the address space for good, it is what it was."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
