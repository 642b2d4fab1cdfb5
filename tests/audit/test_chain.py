"""The chain grows in the transaction of what it is about: nothing that happened is missing in it, nothing that did not is there."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.chain import FIRST, Reading, breaks, jump_between, line_of, read_line
from appliance.clock import US_PER_DAY, US_PER_S
from appliance.cold.batch.audit.gaps import joined, missing, silences, spans_of
from appliance.cold.batch.audit.replay import replay
from appliance.hot.store import FORMAT_VERSION
from appliance.reconcile.audit.writing import Walk
from appliance.reconcile.config_log import changes, note_reload, note_start
from tests.audit.dying import kill_at
from tests.audit.evidence import NOON_DAY, asked, bundle, compact, differences, records, refuse, roll
from tests.clock import NOON_US, FakeClock
from tests.door.batches import config, open_box

AT = Reading(NOON_US, 1_000 * US_PER_S, "boot-1")


def chain(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "hot.sqlite")) as db:
        return [json.loads(row[0]) for row in db.execute("SELECT entry FROM chain ORDER BY id")]


def kinds(folder: Path) -> list[str]:
    return [str(e["kind"]) for e in chain(folder)]


def lines(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "hot.sqlite")) as db:
        return [row[0] for row in db.execute("SELECT entry FROM chain ORDER BY id")]


def test_each_change_of_the_manifest_is_an_entry_that_follows_from_the_one_before(tmp_path: Path) -> None:
    box = open_box(tmp_path / "data", clock=FakeClock())
    for start in (0, 10):
        records(box, range(start, start + 10))
        roll(box)
    records(box, [0, 1])
    roll(box)
    compact(box, NOON_DAY, tmp_path / "spill")
    (segment,) = box.state.streams["readings"].segments
    box.set_aside("readings", segment, state="damaged", reason="has 3 bytes instead of 7")
    box.close()
    found = chain(tmp_path / "data")
    assert [e["kind"] for e in found] == ["begin", "roll", "roll", "roll", "compact", "damaged"]
    assert [e["mark"] for e in found if "mark" in e] == [[0, 10], [10, 20], [20, 22]]
    assert [len(e["ended"]) for e in found[4:]] == [3, 1]
    assert list(breaks(lines(tmp_path / "data"), first=1, before=FIRST)) == []
    account = replay([link for line in lines(tmp_path / "data") if (link := read_line(line))]).accounts["readings"]
    assert (account.rolled, account.live, account.merged, account.lost, account.nowhere) == (22, 0, 2, 20, 0)


def test_an_older_folder_is_taken_over_with_all_its_segments(tmp_path: Path) -> None:
    box = open_box(tmp_path / "data", clock=FakeClock())
    records(box, range(10))
    roll(box)
    box.close()
    with closing(sqlite3.connect(tmp_path / "data" / "hot.sqlite")) as db:
        db.execute("DROP TABLE chain")
        db.execute("DROP VIEW chain_readable")
        db.execute("DROP TABLE model")
        db.execute("DROP VIEW models_readable")
        db.execute("CREATE TABLE baseline (term TEXT)")
        db.execute("DELETE FROM _sqlite_migrations WHERE name = 'audit'")
        db.execute(f"PRAGMA user_version={FORMAT_VERSION - 1}")
        db.commit()
    box = open_box(tmp_path / "data", clock=FakeClock())
    records(box, range(10, 20))
    roll(box)
    box.close()
    assert kinds(tmp_path / "data") == ["begin", "adopt", "roll"]
    assert bundle(tmp_path / "data", tmp_path / "bundle").wrong == ()
    assert differences(tmp_path / "data", tmp_path / "bundle") == []


def test_a_transaction_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    box = open_box(tmp_path / "data", clock=FakeClock())
    chain_ = box.store.chain

    def fails(_committer: object) -> None:
        with box.store.transaction():
            chain_.add("config", {"who": "nobody"})
            raise sqlite3.IntegrityError("made up")

    with pytest.raises(sqlite3.IntegrityError):
        box.writer.call(fails).result()
    records(box, [0])
    roll(box)
    box.close()
    assert kinds(tmp_path / "data") == ["begin", "roll"]
    assert list(breaks(lines(tmp_path / "data"), first=1, before=FIRST)) == []


@pytest.mark.parametrize(
    ("later", "by_s"),
    [
        (Reading(NOON_US + 10 * US_PER_S, 1_010 * US_PER_S, "boot-1"), None),
        (Reading(NOON_US + 11 * US_PER_S + 5_000, 1_010 * US_PER_S, "boot-1"), None),
        (Reading(NOON_US + 12 * US_PER_S, 1_010 * US_PER_S, "boot-1"), 2),
        (Reading(NOON_US - 50 * US_PER_S, 1_010 * US_PER_S, "boot-1"), -60),
        (Reading(NOON_US + 3_602 * US_PER_S, 4_600 * US_PER_S, "boot-1"), None),
        (Reading(NOON_US + 10 * US_PER_S, 5 * US_PER_S, "boot-2"), None),
        (Reading(NOON_US - 10 * US_PER_S, 5 * US_PER_S, "boot-2"), -10),
    ],
)
def test_a_clock_jumps_when_it_leaves_the_boot_clock_and_not_when_it_is_slewed(later: Reading, by_s: int | None) -> None:
    found = jump_between(AT, later)
    assert (None if found is None else found["by_us"]) == (None if by_s is None else by_s * US_PER_S)


def test_a_jump_of_the_clock_is_noted_with_the_commit_that_saw_it_also_over_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    box = open_box(tmp_path / "data", clock=clock)
    records(box, [0])
    clock.now += 3_600 * US_PER_S
    records(box, [1])
    clock.pass_s(5)
    records(box, [2])
    box.close()
    clock.now -= 7_200 * US_PER_S
    clock.pass_s(60)
    box = open_box(tmp_path / "data", clock=clock)
    records(box, [3])
    box.close()
    found = [e for e in chain(tmp_path / "data") if e["kind"] == "clock"]
    assert [(e["by_us"] / US_PER_S, e["over"]) for e in found] == [(3_600.0, "running"), (-7_200.0, "running")]


def test_what_the_config_was_and_who_changed_it_is_there_without_its_secrets(tmp_path: Path) -> None:
    text = '[http]\ntokens = ["a-long-secret-token-0123456789"]\n[hot]\ncommit_every = "1ms"\n[limits]\ndisk_free_min = 1\n'
    box = open_box(tmp_path / "data", text, clock=FakeClock())
    note_start(box, config(box.folder, text), author="boot")
    note_start(box, config(box.folder, text), author="boot")
    note_reload(box, config(box.folder, text.replace("1ms", "2ms")), author="anna@desk")
    note_reload(box, config(box.folder, text.replace("1ms", "2ms")), author="anna@desk")
    box.close()
    found = chain(tmp_path / "data")
    assert [e["kind"] for e in found] == ["begin", "start", "config", "start", "config"]
    assert found[-1]["who"] == "anna@desk"
    assert found[-1]["changed"] == {"hot.commit_every": ['"1ms"', '"2ms"']}
    assert "secret" not in json.dumps(found)


def test_changes_of_options_are_told_with_both_values() -> None:
    assert changes({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == {"a": ["1", None], "b": ["2", "3"], "c": [None, "4"]}


KILLS = [
    ("roll.written:1", []),
    ("roll.durable:1", ["begin", "roll"]),
    ("roll.written:2", ["begin", "roll"]),
    ("compact.written:1", ["begin", "roll", "roll"]),
    ("compact.durable:1", ["begin", "roll", "roll", "compact"]),
    ("set_aside.written:1", ["begin", "roll", "roll", "compact"]),
    ("set_aside.durable:1", ["begin", "roll", "roll", "compact", "damaged"]),
]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of boxes that were killed, by step."""
    folder: Path = tmp_path_factory.mktemp("killed")
    kill_at(folder, "lake", [step for step, _ in KILLS])
    return folder


