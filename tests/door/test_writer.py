from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest

from appliance.box import Box
from appliance.door.commit import Committer
from appliance.door.group import Group
from appliance.errors import OutcomeUnknown, RejectPayload, RetryLater
from appliance.hot import encoding
from appliance.records import Batch, FileProgress, Receipt
from tests.clock import FakeClock
from tests.door.batches import at, batch, rows_of, send, submission
from tests.door.conftest import Opens
from tests.running import wait_for

SLOW = '[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "300ms"\n'


def put(box: Box, *seconds: float, stream: str = "s") -> list[Future[Receipt]]:
    return [box.door.put(submission(batch(stream, [at(s)], x=[1.0]))) for s in seconds]


def test_what_waits_is_committed_together(opens: Opens) -> None:
    box = opens(SLOW)
    send(box, batch("s", [at(0)], x=[1.0]))
    futures = put(box, 1, 2, 3, 4)
    assert not any(f.done() for f in futures)
    wait(futures, 30)
    assert box.writer.commits == 2
    assert [f.result().sequences["s"] for f in futures] == [(i, i) for i in (2, 3, 4, 5)]


def test_the_first_after_a_silence_does_not_wait(opens: Opens, clock: FakeClock) -> None:
    box = opens('[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1s"\n')
    clock.pass_s(60)
    (future,) = put(box, 0)
    assert future.result(0.9).records == 1


