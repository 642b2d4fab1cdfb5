"""A box with a history: rolled, compacted, refused, its clock set, and bundles of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from appliance.box import Box
from appliance.clock import US_PER_DAY, US_PER_S
from appliance.cold.compaction.job import Job
from appliance.cold.compaction.plan import FINAL
from appliance.cold.compaction.process import run_job
from appliance.cold.files import Publisher
from appliance.door.lake_commits import commit_compaction, commit_deletion
from appliance.errors import ApplianceError
from appliance.manifest import Deletion
from appliance.reconcile.audit.checking import Vouched, check_data, check_itself, read_bundle
from appliance.reconcile.audit.writing import Asked, Made, write_bundle
from appliance.records import Reject
from appliance.roll.hot_rows import oldest_rows
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from appliance.serving.folder import open_folder
from tests.clock import NOON_US
from tests.door.batches import batch, send


def records(box: Box, times_s: Sequence[float], *, device: str = "d1", stream: str = "readings") -> None:
    """One record at each of these seconds after noon."""
    ts = [NOON_US + int(t * US_PER_S) for t in times_s]
    send(box, batch(stream, ts, tags={"device": [device] * len(ts)}, value=[float(t) for t in times_s]))


def delete(box: Box, device: str, stream: str = "readings") -> None:
    """All records of a device."""
    asked = Deletion(0, stream, None, None, {"device": device}, 0, 0, "anna@desk", "not ours")
    box.writer.call(lambda c: commit_deletion(c, asked, records=1)).result()


def refuse(box: Box, raw: bytes) -> None:
    """A record that can't be taken."""
    send(box, rejects=(Reject(raw=raw, reason="it is no number", line=1, stream="readings"),))


def roll(box: Box, stream: str = "readings") -> None:
    """Everything hot goes into the lake."""
    state = box.state.streams[stream]
    reader = box.reader()
    try:
        result = Roller(Publisher(box.folder, owner="roll"), node="n").build(
            RollStep(stream, state.mark, state.last_seq, Reason.ASKED),
            folder=state.folder,
            identity=state.identity_columns(),
            rows=lambda s: HotRows(s.mark + 1, oldest_rows(state, reader, until=s.until), state.schema),
        )
    finally:
        reader.close()
    box.commit_roll(stream, result.segments, mark=result.mark_to)


def compact(box: Box, day: int, spill: Path, stream: str = "readings") -> None:
    """All segments of a day into one."""
    state = box.state.streams[stream]
    inputs = [s for s in state.segments if s.day == day]
    job = Job(
        folder=state.folder,
        node="n",
        stream=stream,
        schema_version=state.schema.version,
        columns=state.schema.columns,
        identity=state.identity_columns(),
        day=day,
        days=1,
        deletions=(),
        level=FINAL,
        dedup=True,
        inputs=tuple(inputs),
        rows_max=1_000_000,
        memory_bytes=64 << 20,
    )
    done = run_job(job, root=box.folder, spill=spill, emit=lambda _event: None)
    mark = state.mark
    commit = partial(
        commit_compaction,
        key=stream,
        inputs=inputs,
        outputs=done.outputs,
        clean_days=range(day, day + 1),
        up_to_seq=mark,
        changes=done.changes,
    )
    assert box.writer.call(commit).result()


NOON_DAY = NOON_US // US_PER_DAY


def asked(since_us: int | None = None, until_us: int = NOON_US + 2 * US_PER_DAY, *, silence_s: float = 3600.0) -> Asked:
    return Asked(since_us=since_us, until_us=until_us, silence_s=silence_s, author="tester", node="n", now_us=NOON_US)


def bundle(folder: Path, target: Path, wanted: Asked | None = None, *, key: bytes | None = None) -> Made:
    """Writes a bundle of a folder."""
    with open_folder(folder) as (reader, state):
        return write_bundle(folder, target, reader, state, wanted or asked(), key=key)


def differences(folder: Path, target: Path, vouched: Vouched | None = None) -> list[str]:
    """What a check finds."""
    try:
        found = read_bundle(target)
    except ApplianceError as e:
        return [str(e)]
    wrong = list(check_itself(target, found, vouched or Vouched()))
    with open_folder(folder) as (reader, state):
        return wrong + list(check_data(folder, found, reader, state))
