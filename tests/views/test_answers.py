"""A view's answer, step by step: what is stored, what is computed, and how little of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.views.house import DAILY, House, view


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, {"hourly": view(), "daily": view(DAILY, bucket_s=86_400)})
    made.come([(-50.0, "a", 1)])
    made.restart()
    yield made
    made.close()


def test_a_view_answers_before_anything_is_stored(house: House) -> None:
    house.come([(-2.5, "a", 3), (-2.2, "b", 4), (0.1, "a", 5)])
    house.check()
    house.check("daily")
    assert house.explain("SELECT * FROM hourly").views[0].files == 0


def test_what_is_over_is_read_and_what_is_late_or_open_is_computed(house: House) -> None:
    house.come([(h / 4 - 30, "a", h) for h in range(130)])
    house.roll()
    house.refresh()
    house.check()
    house.check("daily")
    (seen,) = house.explain("SELECT * FROM hourly").views
    assert (seen.files, seen.live_buckets) == (1, None)
    assert house.explain("SELECT * FROM hourly WHERE bucket < now() - INTERVAL 1 DAY").streams == ()
    house.come([(-10.5, "c", 7), (-20.1, "a", 1)])
    house.check()
    house.check("daily")
    (seen,) = house.explain("SELECT * FROM hourly").views
    assert len(seen.live) == 3
    house.refresh()
    house.check()
    house.check("daily")
    (seen,) = house.explain("SELECT * FROM hourly").views
    assert len(seen.live) == 1


def test_records_between_the_snapshot_and_the_commit_are_not_lost(house: House) -> None:
    house.come([(-10.5, "a", 1), (-5.5, "a", 1)])
    house.between = lambda: house.come([(-5.4, "b", 10), (-0.2, "b", 10)])
    house.refresh()
    house.check()
    house.check("daily")
    house.between = lambda: None
    house.refresh()
    house.check()
    assert len(house.explain("SELECT * FROM hourly").views[0].live) == 1


def test_the_folder_alone_says_the_same(house: House) -> None:
    house.come([(h / 4 - 30, "a", h) for h in range(130)])
    house.refresh()
    house.come([(-10.5, "c", 7)])
    expected = house.ask("SELECT * FROM hourly ORDER BY ALL")
    assert house.offline("SELECT * FROM hourly ORDER BY ALL") == expected
