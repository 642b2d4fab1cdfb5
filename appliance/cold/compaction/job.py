"""What the service and the compaction process say to each other: one JSON object a line, jobs down, events up."""

from __future__ import annotations

from typing import Final

import msgspec

from appliance.manifest import Deletion, Segment
from appliance.records import Column, Schema
from appliance.tally import Tally

MIB: Final = 1 << 20


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One plan with all that the process needs to carry it out."""

    folder: str
    """The stream's encoded name."""
    node: str
    stream: str
    schema_version: int
    columns: tuple[Column, ...]
    """Of the newest schema: what the outputs have, whatever the inputs had."""
    identity: tuple[str, ...] | None
    """As of ``StreamState.identity_columns``; None: no two records are the same."""
    day: int
    """The first of ``days`` within one month."""
    level: int
    dedup: bool
    inputs: tuple[Segment, ...]
    rows_max: int
    """Of one output."""
    memory_bytes: int
    """Of the rows held at a time, besides interpreter and libraries."""
    days: int = 1
    deletions: tuple[Deletion, ...] = ()
    """Records of these are left out of the outputs."""

    @property
    def schema(self) -> Schema:
        return Schema(self.stream, self.columns, self.schema_version)


class Writing(msgspec.Struct, frozen=True, tag="writing"):
    """A file is about to get this path; if nothing else is heard of it, it is an orphan."""

    path: str


class Stepped(msgspec.Struct, frozen=True, tag="step"):
    """A step of publishing a file was done; see ``Publisher``."""

    name: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Records written so far."""

    rows: int


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """The job is done; its outputs are published and synced, in no manifest yet."""

    outputs: tuple[Segment, ...]
    folded: int
    """Records that were merged into a later twin."""
    cpu_s: float
    removed: int = 0
    """Records that were left out because they were deleted."""
    untouched: bool = False
    """True: the only input holds nothing that was deleted and stays as it is; there is no output."""
    changes: dict[int, Tally] = {}
    """What the outputs hold more or less than the inputs, by UTC day: records made one, left out, or with integers as floats."""


class Failed(msgspec.Struct, frozen=True, tag="failed", kw_only=True):
    """The job could not be done and left nothing behind."""

    reason: str
    damaged: str | None = None
    """Path of the input that is not what the manifest says."""
    no_room: bool = False
    """The disk (or the memory to sort in) is full: later it may work."""


Event = Writing | Stepped | Progress | Done | Failed
