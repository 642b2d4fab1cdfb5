"""What indexes answer is what the texts say, and nothing depends on whether there is one."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from appliance.batch_options import BatchOptions
from appliance.batching.work import Context
from appliance.batching.work import Run as Asked
from appliance.cold.beside import bytes_beside
from appliance.config import load_config
from appliance.hybrid.search.checking import DIFFERS, difference
from appliance.hybrid.search.language import parse
from appliance.hybrid.search.matching import fitting
from appliance.hybrid.search.offline import checks_of_folder
from appliance.hybrid.search.sealed.building import Task, build
from appliance.hybrid.search.sealed.frames import Frames
from appliance.hybrid.search.sealed.looking import Memory, Room, Run
from appliance.hybrid.search.sealed.packing import PackedPart, pack
from appliance.hybrid.search.sealing import WAIT_NS, Sealing
from appliance.reconcile.alone import reconcile_folder
from appliance.records import Format
from appliance.serving.folder import folder_status
from tests.hybrid.search.house import TextHouse, seqs

WORDS = ["disk", "error", "on", "late", "sda", "been", "be", "bee", "é", "100", "10", "1000"]
QUERIES = (
    "disk",
    "be",
    "be*",
    "bee NOT been",
    "10*",
    "1 OR 100",
    "disk error",
    '"disk error"',
    "nothing",
    "nothing OR late",
    "z*",
    "NOT disk on",
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[TextHouse]:
    made = TextHouse(tmp_path)
    yield made
    made.close()


def lines(count: int, seed: int) -> list[str | None]:
    """Sentences with numbers in them, some of them empty."""
    rng = random.Random(seed)
    return [
        None if rng.random() < 0.05 else " ".join([*rng.choices(WORDS, k=rng.randrange(6)), str(rng.randrange(10**6))])
        for _ in range(count)
    ]


@pytest.mark.parametrize(("count", "seed"), [(1, 1), (40, 2), (3_000, 3), (20_000, 4)])
def test_a_packed_run_says_which_rows_fit(count: int, seed: int) -> None:
    texts = pa.array(lines(count, seed), pa.string())
    part = pack([texts])

    def run() -> Run:
        blocks = partial(blocks_of, part)
        return Run(part.rows, Frames(part.common).section(0), lambda: part.head, blocks, memory)

    room = Room(2 * count if seed % 2 else 0)
    memory = Memory(room=room)
    numbers = [f"{word} {text.split()[-1]}" for text in texts.slice(0, 5).to_pylist() if text for word in ("disk", "be*", "1*")]
    for text in (*QUERIES, *numbers, *QUERIES):  # the last ones out of what is remembered
        query = parse(text)
        found = run().scores(query)
        wanted = fitting(query, [texts])
        assert run().count(query) == (0 if found is None else np.count_nonzero(found[0])), text
        if found is None:
            assert not wanted.any(), text
            continue
        scores, doubtful = found
        sure = scores > 0 if doubtful is None else (scores > 0) & ~doubtful
        assert (wanted[sure]).all(), text
        assert not wanted[scores == 0].any(), text
        assert doubtful is not None or (wanted == sure).all(), text
    memory.forget()
    assert room.bytes == 0


def blocks_of(part: PackedPart, word: bytes, is_prefix: bool) -> list[bytes]:
    """All blocks: more than are needed never hurts."""
    return [body for first, body in part.blocks if first <= word or is_prefix]


@pytest.mark.parametrize("format", [Format.LP, Format.CSV])
def test_hits_are_the_same_hot_rolled_sealed_and_compacted(house: TextHouse, format: Format) -> None:
    rows = [(-i / 100, "ab"[i % 2], text, "on sda" if i % 7 == 0 else None) for i, text in enumerate(lines(150, 5))]
    house.write(rows, format=format)
    for step in ("check", "index", "roll", "seal", "compact", "seal", "restart"):
        if step != "check":
            getattr(house, step)()
        house.check(*QUERIES[:9], "sda AND on", '"on sda"', '"error on"')
    assert house.shelf.index(house.box.state.streams["readings"], house.box.state.streams["readings"].segments[0], ("note", "more"))


def test_only_texts_of_new_segments_are_packed_and_indexes_of_gone_ones_go(house: TextHouse) -> None:
    house.write([(0, "a", "disk", None)])
    house.roll()
    house.write([(-1, "b", "disk error", None)])
    house.roll()
    assert [house.seal(), house.seal()] == [2, 0]
    house.compact()
    assert house.seal() == 1
    assert len(house.shelf.files()) == 1


def test_a_damaged_index_is_removed_and_the_texts_are_read(house: TextHouse) -> None:
    house.write([(-i / 100, "a", text, None) for i, text in enumerate(lines(200, 6))])
    house.roll()
    house.seal()
    [path] = house.shelf.files()
    whole = path.read_bytes()
    wanted = house.read("disk")
    for at in range(1_500, len(whole), len(whole) // 12):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert seqs(house.search("disk")[0]) == wanted
    path.write_bytes(whole[: len(whole) // 2])
    assert seqs(house.search("disk")[0]) == wanted


def test_an_index_of_other_fields_is_not_used(house: TextHouse) -> None:
    house.write([(0, "a", "disk", "error")])
    house.roll()
    house.seal()
    stream = house.box.state.streams["readings"]
    assert house.shelf.index(stream, stream.segments[0], ("note", "more")) is not None
    assert house.shelf.index(stream, stream.segments[0], ("note",)) is None
    assert len(house.shelf.missing(stream, ("note",))) == 1


def test_filters_of_tag_and_time_hold_on_every_side(house: TextHouse) -> None:
    house.write([(0, "a", "disk", None), (1, "b", "disk", None), (2, "a", "disk", None)])
    noon = house.clock.now_us()
    for step in ("check", "index", "roll", "seal"):
        if step != "check":
            getattr(house, step)()
        assert seqs(house.search("disk", where=("device=a",))[0]) == [3, 1]
        assert seqs(house.search("disk", since_us=noon + 1, until_us=noon + 2 * 3_600_000_000)[0]) == [2]
        assert seqs(house.search("disk", limit=1)[0]) == [3]


def test_an_index_that_says_something_else_than_its_records_is_found(house: TextHouse) -> None:
    house.write([(-i / 100, "a", text, None) for i, text in enumerate(lines(300, 7))])
    house.roll()
    house.seal()
    stream, shelf = house.box.state.streams["readings"], house.shelf
    [segment] = stream.segments
    index = shelf.index(stream, segment, ("note", "more"))
    assert index is not None
    assert difference(house.folder, segment, index, turn=3) is None
    forged = pack([pa.array(["disk", *[""] * 299])])
    with closing(sqlite3.connect(index.path)) as db:
        db.execute("UPDATE part SET head = ?, common = ?", (forged.head, forged.common))
        db.execute("DELETE FROM words")
        db.executemany("INSERT INTO words VALUES (0, ?, ?, ?)", [(n, *block) for n, block in enumerate(forged.blocks)])
        db.commit()
    shelf.close()
    assert "by the index in" in (difference(house.folder, segment, index, turn=0) or "")


def test_an_index_goes_with_its_segment_and_its_bytes_are_known_until_then(house: TextHouse) -> None:
    for day in (-48, -24, 0):
        house.write([(day, "a", "disk", None)])
        house.roll()
    assert house.seal() == 3
    state = house.box.state
    beside = bytes_beside(house.folder, state.streams.values())
    assert set(beside) == {segment.path for segment in state.streams["readings"].segments}
    assert sum(beside.values()) == sum(path.stat().st_size for path in house.shelf.files())
    assert folder_status(house.folder).lake.index_bytes == sum(beside.values())
    assert house.expire(house.clock.now_us() - 36 * 3_600_000_000)
    assert seqs(house.search("disk")[0]) == [3, 2], "what is gone is not found from then on"
    work = Sealing(house.shelf, state=lambda: house.box.state, fields=lambda _s: ("note",), memory_bytes=16 << 20, batch=BatchOptions())
    unfinished = house.shelf.files()[0].with_name("search-1.tmp")
    unfinished.write_bytes(b"another process is at it")
    asyncio.run(work.tidy())
    assert unfinished.exists()
    unfinished.unlink()
    assert len(house.shelf.files()) == 2
    house.delete(None, None, "a")
    assert not house.search("disk")[0]
    house.compact()
    asyncio.run(work.tidy())
    assert not house.shelf.files()


def test_a_folder_without_a_service_says_which_index_is_wrong_and_is_mended(house: TextHouse, tmp_path: Path) -> None:
    house.write([(-i / 100, "a", text, None) for i, text in enumerate(lines(300, 7))])
    house.roll()
    house.seal()
    house.box.close()
    [path] = house.shelf.files()
    config = load_config(data_dir=house.folder, file=house.root / "box.toml")
    ask = partial(reconcile_folder, config, since_us=None, full=False, clock=house.clock)

    def found(*, repair: bool = False) -> list[tuple[str, str]]:
        others, repairs = checks_of_folder(config)
        answer = ask(repair=repair, others=others, repairs=repairs)
        return [(row.kind, row.state) for row in answer.findings if row.kind == DIFFERS]

    assert found() == []
    whole = path.read_bytes()
    path.write_bytes(whole[:3_000] + bytes([whole[3_000] ^ 0x55]) + whole[3_001:])
    assert [kind for kind, _ in found()] == [DIFFERS]
    assert found(repair=True) == [(DIFFERS, "repaired")]
    assert not path.exists()
    assert found() == []
    house.start()
    house.check("disk")


class Here:
    """A runner whose programs run in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def program(self, _command: Sequence[str], *, input: bytes = b"") -> bytes:
        task = msgspec.json.decode(input, type=Task)
        return msgspec.json.encode(build(msgspec.structs.replace(task, root=str(self.folder))))


def test_batch_builds_what_is_missing_and_passes_over_what_it_can_not_read(house: TextHouse) -> None:
    for day in (0, -24, -48):
        house.write([(day, "a", "disk", None)])
        house.roll()
    stream, shelf = house.box.state.streams["readings"], house.shelf
    work = Sealing(shelf, state=lambda: house.box.state, fields=lambda _s: ("note",), memory_bytes=16 << 20, batch=BatchOptions())
    assert not work.is_due(0)
    assert work.is_due(WAIT_NS)
    (house.folder / stream.segments[1].path).write_bytes(b"no segment")
    context = Context(Asked(0, work.name, 0, "asked"), Here(house.folder), lambda _part, _what: None, lambda: False)  # type: ignore[arg-type]  # it asks for programs alone
    outcome = asyncio.run(work.run(context))
    assert outcome.words == "2 segments indexed"
    assert list(work.failed) == [stream.segments[1].path]
    assert not work.is_due(2 * WAIT_NS)
    work.hurry()
    assert shelf.drop(stream) == 2
    assert work.is_due(2 * WAIT_NS)
