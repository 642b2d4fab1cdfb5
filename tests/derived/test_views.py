"""Views: each kind of divergence is found and named, and mended to what a twin has to which nothing was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from appliance.cold.segments import hash_file
from appliance.derived import ViewFile
from appliance.reconcile.derived import view_answers
from tests.clock import NOON_US
from tests.derived.looking import answers, found, harm, mended
from tests.views.house import DAILY, HOUR_US, House, view


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Three days, partly in the lake, with twins, and two views that are fresh."""
    made = House(tmp_path, {})
    made.come([(h / 2 - 72, "ab"[h % 2], h) for h in range(112)])
    made.roll()
    made.come([(h / 2 - 72, "ab"[h % 2], h) for h in range(102, 142)])
    made.configure({"hourly": view(), "daily": view(DAILY, bucket_s=86_400)})
    made.refresh()
    made.come([(-30.5, "c", 7)])
    made.refresh()
    yield made
    made.close()


def file_of(house: House, name: str = "hourly") -> ViewFile:
    version = house.state(name).active
    assert version is not None
    return max(version.files, key=lambda f: f.rows)


def rewrite(house: House, name: str, column: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """A column of a view's file is another one, and the books agree with it."""
    file = file_of(house, name)
    path = house.folder / file.path
    table = pq.read_table(path)
    values = pa.array(change(table.column(column).to_pylist()), table.schema.field(column).type)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    sha256, size = hash_file(path)
    harm(house.folder, f"UPDATE view_file SET sha256 = '{sha256}', bytes = {size} WHERE path = '{file.path}'")
    house.restart()


def forge(house: House) -> None:
    """One value of one bucket."""
    rewrite(house, "hourly", "high", lambda values: [v + (n == len(values) // 2) for n, v in enumerate(values)])


def drop_row(house: House) -> None:
    """A row of a view's file is gone, and the books agree with it."""
    file = file_of(house)
    path = house.folder / file.path
    table = pq.read_table(path)
    pq.write_table(table.filter(pc.not_equal(pa.array(range(len(table))), 3)), path)
    sha256, size = hash_file(path)
    harm(house.folder, f"UPDATE view_file SET sha256 = '{sha256}', bytes = {size} WHERE path = '{file.path}'")
    house.restart()


def flip(house: House) -> None:
    path = house.folder / file_of(house).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose(house: House) -> None:
    (house.folder / file_of(house, "daily").path).unlink()


def forget_late(house: House) -> None:
    """A late record came, and the mark that it made is lost with a restart."""
    house.come([(-50.2, "a", 1000)])
    harm(house.folder, "DELETE FROM ledger_dirty")
    house.restart()


def forget_mark(house: House) -> None:
    """The store loses the mark, memory has it."""
    house.come([(-50.2, "a", 1000)])
    harm(house.folder, "DELETE FROM ledger_dirty WHERE ledger_id = 1")


def move_end(house: House) -> None:
    """A view is said to hold more than it does."""
    harm(house.folder, f"UPDATE ledger SET closed_us = {NOON_US + 2 * HOUR_US} WHERE id = 1")
    house.pass_hours(5)
    house.come([(0.5, "a", 3)])
    house.restart()


INJECTED: dict[Callable[[House], None], set[str]] = {
    forge: {"view differs"},
    drop_row: {"view differs"},
    flip: {"view file changed"},
    lose: {"view file missing"},
    forget_late: {"view differs", "dirty mark missing"},
    forget_mark: {"dirty mark forgotten", "dirty mark missing"},
    move_end: {"view differs"},
}


@pytest.mark.parametrize("inject", INJECTED, ids=lambda f: f.__name__)
def test_what_is_wrong_with_a_view_is_found_and_mended(house: House, inject: Callable[[House], None]) -> None:
    inject(house)
    true = house.computed("hourly"), house.computed("daily")
    wrong = found(house)
    assert {f.kind for f in wrong} - {"view differs"} == INJECTED[inject] - {"view differs"}
    assert {f.kind for f in wrong} >= INJECTED[inject]
    assert all(r.state == "repaired" for r in mended(house.box, wrong))
    house.check("hourly", sql=true[0])
    house.check("daily", sql=true[1])
    house.refresh()
    house.restart()
    assert found(house) == []
    house.check("hourly", sql=true[0])
    house.check("daily", sql=true[1])


def test_a_flipped_bit_and_its_repair_leave_the_answers_of_before(house: House) -> None:
    before = answers(house)
    flip(house)
    mended(house.box, found(house, "all"))
    assert answers(house) == before
    assert [p.name for p in (house.folder / "damaged").rglob("*.parquet")], "the changed file is kept"


def test_a_sample_finds_a_changed_bucket_after_some_turns(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.come([(h / 2, "ab"[h % 2], h) for h in range(12)])
    house.pass_hours(6)
    house.refresh()
    assert found(house, "newest") == []
    forge(house)
    assert any(found(house, "newest", turn=turn) for turn in range(9)), "each looks at four of six buckets"
    house.close()


def test_what_is_stored_is_not_doubted_where_the_records_can_not_be_read(house: House) -> None:
    """A damaged segment says nothing about the view that was made of it when it was whole."""
    segment = house.box.state.streams["readings"].segments[0]
    (house.folder / segment.path).unlink()
    assert found(house, "full") == []


def test_buckets_whose_records_are_gone_stay_as_they_are(house: House) -> None:
    house.roll()
    house.compact()
    house.refresh()
    assert house.expire(NOON_US - 36 * HOUR_US)
    assert found(house) == []
    before = house.ask("SELECT * FROM hourly ORDER BY ALL")
    assert mended(house.box, found(house)) == []
    assert house.ask("SELECT * FROM hourly ORDER BY ALL") == before


def scaled(values: list[float], *, by: float) -> list[float]:
    return [v * (1 + by) for v in values]


FLOATS = (
    "SELECT time_bucket(INTERVAL '2 hours', ts) AS bucket, sum(value / 7.0) AS total, stddev(value * 1e6) AS spread,"
    " arg_max(device, value // 100) AS one, max(value) - arg_max(value, value // 100) AS other, mode(device) AS often"
    " FROM readings WHERE device IS NOT NULL GROUP BY ALL"
)


def test_sums_of_floats_may_differ_by_the_order_of_their_records_and_by_no_more(tmp_path: Path) -> None:
    house = House(tmp_path, {})
    house.come([(h / 8, "ab"[h % 2], h * 7919 % 101) for h in range(48)])
    house.configure({"floats": view(FLOATS, bucket_s=7200)})
    house.pass_hours(8)
    house.refresh()
    assert found(house, "full") == []
    version = house.state("floats").active
    assert version is not None
    assert view_answers.compared(version) == ("bucket", "total", "spread"), "the others choose among equal records"
    for by, kinds in ((1e-13, set()), (1e-6, {"view differs"})):
        rewrite(house, "floats", "total", partial(scaled, by=by))
        assert {f.kind for f in found(house, "full")} == kinds
    house.close()
