"""The folder is brought to what the manifest says: what it doesn't name goes, what it names and is wrong is kept aside and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cold.lake import Replaced, check, clean, deletable, delete, disk_bytes, files, plan_check, set_aside
from appliance.errors import StoreDamaged
from appliance.manifest import Segment
from tests.cold.making import BUSY, MIDNIGHT, Lake, files_below

S = 1_000_000


def rolled(root: Path, count: int = 3) -> list[Segment]:
    lake = Lake(root)
    for piece in range(count):
        lake.roll([{"ts": MIDNIGHT + piece * 1000 + i, "device": "a"} for i in range(10)])
    return lake.segments


def test_a_start_removes_temporary_files_and_orphans_and_keeps_what_the_manifest_names(tmp_path: Path) -> None:
    live, orphan, replaced = rolled(tmp_path)
    stray = tmp_path / "lake/other~1/date=2024-01-01/roll-1.tmp"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"half")
    found = clean(tmp_path, known={live.path, replaced.path})
    assert found.temporary == ("lake/other~1/date=2024-01-01/roll-1.tmp",)
    assert found.orphans == (orphan.path,)
    assert found.bytes == orphan.bytes + 4
    assert files_below(tmp_path) == sorted([live.path, replaced.path]) == list(files(tmp_path))
    assert not (tmp_path / "lake/other~1").exists(), "folders that became empty go too"
    assert clean(tmp_path, known={live.path, replaced.path}).bytes == 0


def test_an_empty_box_has_nothing_to_clean(tmp_path: Path) -> None:
    assert clean(tmp_path, known=()).left == ()


def test_links_and_pipes_in_the_lake_are_left_alone_and_told(tmp_path: Path) -> None:
    (live,) = rolled(tmp_path, 1)
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "x.parquet").write_bytes(b"mine")
    (tmp_path / "lake/elsewhere").symlink_to(outside)
    (tmp_path / "lake/a.tmp").symlink_to(outside / "x.parquet")
    assert clean(tmp_path, known={live.path}).left == ("lake/a.tmp", "lake/elsewhere")
    assert (outside / "x.parquet").read_bytes() == b"mine"


def test_a_lake_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "lake").symlink_to(tmp_path / "real")
    with pytest.raises(StoreDamaged, match="symbolic link"):
        clean(tmp_path, known=())


def test_each_kind_of_damage_is_told_with_its_exact_range_and_its_file_kept(tmp_path: Path) -> None:
    whole, flipped, cut, missing = rolled(tmp_path, 4)
    path = tmp_path / flipped.path
    path.write_bytes(path.read_bytes()[:100] + b"\xff" + path.read_bytes()[101:])
    (tmp_path / cut.path).write_bytes(b"")
    (tmp_path / missing.path).unlink()
    plan = plan_check([whole, flipped, cut, missing], clean_stop=False, deep_bytes_max=10**9)
    found = {d.segment: d for d in check(tmp_path, plan)}
    assert found.keys() == {flipped, cut, missing}
    assert "sequences 11 to 20, 10 records of 2024-10-04) has the SHA-256" in str(found[flipped])
    aside = {s: set_aside(tmp_path, d).moved_to for s, d in found.items()}
    assert aside[missing] is None
    assert aside[flipped] == flipped.path.replace("lake/", "damaged/", 1)
    assert (tmp_path / str(aside[flipped])).stat().st_size == flipped.bytes
    assert files_below(tmp_path) == [whole.path]


def test_setting_aside_again_overwrites_nothing(tmp_path: Path) -> None:
    (segment,) = rolled(tmp_path, 1)
    (damage,) = check(tmp_path, plan_check([replace(segment, bytes=1)], clean_stop=True, deep_bytes_max=0))
    first = set_aside(tmp_path, damage).moved_to
    assert set_aside(tmp_path, damage).moved_to is None
    (tmp_path / segment.path).write_bytes(b"other")
    second = set_aside(tmp_path, damage).moved_to
    assert first is not None
    assert second == f"{first}.2"
    assert (tmp_path / first).stat().st_size == segment.bytes


def test_a_segment_behind_a_link_is_told_and_not_moved(tmp_path: Path) -> None:
    (segment,) = rolled(tmp_path, 1)
    (tmp_path / "lake").rename(tmp_path / "moved")
    (tmp_path / "lake").symlink_to(tmp_path / "moved")
    (damage,) = check(tmp_path, plan_check([segment], clean_stop=True, deep_bytes_max=0))
    assert "symbolic link" in damage.reason
    assert set_aside(tmp_path, damage).moved_to is None


def segment(number: int, size: int) -> Segment:
    return Segment(number, "s", 0, f"lake/s/{number}", number, number, 1, 0, 0, size, "", 1, 0)


def test_after_a_clean_stop_nothing_is_hashed_and_else_the_newest_up_to_the_budget() -> None:
    held = [segment(i, 100) for i in range(1, 8)]
    assert plan_check(held, clean_stop=True, deep_bytes_max=10**9).deep == ()
    plan = plan_check(held, clean_stop=False, deep_bytes_max=250)
    assert [s.id for s in plan.deep] == [7, 6]
    assert [s.id for s in plan.quick] == [5, 4, 3, 2, 1]


@settings(deadline=None, suppress_health_check=BUSY)
@given(
    replaced=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 100)),
    leases=st.sets(st.sampled_from("abcdefgh")),
    now=st.integers(0, 200),
    keep=st.integers(0, 50),
)
def test_a_replaced_file_goes_when_it_is_old_and_nobody_reads_it(replaced: dict[str, int], leases: set[str], now: int, keep: int) -> None:
    gone = deletable([Replaced(p, at * S) for p, at in replaced.items()], leases=leases, keep_s=float(keep), now_us=now * S)
    assert set(gone) == {p for p, at in replaced.items() if at + keep <= now and p not in leases}


def test_deleting_twice_is_as_deleting_once(tmp_path: Path) -> None:
    one, two = rolled(tmp_path, 2)
    assert delete(tmp_path, [one.path]) == 1
    assert delete(tmp_path, [one.path]) == 0
    assert disk_bytes(tmp_path) == {"readings": two.bytes}
