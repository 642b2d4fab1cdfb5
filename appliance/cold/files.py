"""Files are published, never edited: written under a temporary name, synced, renamed, the folder synced.

Readers need no lock: a name that exists is a whole file. Nothing here follows a symbolic link below the data folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from appliance.errors import RetryLater, StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
Step = Callable[[str], None]
"""Told the name of each step after it was done; the kill tests die in it."""

TMP_SUFFIX = ".tmp"
_SYNCED_FOLDERS_MAX = 10_000
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def no_step(_name: str) -> None:
    """For those who don't watch."""


class Publisher:
    """Puts files below ``root`` in a way that survives a power cut; owned by one thread.

    ``owner`` begins its temporary names, so that what a dead process left can be told from what a live one is writing.
    Steps: ``segment.written`` (temporary file written and checked), ``segment.synced``, ``segment.renamed``,
    ``segment.folder_synced`` (from here on the file is there for good).
    """

    def __init__(self, root: Path, *, owner: str, step: Step = no_step) -> None:
        self.root = root
        self.owner = owner
        self.step = step
        self._count = 0
        self._synced: set[str] = set()

    def publish(self, folder: str, fill: Callable[[Path], tuple[str, T]]) -> T:
        """A file in ``folder`` (relative to the root, with ``/``), with what ``fill`` writes to the path that it is given.

        ``fill`` also checks what it wrote, and returns the file's name and a value, which is returned. A file that already
        has the name is replaced: names are unique by content, so it can only be what a failed attempt left. When anything
        fails, nothing stays behind; a full disk raises ``RetryLater``, a symbolic link or an I/O error ``StoreDamaged``.
        """
        place = locate(self.root, folder)
        self._count += 1
        tmp = place / f"{self.owner}-{self._count}{TMP_SUFFIX}"
        with _disk_errors(place):
            self._make_folder(PurePosixPath(folder))
            tmp.unlink(missing_ok=True)
            try:
                name, value = fill(tmp)
                self.step("segment.written")
                sync(tmp)
                self.step("segment.synced")
                tmp.rename(locate(self.root, f"{folder}/{name}"))
            except BaseException:
                tmp.unlink(missing_ok=True)
                raise
            self.step("segment.renamed")
            sync(place)
        self.step("segment.folder_synced")
        return value

    def _make_folder(self, folder: PurePosixPath) -> None:
        """Each part exists, and its entry in its parent is on the disk.

        A folder that is there already may be the work of a process that died before it synced the parent, so each is
        synced once by this publisher, whoever made it.
        """
        if len(self._synced) > _SYNCED_FOLDERS_MAX:
            self._synced.clear()
        here = self.root
        for part in folder.parts:
            parent, here = here, here / part
            if not _is_real_folder(here):
                here.mkdir()
            elif str(here) in self._synced:
                continue
            sync(parent)
            self._synced.add(str(here))


def remove(root: Path, paths: Iterable[str], *, empty_folders: bool = False) -> int:
    """Unlink files (relative to ``root``) and sync their folders; how many were there. A file that is already gone is fine.

    ``empty_folders`` go too when asked for: not while somebody may be about to publish into one.
    """
    folders: set[Path] = set()
    count = 0
    for path in paths:
        target = locate(root, path)
        with _disk_errors(target):
            try:
                target.unlink()
            except FileNotFoundError:
                continue
        count += 1
        folders.add(target.parent)
    for folder in sorted(folders):
        with _disk_errors(folder):
            if empty_folders:
                folder = _drop_empty(folder, root)
            sync(folder)
    return count


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk; never retried, since a failed fsync means unknown."""
    fd = os.open(path, _READ_ONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def move_aside(root: Path, path: str, target: str) -> str | None:
    """Moves a file to ``target``, both relative to ``root``, synced; where it is now, since another file of that name gets it a number.

    None: there was nothing to move, or it lies behind a symbolic link.
    """
    try:
        source = locate(root, path)
        source.lstat()
    except (StoreDamaged, FileNotFoundError):
        return None
    free, number = target, 1
    while locate(root, free).exists():
        number += 1
        free = f"{target}.{number}"
    place = root / free
    place.parent.mkdir(parents=True, exist_ok=True)
    source.rename(place)
    for folder in (place.parent, *place.parent.parents):
        sync(folder)
        if folder == root:
            break
    sync(source.parent)
    return free


def locate(root: Path, path: str) -> Path:
    """The place of ``path`` below ``root``; raises StoreDamaged when it would leave it or goes through a symbolic link."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise StoreDamaged(
            "lies outside of the data folder", path=root / path, hint="the manifest names a path that the appliance never makes"
        )
    here = root
    for part in parts:
        here /= part
        if here.is_symlink():
            raise StoreDamaged("is a symbolic link", path=here, hint="put the real file or folder in its place")
    return here


def _is_real_folder(path: Path) -> bool:
    """False when there is nothing; raises StoreDamaged when there is something else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        raise StoreDamaged("is not a folder", path=path, hint="move it away")
    return True


def _drop_empty(folder: Path, root: Path) -> Path:
    """Remove the folder, and those above it that become empty; the lowest that is left."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                raise
            return folder
        folder = folder.parent
    return root


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise RetryLater(f"no room on the disk below {target}: {error.strerror}", after_s=10) from error
        raise StoreDamaged(
            f"could not be changed: {error}", path=target, hint="look at the disk and at the rights of the folder"
        ) from error
