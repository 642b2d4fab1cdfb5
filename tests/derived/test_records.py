"""Last values, twins, deletions and the chain of evidence: what is wrong is found, and mended to what was there before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from appliance.door.commit import Committer
from appliance.reconcile.derived.latest import DIFFERS, STORED_DIFFERS
from appliance.records import TS_TYPE
from appliance.roll.deleting import follow_deletions
from appliance.serving.history import History
from appliance.serving.source import pinned_reader
from tests.clock import NOON_US
from tests.derived.looking import answers, found, harm, mended
from tests.views.house import HOUR_US, House, view


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Some days with twins, a deletion that is done and one that is not, in the lake and hot."""
    made = House(tmp_path, {})
    made.come([(h / 2 - 48, "abc"[h % 3], h) for h in range(60)])
    made.delete(NOON_US - 40 * HOUR_US, NOON_US - 38 * HOUR_US, "a")
    made.come([(h / 2 - 48, "abc"[h % 3], h) for h in range(50, 90)] + [(-20.0, "d", 4)])
    made.roll()
    made.compact()
    follow(made)
    follow(made)
    made.come([(h / 2 - 48, "abc"[h % 3], h) for h in range(88, 96)])
    made.delete(NOON_US - 3 * HOUR_US, NOON_US - 1 * HOUR_US, "b")
    follow(made)
    made.configure({"hourly": view()})
    made.refresh()
    yield made
    made.close()


def follow(house: House) -> None:
    """What the housekeeper does after a deletion."""
    box = house.box
    past = History(root=house.folder, state=lambda: box.state, reader=lambda: pinned_reader(house.folder), damaged=lambda _s, _r: None)
    with pinned_reader(house.folder) as reader:
        follow_deletions(box, past, reader, cancelled=lambda: False)


def stored_value(house: House) -> None:
    """The table of last values says another value, and a start begins with it."""
    harm(house.folder, "UPDATE latest_readings SET value = value + 1 WHERE device = 'd'")


def stored_row(house: House) -> None:
    harm(house.folder, "DELETE FROM latest_readings WHERE device = 'd'")


def stored_time(house: House) -> None:
    """A last value from a time of which there is no record, and the process starts with it."""
    harm(house.folder, f"UPDATE latest_readings SET ts = {NOON_US - HOUR_US // 2} WHERE device = 'd'")
    house.restart()


def memory_value(house: House) -> None:
    """A last value in memory is an older record."""

    def run(committer: Committer) -> None:
        book = committer.books["readings"]
        hashes, seqs, data = book.last.rows()
        older = data.set_column(0, data.schema.field(0), pa.array([NOON_US - 30 * HOUR_US] * len(data), pa.int64()).cast(TS_TYPE))
        book.last.restore(book.schema, hashes, seqs - 30, older)

    house.box.writer.call(run).result()


def memory_series(house: House) -> None:
    """A series has no last value in memory."""

    def run(committer: Committer) -> None:
        book = committer.books["readings"]
        hashes, seqs, data = book.last.rows()
        book.last.restore(book.schema, hashes[1:], seqs[1:], data.slice(1))

    house.box.writer.call(run).result()


def twins_in_store(house: House) -> None:
    """The span is in memory, and a start would not know it."""
    house.come([(-1.75, "a", 5), (-1.75, "a", 6)])
    harm(house.folder, "DELETE FROM dirty")


def twins(house: House) -> None:
    """The span is nowhere."""
    house.come([(-1.75, "a", 5), (-1.75, "a", 6)])
    harm(house.folder, "DELETE FROM dirty")
    house.restart()


def deletion_gone(house: House) -> None:
    harm(house.folder, "DELETE FROM deletion WHERE id = 2")
    house.restart()


def done_deletion_gone(house: House) -> None:
    harm(house.folder, "DELETE FROM deletion WHERE id = 1")
    house.restart()


def deletion_ended(house: House) -> None:
    """It is said to be done, and its records are there."""
    harm(house.folder, f"UPDATE deletion SET ended_us = {NOON_US} WHERE id = 2")
    house.restart()


def deletion_smaller(house: House) -> None:
    harm(house.folder, f"UPDATE deletion SET until_us = {NOON_US - 2 * HOUR_US}, reason = 'x' WHERE id = 2")
    house.restart()


INJECTED: dict[Callable[[House], None], set[str]] = {
    stored_value: {"stored last value differs"},
    stored_row: {"stored last value differs"},
    stored_time: {"last value differs"},
    memory_value: {"last value differs", "stored last value differs"},
    memory_series: {"last value differs", "stored last value differs"},
    twins_in_store: {"twin mark forgotten"},
    twins: {"twins unmarked"},
    deletion_gone: {"deletion missing"},
    done_deletion_gone: {"deletion missing"},
    deletion_ended: {"deletion changed", "deleted records show"},
    deletion_smaller: {"deletion changed"},
}
COUNTED_TWICE = (twins_in_store, twins)


@pytest.mark.parametrize("inject", INJECTED, ids=lambda f: f.__name__)
def test_what_is_wrong_is_found_and_mended(house: House, inject: Callable[[House], None]) -> None:
    before = answers(house)
    inject(house)
    wrong = found(house, "hot", "full")
    assert {f.kind for f in wrong} >= INJECTED[inject]
    assert {f.kind for f in wrong} - INJECTED[inject] <= {"view differs", "last value differs", "deleted records show"}, (
        "what follows from it"
    )
    assert {r.state for r in mended(house.box, wrong)} == {"repaired"}
    follow(house)
    assert found(house, "hot", "full") == []
    if inject not in COUNTED_TWICE:
        assert answers(house) == before
    house.restart()
    house.refresh()
    assert found(house, "hot", "full") == []
    house.check()


def test_a_broken_chain_is_found_and_nothing_proves_what_it_was(house: House) -> None:
    harm(house.folder, "UPDATE chain SET entry = entry || ' ' WHERE id = 2", "DELETE FROM chain WHERE id = 5")
    wrong = found(house, "all")
    assert [f.kind for f in wrong] == ["chain broken"] * 2
    assert {r.state for r in mended(house.box, wrong)} == {"unmendable"}


def test_the_last_value_of_a_series_that_retention_has_removed_stays(house: House) -> None:
    house.come([(-48.0, "old", 1)])
    house.refresh()
    house.roll()
    house.compact()
    assert house.expire(NOON_US - 36 * HOUR_US)
    assert "old" in {row["device"] for row in house.box.last_values("readings").to_pylist()}
    assert found(house, "hot", "full") == []


@pytest.mark.parametrize("how", ["missing", "flipped"])
def test_a_last_value_whose_record_lies_in_a_file_that_is_not_whole_is_not_doubted(house: House, how: str) -> None:
    segments = house.box.state.streams["readings"].segments
    (segment,) = (s for s in segments if s.ts_min <= NOON_US - 20 * HOUR_US <= s.ts_max)
    file = house.folder / segment.path
    whole = file.read_bytes()
    file.unlink()
    if how == "flipped":
        at = len(whole) // 3
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert not {f.kind for f in found(house, "full")} & {DIFFERS, STORED_DIFFERS}
