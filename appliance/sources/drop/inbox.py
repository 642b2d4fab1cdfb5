"""The drop folder on disk: looking, claiming, moving. Every name is used below a folder descriptor and no link is followed.

``inbox/FILE`` and ``inbox/STREAM/FILE`` are files to take; ``.work/`` holds what is being taken, ``done/`` and ``failed/`` what was, each
with the stream's folder. Only this process writes to those three. Nothing is ever overwritten.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from appliance.sources.file_names import SUFFIXES, printable

WORK, DONE, FAILED = ".work", "done", "failed"
PROBE = ".probe"
UNFINISHED = ("~", ".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp")
"""Endings under which programs write a file that they will rename when it is whole."""
ENTRIES_MAX = 100_000
"""Files looked at in one go; what is beyond waits for the next look."""
NAME_BYTES_MAX = 255
REASON = ".reason"
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of the inbox at one look."""

    folder: str
    """The stream's folder, or empty for the inbox itself."""
    name: str
    look: tuple[int, int, int]
    """Size, modification time in ns, inode: while these stand still the file does."""
    wrong: str | None = None
    """Why it can't be a file of records, whatever it holds."""

    @property
    def key(self) -> tuple[str, str]:
        return self.folder, self.name

    @property
    def label(self) -> str:
        """Place and name for people."""
        return printable(f"{self.folder}/{self.name}" if self.folder else self.name)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the inbox found."""

    files: tuple[Found, ...]
    left: tuple[str, ...]
    """What is neither taken nor moved away, each with the reason."""


class Inbox:
    """The folder. Owned by one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._leases = False

    def prepare(self) -> None:
        """Create what is missing, remove empty folders of earlier streams. Raises ``OSError``."""
        for folder in (self.path, self.path / WORK, self.path / DONE, self.path / FAILED):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.path / WORK).iterdir():
            with suppress(OSError):  # it holds files that are still to be taken
                folder.rmdir()
        self._leases = self._leases_work()

    # --- looking

    def look(self) -> Look:
        """Everything that lies in the inbox now. Raises ``OSError`` when it can't be read."""
        files: list[Found] = []
        left: list[str] = []
        with self._folder() as root:
            folders = []
            for entry in _entries(root):
                if entry.is_dir(follow_symlinks=False) and not _looks_like_file(entry.name):
                    if entry.name not in (DONE, FAILED):
                        folders.append(entry.name)
                elif len(files) < ENTRIES_MAX and (found := _found("", entry)) is not None:
                    files.append(found)
            for name in folders:
                try:
                    self._look_into(root, name, files, left)
                except OSError as error:
                    left.append(f"{printable(name)}/: {error.strerror}")
        return Look(tuple(files), tuple(left))

    def _look_into(self, root: int, folder: str, files: list[Found], left: list[str]) -> None:
        with _opened(folder, root) as inner:
            for entry in _entries(inner):
                if entry.is_dir(follow_symlinks=False) and not _looks_like_file(entry.name):
                    left.append(f"{printable(folder)}/{printable(entry.name)}/: a folder within a stream's folder is not read")
                elif len(files) < ENTRIES_MAX and (found := _found(folder, entry)) is not None:
                    files.append(found)

    def leftovers(self) -> tuple[Found, ...]:
        """What an earlier process, or an earlier try, has claimed and not finished."""
        found: list[Found] = []
        with self._folder(WORK) as work:
            folders = [entry.name for entry in _entries(work, hidden=True) if entry.is_dir(follow_symlinks=False)]
            for folder in ("", *folders):
                with _opened(folder or ".", work) as inner:
                    entries = [e for e in _entries(inner, hidden=True) if e.name != PROBE and not e.is_dir(follow_symlinks=False)]
                    found.extend(f for entry in entries if (f := _found(folder, entry)) is not None)
        return tuple(found)

    def is_being_written(self, found: Found, *, claimed: bool) -> bool:
        """Whether another process has the file open for writing; False where that can't be known. Raises ``OSError``: it can't be read."""
        with self._folder(*((WORK, found.folder) if claimed else (found.folder,))) as folder:
            descriptor = os.open(found.name, _OPEN_FILE, dir_fd=folder)
        try:
            return self._leases and stat.S_ISREG(os.fstat(descriptor).st_mode) and _has_writer(descriptor)
        finally:
            os.close(descriptor)

    def _leases_work(self) -> bool:
        """Whether this file system tells who writes: a file that nobody has open must not look as if somebody did."""
        probe = self.path / WORK / PROBE
        try:
            descriptor = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
            os.close(descriptor)
            descriptor = os.open(probe, _OPEN_FILE)
            try:
                return not _has_writer(descriptor)
            finally:
                os.close(descriptor)
                probe.unlink(missing_ok=True)
        except OSError:
            return False

    # --- moving

    def claim(self, found: Found) -> None:
        """Move a file to ``.work/``, out of everybody's way. Raises ``OSError``; ``FileExistsError`` while one of its name is there."""
        with self._folder(found.folder) as source, self._folder(WORK, found.folder) as work:
            if _exists(found.name, work):
                raise FileExistsError(errno.EEXIST, "one of its name is still being taken", found.name)
            os.rename(found.name, found.name, src_dir_fd=source, dst_dir_fd=work)

    def open_claimed(self, found: Found) -> IO[bytes]:
        """A claimed file, if it is a regular one. Raises ``OSError``, ``IsADirectoryError`` for what is no file."""
        with self._folder(WORK, found.folder) as work:
            descriptor = os.open(found.name, _OPEN_FILE, dir_fd=work)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IsADirectoryError(errno.EISDIR, "it is no regular file", found.name)
        return os.fdopen(descriptor, "rb")

    def done_sizes(self, found: Found) -> tuple[int, ...]:
        """Sizes of the newest files of this name in ``done/``. Raises ``OSError``: without them what has grown would be taken whole."""
        sizes: list[int] = []
        with self._folder(DONE, found.folder) as done:
            for name in _numbered(found.name):
                try:
                    sizes.append(os.stat(name, dir_fd=done, follow_symlinks=False).st_size)
                except FileNotFoundError:
                    break
        return tuple(sizes[-16:])

    def to_done(self, found: Found) -> None:
        """Move a claimed file to ``done/``. Raises ``OSError``."""
        with self._folder(WORK, found.folder) as work, self._folder(DONE, found.folder) as done:
            name = next(name for name in _numbered(found.name) if not _exists(name, done))
            os.rename(found.name, name, src_dir_fd=work, dst_dir_fd=done)

    def to_failed(self, found: Found, reason: str, *, claimed: bool) -> None:
        """Move a file (or what is none) to ``failed/`` with the reason beside it. Raises ``OSError``."""
        source = (WORK, found.folder) if claimed else (found.folder,)
        with self._folder(*source) as origin, self._folder(FAILED, found.folder) as failed:
            taken = (_exists(name, failed) or _exists(_with_ending(name, REASON), failed) for name in _numbered(found.name))
            name = next(name for name, there in zip(_numbered(found.name), taken, strict=False) if not there)
            os.rename(found.name, name, src_dir_fd=origin, dst_dir_fd=failed)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(_with_ending(name, REASON), flags, 0o644, dir_fd=failed), "wb") as file:
                file.write(reason.encode("utf-8", "backslashreplace"))

    @contextmanager
    def _folder(self, *parts: str) -> Iterator[int]:
        """A descriptor of a folder below the inbox; below ``.work``, ``done`` and ``failed`` it is created when it is missing."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth, part in enumerate(p for p in parts if p):
                if depth or part in (WORK, DONE, FAILED):
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=descriptor)
                inner = os.open(part, _OPEN_FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _opened(name: str, below: int) -> Iterator[int]:
    descriptor = os.open(name, _OPEN_FOLDER, dir_fd=below)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _entries(folder: int, *, hidden: bool = False) -> Iterator[os.DirEntry[str]]:
    """Entries in the order of their names, without those that are still being written by their name."""
    with os.scandir(folder) as entries:
        found = [e for e in entries if hidden or not (e.name.startswith(".") or e.name.lower().endswith(UNFINISHED))]
    return iter(sorted(found, key=lambda entry: entry.name))


def _found(folder: str, entry: os.DirEntry[str]) -> Found | None:
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    look = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return Found(folder, entry.name, look, _wrong(folder, entry.name, facts.st_mode))


def _wrong(folder: str, name: str, mode: int) -> str | None:
    """Why an entry is no file of records; None when it may be one."""
    kinds = ((stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    for test, word in kinds:
        if test(mode):
            return f"it is {word}, not a file"
    if not stat.S_ISREG(mode):
        return "it is a device, not a file"
    for text in (folder, name):
        if any("\ud800" <= char <= "\udfff" for char in text):
            return "its name is not UTF-8 text"
        if any(ord(char) < 32 or ord(char) == 127 for char in text):
            return "its name holds control characters"
    return None


def _looks_like_file(name: str) -> bool:
    return name.lower().endswith((*SUFFIXES, ".gz"))


def _exists(name: str, below: int) -> bool:
    try:
        os.stat(name, dir_fd=below, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _numbered(name: str) -> Iterator[str]:
    """``a.csv.gz``, ``a.1.csv.gz``, ``a.2.csv.gz``, …: what a file may be called where one of its name is already."""
    yield name
    stem, endings = name, ""
    for ending in (".gz", *SUFFIXES):
        if stem.lower().endswith(ending) and len(stem) > len(ending):
            stem, endings = stem[: -len(ending)], stem[-len(ending) :] + endings
    number = 1
    while True:
        yield _with_ending(stem, f".{number}{endings}")
        number += 1


def _with_ending(name: str, ending: str) -> str:
    """A name with something behind it, cut so that a file can be called so."""
    room = NAME_BYTES_MAX - len(os.fsencode(ending))
    return os.fsencode(name)[:room].decode("utf-8", "surrogateescape") + ending


def _has_writer(descriptor: int) -> bool:
    """A read lease is refused while somebody has the file open for writing. It is given back at once; its signal is one that is ignored."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
