"""The lake's folder and the manifest brought to agree: at start, and when replaced files have served.

The manifest is the truth. A file that it doesn't name goes (its records are still hot, or another file has them); a file
that it names and that is missing or damaged is set aside and told, never skipped in silence and never deleted.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from appliance.clock import US_PER_S
from appliance.cold.files import TMP_SUFFIX, locate, move_aside, remove
from appliance.cold.segments import LAKE, check_segment
from appliance.manifest import Segment

DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What ``clean`` found that the manifest doesn't name; paths relative to the data folder."""

    temporary: tuple[str, ...] = ()
    """Half-written files, removed."""
    orphans: tuple[str, ...] = ()
    """Whole files of a roll or a compaction that was not committed, removed."""
    left: tuple[str, ...] = ()
    """Symbolic links and what is neither file nor folder: not the appliance's, left alone and not followed."""
    bytes: int = 0
    """Freed."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A segment that is not what the manifest says."""

    segment: Segment
    """Its sequence range and time range are exactly what is no longer there."""
    reason: str
    moved_to: str | None = None
    """Where ``set_aside`` put the file, relative to the data folder; None: there was nothing to move."""

    def __str__(self) -> str:
        return f"{self.segment.describe()} {self.reason}"


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """Which segments to look at, and how closely."""

    deep: tuple[Segment, ...]
    """Read and hashed."""
    quick: tuple[Segment, ...]
    """Looked at for existence and size."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A file that a compaction has replaced and that readers may still hold."""

    path: str
    replaced_us: int
    """Wall clock of the commit that replaced it."""


def clean(root: Path, known: Collection[str]) -> Cleaned:
    """Remove from the lake what ``known`` (live, set aside and replaced files) doesn't name. Only before anybody writes there.

    Raises StoreDamaged when the lake's folder itself is a symbolic link; links below it are left and reported.
    """
    locate(root, LAKE)
    temporary: list[str] = []
    orphans: list[str] = []
    left: list[str] = []
    size = 0
    for entry, path in _walk(root, LAKE):
        if not entry.is_file(follow_symlinks=False):
            left.append(path)
        elif path not in known:
            (temporary if path.endswith(TMP_SUFFIX) else orphans).append(path)
            size += entry.stat(follow_symlinks=False).st_size
    remove(root, [*temporary, *orphans], empty_folders=True)
    return Cleaned(tuple(sorted(temporary)), tuple(sorted(orphans)), tuple(sorted(left)), size)


def plan_check(segments: Iterable[Segment], *, clean_stop: bool, deep_bytes_max: int) -> CheckPlan:
    """After a clean stop a glance at each; else the newest, which a power cut can have spoilt, are hashed up to that many bytes.

    Pure. What is older was whole before and is left to the scrub (``appliance verify``), so that a big lake starts fast.
    """
    newest = sorted(segments, key=lambda s: s.id, reverse=True)
    deep, taken = 0, 0
    while not clean_stop and deep < len(newest) and taken + newest[deep].bytes <= deep_bytes_max:
        taken += newest[deep].bytes
        deep += 1
    return CheckPlan(tuple(newest[:deep]), tuple(newest[deep:]))


def check(root: Path, plan: CheckPlan) -> Iterator[Damage]:
    """Each segment that is missing or damaged, as it is found; changes nothing."""
    for deep, segments in ((False, plan.quick), (True, plan.deep)):
        for segment in segments:
            if reason := check_segment(root, segment, deep=deep):
                yield Damage(segment, reason)


def set_aside(root: Path, damage: Damage) -> Damage:
    """Move the damaged file to ``damaged/`` under its name, synced; the same with ``moved_to``.

    Done after the manifest has been told that the segment is lost: a crash between leaves an orphan of a *known* path.
    A missing file, or one behind a symbolic link, is not moved. Nothing is overwritten: another file of the same name
    gets a number.
    """
    path = damage.segment.path
    moved = move_aside(root, path, f"{DAMAGED}/{PurePosixPath(path).relative_to(LAKE)}")
    return damage if moved is None else Damage(damage.segment, damage.reason, moved)


def deletable(replaced: Iterable[Replaced], *, leases: Collection[str], keep_s: float, now_us: int) -> tuple[str, ...]:
    """The replaced files that may go: older than ``keep_s`` and held by no reader. Pure.

    ``leases`` are the paths that running queries have pinned. A wall clock that jumps back only keeps files for longer;
    one that jumps forward can't take a file from a reader of this box, since it holds a lease.
    """
    oldest = now_us - round(keep_s * US_PER_S)
    held = frozenset(leases)
    return tuple(sorted(r.path for r in replaced if r.replaced_us <= oldest and r.path not in held))


def delete(root: Path, paths: Sequence[str]) -> int:
    """Unlink replaced files; how many were there. After it the manifest may forget them: a crash between repeats it."""
    return remove(root, paths, empty_folders=True)


def files(root: Path) -> tuple[str, ...]:
    """Every regular file below the lake, relative to the data folder, sorted; follows no link."""
    return tuple(sorted(path for entry, path in _walk(root, LAKE) if entry.is_file(follow_symlinks=False)))


def disk_bytes(root: Path) -> Mapping[str, int]:
    """Bytes of the files below the lake by the stream's folder, whether live or not."""
    sizes: dict[str, int] = {}
    for entry, path in _walk(root, LAKE):
        if entry.is_file(follow_symlinks=False):
            folder = PurePosixPath(path).parts[1]
            sizes[folder] = sizes.get(folder, 0) + entry.stat(follow_symlinks=False).st_size
    return sizes


def _walk(root: Path, folder: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Everything below ``folder`` that is no folder, with its path relative to the root; follows no link."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = os.scandir(root / here)
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                path = f"{here}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                else:
                    yield entry, path