@pytest.mark.parametrize(("step", "there"), KILLS)
def test_a_kill_leaves_chain_and_manifest_agreed(killed: Path, tmp_path: Path, step: str, there: list[str]) -> None:
    assert kinds(killed / step / "data") == there
    bundle(killed / step / "data", tmp_path / "bundle")
    assert differences(killed / step / "data", tmp_path / "bundle") == []


def test_gaps_refusals_and_silences_stand_in_the_bundle(tmp_path: Path) -> None:
    box = open_box(tmp_path / "data", clock=FakeClock())
    records(box, range(10))
    roll(box)
    records(box, [8_000, 8_001, 30_000])
    roll(box)
    refuse(box, b"\xff no number")
    (first, second) = box.state.streams["readings"].segments
    box.set_aside("readings", first, state="missing", reason="is missing")
    records(box, [30_001])
    box.close()
    made = bundle(tmp_path / "data", tmp_path / "bundle", asked(NOON_US, NOON_US + 40_000 * US_PER_S))
    assert any("was set aside" in line for line in made.wrong)
    gaps = [json.loads(line) for line in (tmp_path / "bundle" / "gaps.jsonl").read_text().splitlines()]
    sequences = [(g["first"], g["last"]) for g in gaps if g["kind"] == "sequences"]
    assert sequences == [(1, 10)]
    assert [g["seconds"] for g in gaps if g["kind"] == "silence"] == [21_999.0, 9_999.0]
    (letter,) = [json.loads(line) for line in (tmp_path / "bundle" / "refused.jsonl").read_text().splitlines()]
    assert (letter["reason"], letter["raw_bytes"]) == ("it is no number", 11)
    assert second.path in (tmp_path / "bundle" / "segments.sha256").read_text()