def test_a_transaction_has_a_limit_in_bytes(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.door.writer.GROUP_BYTES_MAX", 50)
    box = opens()
    held = box.writer.call(lambda _: put(box, *range(12))).result(30)
    wait(held, 30)
    assert 4 <= box.writer.commits <= 12
    assert [f.result().sequences["s"] for f in held] == [(i, i) for i in range(1, 13)]


def test_tasks_and_submissions_are_done_in_the_order_of_arrival(opens: Opens) -> None:
    box = opens()
    seen: list[tuple[str, int]] = []

    def look(name: str) -> Future[None]:
        return box.writer.call(lambda c: seen.append((name, c.books["s"].last_seq if "s" in c.books else 0)))

    def all_at_once(_: Committer) -> list[Future[Any]]:
        return [look("before"), *put(box, 1, 2), look("between"), look("again"), *put(box, 3), look("after")]

    wait(box.writer.call(all_at_once).result(30), 30)
    wait_for(lambda: len(seen) == 4, what="the looks")
    assert seen == [("before", 0), ("between", 2), ("again", 2), ("after", 3)]


def test_whoever_has_the_receipt_sees_the_record(opens: Opens) -> None:
    box = opens('[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\n')
    missing: list[int] = []

    def check(future: Future[Receipt]) -> None:
        last = future.result().sequences["s"][1]
        if box.state.streams["s"].last_seq < last or box.state.streams["s"].ring[-1].last < last:
            missing.append(last)

    futures = []
    for i in range(200):
        futures += put(box, i)
        futures[-1].add_done_callback(check)
    wait(futures, 30)
    assert missing == []
    assert box.state.version > 1


def test_many_threads_may_submit_at_once(opens: Opens) -> None:
    box = opens('[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\n')
    got: list[tuple[int, int]] = []
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(40):
                receipt = send(box, batch("s", [at(i)], tags={"thread": [str(number)]}, x=[i]))
                got.append((number, receipt.sequences["s"][0]))
        except BaseException as e:  # noqa: BLE001 - told by the test's own thread
            errors.append(e)

    with ThreadPoolExecutor(12) as pool:
        wait([pool.submit(work, n) for n in range(12)], 60)
    assert errors == []
    assert sorted(seq for _, seq in got) == list(range(1, 481))
    rows = rows_of(box, "s")
    assert {(int(r["thread"]), r["_seq"]) for r in rows} == set(got)
    for number in range(12):
        assert [r["x"] for r in rows if r["thread"] == str(number)] == list(range(40)), "each thread's records keep their order"
    assert box.door.inflight_bytes == 0


def test_closing_commits_what_waits_and_refuses_the_rest(opens: Opens) -> None:
    box = opens(SLOW)
    send(box, batch("s", [at(0)], x=[1.0]))
    waiting = put(box, 1, 2, 3)
    box.close()
    assert [f.result(0).records for f in waiting] == [1, 1, 1]
    with pytest.raises(RetryLater, match="stopping"):
        put(box, 4)[0].result(0)
    with pytest.raises(RetryLater, match="stopping"):
        box.writer.call(lambda _: None).result(0)
    assert box.door.inflight_bytes == 0
    box.close()
    assert [r["_seq"] for r in rows_of(opens(), "s")] == [1, 2, 3, 4]


async def test_a_client_that_goes_away_harms_nobody(opens: Opens) -> None:
    box = opens(SLOW)
    await box.door.submit(submission(batch("s", [at(0)], x=[1.0])))
    gone = asyncio.ensure_future(box.door.submit(submission(batch("s", [at(1)], x=[2.0]))))
    stays = asyncio.ensure_future(box.door.submit(submission(batch("s", [at(2)], x=[3.0]))))
    await asyncio.sleep(0)
    gone.cancel()
    receipt = await stays
    assert receipt.sequences == {"s": (3, 3)}
    assert gone.cancelled()
    assert box.writer.failed is None
    assert (await box.door.submit(submission(batch("s", [at(3)], x=[4.0])))).sequences == {"s": (4, 4)}


def test_a_task_that_fails_harms_nobody(opens: Opens) -> None:
    box = opens()
    with pytest.raises(KeyError):
        box.last_values("no such stream")
    with pytest.raises(ZeroDivisionError):
        box.writer.call(lambda _: 1 // 0).result(30)
    assert send(box, batch("s", [at(0)], x=[1.0])).records == 1


def test_a_task_may_be_given_up(opens: Opens) -> None:
    box = opens()
    assert not box.writer.call(lambda _: 1).cancel()
    assert send(box, batch("s", [at(0)], x=[1.0])).records == 1


def test_a_submission_that_breaks_the_check_harms_only_itself(opens: Opens) -> None:
    box = opens()
    broken = submission(Batch("s", (), batch("s", [at(0)], x=[1.0]).data.drop_columns(["ts"])))
    futures = box.writer.call(lambda _: [*put(box, 1), box.door.put(broken), *put(box, 2, math.pi)]).result(30)
    found = [f.exception(30) for f in futures]
    assert [type(e) for e in found] != [type(None)] * 4
    assert (found[0], found[2], found[3]) == (None, None, None)
    assert not isinstance(found[1], RetryLater | RejectPayload)
    assert [r["_seq"] for r in rows_of(box, "s")] == [1, 2, 3]
    assert box.door.inflight_bytes == 0


def test_a_submission_that_breaks_the_transaction_harms_only_itself(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    box = opens()
    send(box, batch("s", [at(0)], x=[1.0]))
    before = box.state
    real = encoding.encode

    def breaks(schema: Any, data: Any) -> Any:
        if schema.stream == "bad":
            raise MemoryError
        return real(schema, data)

    monkeypatch.setattr("appliance.hot.store.encode", breaks)
    futures = box.writer.call(lambda _: [*put(box, 1), *put(box, 1, stream="bad"), *put(box, 2)]).result(30)
    assert [type(f.exception(30)) for f in futures] == [type(None), MemoryError, type(None)]
    assert set(box.state.streams) == {"s"}
    assert set(box.committer.books) == {"s"}
    assert box.state.version == before.version + 2
    monkeypatch.undo()
    assert put(box, 1, stream="bad")[0].result(30).sequences == {"bad": (1, 1)}
    assert [(s.name, s.id) for s in box.state.streams.values()] == [("s", 1), ("bad", 2)]


def test_a_listener_that_fails_is_told_no_more(opens: Opens, caplog: pytest.LogCaptureFixture) -> None:
    box = opens()
    told: list[Any] = []

    def fails(counts: Any) -> None:
        told.append(("fails", dict(counts)))
        raise RuntimeError("the loop is closed")

    box.door.listeners += [fails, lambda counts: told.append(("works", dict(counts)))]
    for second in (0, 1):
        send(box, batch("s", [at(second)], x=[1.0]))
    assert told == [("fails", {"s": 1}), ("works", {"s": 1}), ("works", {"s": 1})]
    assert "the loop is closed" in caplog.text


class _Dies:
    """A store whose COMMIT fails as a disk does."""

    def __init__(self, box: Box, code: int, text: str) -> None:
        self._real = box.store._db
        self.code = code
        self.text = text
        self.on = True

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql == "COMMIT" and self.on:
            error = sqlite3.OperationalError(self.text)
            error.sqlite_errorcode = self.code
            raise error
        return self._real.execute(sql, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_BUSY, "database is locked"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "disk I/O error"),
    ],
)
def test_a_full_disk_changes_nothing_and_passes(opens: Opens, code: int, text: str) -> None:
    box = opens()
    send(box, batch("s", [at(5)], tags={"t": ["a"]}, x=[1.0]))
    before, book = box.state, box.committer.books["s"]
    disk = _Dies(box, code, text)
    box.store._db = disk  # type: ignore[assignment]
    bad = [
        box.door.put(submission(batch("s", [at(9), at(1)], tags={"t": ["b", "a"], "new": ["c", "c"]}, x=[2.0, 3.0]))),
        box.door.put(submission(batch("other", [at(9)], x=[2.0]), progress=FileProgress("d", "f", 1, 1, done=True, stream="other"))),
    ]
    for future in bad:
        assert isinstance(future.exception(30), RetryLater)
        assert not isinstance(future.exception(), OutcomeUnknown)
    with pytest.raises(RetryLater):
        box.writer.call(lambda c: c.commit_roll("s", (), mark=1)).result(30)
    assert box.state is before
    assert box.file_progress("d", "other") is None
    assert (len(book.series), book.last_seq, book.dirty, book.future, book.mark) == (1, 1, {}, None, 0)
    assert book.series.ts_max.tolist() == [at(5)]
    assert box.door.inflight_bytes == 0
    assert box.writer.failed is None
    disk.on = False
    assert send(box, batch("s", [at(9)], tags={"t": ["b"]}, x=[2.0])).sequences == {"s": (2, 2)}
    assert send(box, batch("other", [at(9)], x=[2.0])).records == 1
    assert box.state.streams["s"].dirty == {}


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY_DBMOVED]
)
def test_a_failed_disk_ends_the_writer_and_acknowledges_nobody(opens: Opens, code: int) -> None:
    told: list[BaseException] = []
    box = opens(SLOW, on_fatal=told.append)
    send(box, batch("s", [at(0)], x=[1.0]))
    before = box.state
    disk = _Dies(box, code, "disk I/O error")
    box.store._db = disk  # type: ignore[assignment]
    try:
        futures: list[Future[Any]] = [*put(box, 1, 2), box.writer.call(lambda _: None)]
        for future in futures:
            assert isinstance(future.exception(30), OutcomeUnknown)
        wait_for(lambda: told, what="the word of the end")
        assert told == [box.writer.failed]
        assert box.state is before
        with pytest.raises(RetryLater, match="stopping"):
            put(box, 3)[0].result(0)
        assert box.door.inflight_bytes == 0
        box.close()
        assert disk._real.execute("SELECT value FROM meta WHERE key = 'clean_shutdown'").fetchone() == ("0",)
    finally:
        disk._real.close()


