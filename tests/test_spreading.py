"""What takes long begins first on each worker, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.running import ROOT
from tests.spreading import LONG, spread


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_each_worker_begins_with_what_is_long_and_each_test_is_there_once(workers: int) -> None:
    names = [f"tests/a/test_{n}.py::test" for n in range(50)] + [f"{long}::{n}" for long in LONG for n in range(2)]
    found = spread([(name, name) for name in names], workers)
    assert sorted(found) == sorted(names)
    for worker in range(workers):
        assert found[len(names) * worker // workers].startswith(LONG[worker])


@pytest.mark.parametrize("workers", [1, 4])
def test_few_tests_that_are_all_long_are_all_there(workers: int) -> None:
    assert sorted(spread([("tests/faults/test_kill.py::a", 1), ("tests/faults/test_kill.py::b", 2), ("x", 3)], workers)) == [1, 2, 3]


def test_what_is_called_long_is_there() -> None:
    assert [name for name in LONG if not (ROOT / name.partition("::")[0]).is_file()] == []
