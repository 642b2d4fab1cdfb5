"""Files that lie beside segments and go with them, the sealed search indexes: where each is, and what they take of the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from appliance.manifest import Segment

FOLDER: Final = "search"
SUFFIX: Final = ".words"
HOT: Final = f"{FOLDER}/hot.sqlite"
"""The index of what is in no segment yet; made anew at each start."""


class OfStream(Protocol):
    """What has to be known of a stream; ``StreamState`` is one."""

    @property
    def folder(self) -> str: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...


def index_place(folder: str, sha256: str) -> str:
    """Where the index of a segment with this content lies, relative to the data folder; ``folder`` is its stream's."""
    return f"{FOLDER}/{folder}/{sha256[:40]}{SUFFIX}"


def hot_bytes(root: Path) -> int:
    """Of the index of hot records; 0 where there is none."""
    try:
        return (root / HOT).stat().st_size
    except FileNotFoundError:
        return 0


def bytes_beside(root: Path, streams: Iterable[OfStream]) -> dict[str, int]:
    """Path of each segment that has an index -> the bytes of that. Asks the disk once a segment: some microseconds each."""
    found = {}
    for stream in streams:
        for segment in stream.segments:
            try:
                found[segment.path] = (root / index_place(stream.folder, segment.sha256)).stat().st_size
            except FileNotFoundError:
                continue
    return found