def test_an_error_between_the_commit_and_memory_is_fatal(opens: Opens) -> None:
    told: list[BaseException] = []

    def step(name: str) -> None:
        if name == "commit.durable":
            raise RuntimeError("a defect")

    box = opens(step=step, on_fatal=told.append)
    assert isinstance(put(box, 1)[0].exception(30), OutcomeUnknown)
    wait_for(lambda: told, what="the word of the end")
    box.store._db.close()


def test_a_checkpoint_that_fails_is_not_silent(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr("appliance.hot.store.WAL_PAGES_CHECKPOINT", 1)
    box = opens(on_fatal=told.append)
    real = box.store._checkpoint

    def fails(mode: str) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    monkeypatch.setattr(box.store, "_checkpoint", fails)
    assert put(box, 1)[0].result(30).records == 1, "what was committed before is acknowledged"
    wait_for(lambda: told, what="the word of the end")
    assert real is not fails
    box.store._db.close()


def test_the_log_is_moved_into_the_file_outside_of_commits(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.hot.store.WAL_PAGES_CHECKPOINT", 20)
    box = opens()
    wal = box.folder / "hot.sqlite-wal"
    for i in range(60):
        send(box, batch("s", [at(i)] * 400, tags={"t": [f"{i} {k}" for k in range(400)]}, x=[float(k) for k in range(400)]))
    assert wal.stat().st_size < 1_000_000
    assert len(rows_of(box, "s")) == 24_000


def test_the_writer_shows_that_it_lives(opens: Opens, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.door.writer.IDLE_S", 0.01)
    box = opens()
    clock.pass_s(100)
    wait_for(lambda: box.writer.progress_ns == clock.monotonic_ns(), what="the loop to go round")


def test_more_than_may_wait_is_told_to_come_again(opens: Opens) -> None:
    box = opens(SLOW)
    box.door.inflight_bytes_max = 1024
    held = threading.Event()
    started = threading.Event()

    def hold(_: Committer) -> None:
        started.set()
        held.wait(30)

    blocked = box.writer.call(hold)
    started.wait(30)
    large = submission(batch("s", [at(i) for i in range(1000)], x=[1.0] * 1000))
    first = box.door.put(large)
    assert box.door.is_behind
    second = box.door.put(large)
    assert isinstance(second.exception(0), RetryLater)
    held.set()
    assert first.result(30).records == 1000, "one that is larger than the limit is taken when nothing else waits"
    assert blocked.done()
    assert not box.door.is_behind
    assert box.door.submit_blocking(large, 30).records == 1000


def test_too_little_disk_refuses_and_says_so(opens: Opens, clock: FakeClock) -> None:
    box = opens('[limits]\ndisk_free_min = "1000TiB"\n')
    with pytest.raises(RetryLater, match="the disk is full") as refused:
        send(box, batch("s", [at(0)], x=[1.0]))
    assert refused.value.after_s == 5
    assert "kept back" in str(box.door.disk_problem)
    assert box.door.inflight_bytes == 0


def test_before_the_start_the_door_is_shut(opens: Opens, clock: FakeClock) -> None:
    box = opens()
    box.door._writer = None
    with pytest.raises(RetryLater, match="starting"):
        send(box, batch("s", [at(0)], x=[1.0]))


def test_a_wait_may_have_an_end(opens: Opens) -> None:
    box = opens()
    held = threading.Event()
    box.writer.call(lambda _: held.wait(30))
    with pytest.raises(RetryLater, match="did not answer"):
        box.door.submit_blocking(submission(batch("s", [at(0)], x=[1.0])), 0.05)
    held.set()
    wait_for(lambda: "s" in box.state.streams, what="the commit that came after all")


def test_a_group_with_nothing_in_it_is_a_commit_all_the_same(opens: Opens) -> None:
    assert send(opens()) == Receipt(0)


def test_a_group_can_be_made_by_hand(opens: Opens) -> None:
    box = opens()
    group: Group = box.committer.new_group()
    group.add(submission(batch("s", [at(0)], x=[1.0])))
    group.settle()
    assert (list(group.drafts), group.entries[0].records) == (["s"], 1)
    assert box.state.streams == {}
