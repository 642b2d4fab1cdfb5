"""Each single change by hand, of the data, of the store or of the bundle, is found and named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from appliance.chain import hash_of
from appliance.clock import US_PER_DAY
from appliance.reconcile.audit.checking import Vouched
from tests.audit.evidence import NOON_DAY, asked, bundle, compact, delete, differences, records, refuse, roll
from tests.clock import NOON_US, FakeClock
from tests.door.batches import open_box

KEY = b"a key of the auditor"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder ``data`` with a history and a signed ``bundle`` of it; the bundle's seal."""
    home = tmp_path_factory.mktemp("evidence")
    box = open_box(home / "data", clock=FakeClock())
    for start in (0, 10, 20):
        records(box, [start + i for i in range(10)])
        roll(box)
    records(box, [-86_400.0, -86_399.0])
    records(box, [0, 1, 2], device="d2")
    roll(box)
    compact(box, NOON_DAY, home / "spill")
    records(box, [40, 41])
    roll(box)
    refuse(box, b"readings value=x")
    records(box, [50])
    delete(box, "d9")
    box.close()
    found = bundle(home / "data", home / "bundle", key=KEY)
    assert found.wrong == ()
    return home, found.seal


def live(folder: Path) -> list[tuple[int, str]]:
    """Id and path of each live segment, the largest first."""
    with closing(sqlite3.connect(folder / "hot.sqlite")) as db:
        return [tuple(r) for r in db.execute("SELECT id, path FROM segment WHERE state = 'live' ORDER BY rows DESC, id")]


def store(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "hot.sqlite")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def flip_a_byte(home: Path) -> None:
    file = home / "data" / live(home / "data")[0][1]
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


def swap_segments(home: Path) -> None:
    one, two = (home / "data" / path for _, path in live(home / "data")[:2])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def remove_a_row(home: Path) -> None:
    """With a valid hash in the store, as one who knows it well would do."""
    number, path = live(home / "data")[0]
    file = home / "data" / path
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    store(
        home / "data",
        f"UPDATE segment SET sha256 = '{digest}', bytes = {file.stat().st_size}, rows = {table.num_rows - 1} WHERE id = {number}",
    )


def remove_a_segment(home: Path) -> None:
    number, path = live(home / "data")[0]
    (home / "data" / path).unlink()
    store(home / "data", f"DELETE FROM segment WHERE id = {number}")


def remove_an_entry(home: Path) -> None:
    edit_chain(home, lambda lines: [*lines[:2], *lines[3:]])


def reorder_entries(home: Path) -> None:
    edit_chain(home, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])


def change_an_entry(home: Path) -> None:
    edit_chain(home, lambda lines: [*lines[:2], lines[2].replace('"rows":10', '"rows":11'), *lines[3:]])


def drop_the_newest_entries(home: Path) -> None:
    edit_chain(home, lambda lines: lines[:-2])


def edit_chain(home: Path, change: Callable[[list[str]], list[str]]) -> None:
    file = home / "bundle" / "chain.jsonl"
    file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))


def edit_the_readme(home: Path) -> None:
    file = home / "bundle" / "README.md"
    file.write_text(file.read_text().replace("SHA-256", "MD5"))


def edit_a_file_and_its_sum(home: Path) -> None:
    edit_and_sum(home, "segments.jsonl", '"rows":', '"rows":1')


def edit_the_refused_and_their_sum(home: Path) -> None:
    edit_and_sum(home, "refused.jsonl", "no number", "a number")


def edit_and_sum(home: Path, name: str, old: str, new: str) -> None:
    file, sums = home / "bundle" / name, home / "bundle" / "SHA256SUMS"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text(file.read_text().replace(old, new, 1))
    sums.write_text(sums.read_text().replace(before, hashlib.sha256(file.read_bytes()).hexdigest()))


def delete_a_file(home: Path) -> None:
    (home / "bundle" / "gaps.jsonl").unlink()


def add_a_file(home: Path) -> None:
    (home / "bundle" / "more.jsonl").write_text("{}\n")


def change_the_stored_chain(home: Path) -> None:
    store(home / "data", "UPDATE chain SET entry = replace(entry, '\"rows\":10', '\"rows\":11') WHERE id = 3")


def shorten_the_stored_chain(home: Path) -> None:
    store(home / "data", "DELETE FROM chain WHERE id = (SELECT max(id) FROM chain)")