def test_the_bundle_can_be_checked_with_sha256sum_as_its_readme_says(tmp_path: Path) -> None:
    box = open_box(tmp_path / "data", clock=FakeClock())
    records(box, range(10))
    roll(box)
    box.close()
    made = bundle(tmp_path / "data", tmp_path / "bundle")
    readme = (tmp_path / "bundle" / "README.md").read_text()
    loop = readme[readme.index("       before=;") : readme.index("4. The box")]
    script = f"sha256sum -c --quiet SHA256SUMS && cd ../data && sha256sum -c --quiet ../bundle/segments.sha256 && cd ../bundle && {loop}"
    said = subprocess.run(["bash", "-c", script], cwd=tmp_path / "bundle", capture_output=True, text=True, check=True)
    assert said.stdout.split() == [made.head]
    (tmp_path / "bundle" / "chain.jsonl").write_text((tmp_path / "bundle" / "chain.jsonl").read_text().replace('"rows":10', '"rows":9'))
    said = subprocess.run(["bash", "-c", loop], cwd=tmp_path / "bundle", capture_output=True, text=True, check=True)
    assert made.head not in said.stdout


@given(st.lists(st.integers(0, 200), max_size=30), st.integers(1, 30))
def test_spans_and_silences_are_those_of_the_sorted_times(times: list[int], within: int) -> None:
    spans = spans_of(np.array(times, np.int64), within_us=within)
    ordered = sorted(times)
    wanted = [(a, b) for a, b in pairwise(ordered) if b - a > within]
    assert joined(spans, within_us=within) == spans
    assert silences(spans, since_us=None, until_us=max(times, default=0), within_us=within) == wanted


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10)), max_size=10))
def test_missing_sequences_are_those_in_no_span(spans: list[tuple[int, int]]) -> None:
    whole = [(low, low + more) for low, more in spans]
    there = {n for low, high in whole for n in range(low, high + 1)}
    found = [n for low, high in missing(whole, first=1, last=40) for n in range(low, high + 1)]
    assert found == [n for n in range(1, 41) if n not in there]


def test_a_line_says_the_same_after_it_was_read() -> None:
    line = line_of(number=1, before=FIRST, reading=AT, kind="config", body={"stream": "\udcff ü", "rows": 3})
    link = read_line(line)
    assert link is not None
    assert (link.id, link.kind, link.body["rows"]) == (1, "config", 3)
    assert read_line("no entry") is None


def test_a_walk_forgets_what_was_replaced_and_is_not_asked_for(tmp_path: Path) -> None:
    box = open_box(tmp_path / "data", clock=FakeClock())
    for start in (0, 10):
        records(box, range(start, start + 10))
        roll(box)
    compact(box, NOON_DAY, tmp_path / "spill")
    with closing(box.reader()) as reader:
        for wanted, states in ((asked(), ["replaced", "replaced", "live"]), (asked(NOON_US + US_PER_DAY), ["live"])):
            walk = Walk(reader, wanted)
            assert list(breaks(walk.lines())) == []
            assert [f.state for f in walk.whole.segments.values()] == states
            assert (walk.count, walk.whole.accounts["readings"].nowhere, walk.whole.unknown) == (4, 0, [])
    box.close()