def cut_the_stored_chain(home: Path) -> None:
    store(home / "data", "DELETE FROM chain WHERE id = 3")


def make_the_stored_chain_anew(home: Path) -> None:
    """One number changed and every hash after it made right again: only the bundle knows."""
    with closing(sqlite3.connect(home / "data" / "hot.sqlite")) as db:
        before = None
        for number, entry in db.execute("SELECT id, entry FROM chain ORDER BY id").fetchall():
            fields = json.loads(entry)
            if before is not None:
                fields["before"] = before
            if number == 2:
                fields["at"] = "2026-11-22T11:00:00Z"
            line = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
            db.execute("UPDATE chain SET entry = ? WHERE id = ?", (line, number))
            before = hash_of(line)
        db.commit()


def forget_a_refused_record(home: Path) -> None:
    store(home / "data", "DELETE FROM dead_letter")


def forget_a_deletion(home: Path) -> None:
    store(home / "data", "DELETE FROM deletion")


def blame_another_for_a_deletion(home: Path) -> None:
    store(home / "data", "UPDATE deletion SET author = 'bob'")


def take_the_signature_of_another(home: Path) -> None:
    (home / "bundle" / "SHA256SUMS.hmac").write_text("0" * 64 + "\n")


MANIPULATIONS: list[tuple[Callable[[Path], None], str]] = [
    (flip_a_byte, "has the SHA-256"),
    (swap_segments, "bytes instead of"),
    (remove_a_row, "registered with other sha256, rows"),
    (remove_a_segment, "is not registered any more"),
    (remove_an_entry, "goes on with entry 4 where entry 3 belongs"),
    (reorder_entries, "goes on with entry 4 where entry 3 belongs"),
    (change_an_entry, "does not follow from the one before it"),
    (drop_the_newest_entries, "does not end with the head"),
    (edit_the_readme, "README.md was changed"),
    (edit_a_file_and_its_sum, "is another one in segments.jsonl than in its chain"),
    (edit_the_refused_and_their_sum, "the refused record 1 was changed"),
    (delete_a_file, "gaps.jsonl is missing"),
    (add_a_file, "more.jsonl does not belong to it"),
    (change_the_stored_chain, "hot.sqlite: entry 4 of the chain does not follow"),
    (shorten_the_stored_chain, "is no longer there"),
    (cut_the_stored_chain, "hot.sqlite: the chain goes on with entry 4 where entry 3 belongs"),
    (make_the_stored_chain_anew, "is not what the bundle has"),
    (forget_a_refused_record, "the refused record 1 is no longer there"),
    (forget_a_deletion, "the deletion 1 of stream readings is no longer there"),
    (blame_another_for_a_deletion, "the deletion 1 of stream readings was changed"),
    (take_the_signature_of_another, "was not made with this key"),
]


def test_what_nobody_has_touched_is_whole(made: tuple[Path, str]) -> None:
    home, seal = made
    assert differences(home / "data", home / "bundle", Vouched(seal, KEY)) == []


@pytest.mark.parametrize(("manipulate", "said"), MANIPULATIONS, ids=[m.__name__ for m, _ in MANIPULATIONS])
def test_each_change_is_found_and_named(made: tuple[Path, str], tmp_path: Path, manipulate: Callable[[Path], None], said: str) -> None:
    home, seal = made
    shutil.copytree(home / "data", tmp_path / "data")
    shutil.copytree(home / "bundle", tmp_path / "bundle")
    manipulate(tmp_path)
    found = differences(tmp_path / "data", tmp_path / "bundle", Vouched(seal, KEY))
    assert any(said in line for line in found), found


def test_another_bundle_is_not_the_one_whose_seal_was_noted(made: tuple[Path, str], tmp_path: Path) -> None:
    home, seal = made
    bundle(home / "data", tmp_path / "other", asked(NOON_US))
    found = differences(home / "data", tmp_path / "other", Vouched(seal))
    assert found == ["bundle: its seal is not the one that was noted"]


def test_what_the_box_does_afterwards_is_no_difference(made: tuple[Path, str], tmp_path: Path) -> None:
    home, _ = made
    shutil.copytree(home / "data", tmp_path / "data")
    box = open_box(tmp_path / "data", clock=FakeClock(now=NOON_US + US_PER_DAY))
    records(box, [60, 61])
    roll(box)
    compact(box, NOON_DAY, tmp_path / "spill")
    box.close()
    assert differences(tmp_path / "data", home / "bundle") == []
