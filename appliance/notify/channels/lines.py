"""``file:PATH``: one line of JSON a message, appended and synced; a relative path lies in the data folder.

A path that leaves the data folder must be absolute, and no link is followed within it. The file is opened anew for each message,
so it may be moved away at any time (``logrotate``); it has no limit of its own. What is not a file of JSON lines already is left alone,
lest a slip in the config append to a database.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote

from appliance.hot.alerts.values import Message
from appliance.notify.bodies import json_body, json_bytes
from appliance.notify.channel import Channel, Delivery, Sender, Undelivered, refused
from appliance.workload_options import NotifyOptions

SCHEME: Final = "file"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE: Final = 0o640


class Lines(Channel):
    """One file."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, data_dir: Path) -> None:
        """Raises ``ConfigRefused``."""
        path = _path(sender.channel, options.url)
        super().__init__(sender, options, f"file:{path}")
        self._path = path
        self._data_dir = data_dir
        self._lock = threading.Lock()

    def send(self, message: Message, *, timeout_s: float) -> Delivery:  # noqa: ARG002 - a local disk has no time-out
        line = json_bytes(json_body(message, self.sender)) + b"\n"
        try:
            with self._lock, contextlib.closing(_Folder(self._data_dir, self._path)) as folder:
                self._append(folder, line)
        except OSError as error:
            raise Undelivered(f"{self._path}: {error.strerror}", retry=True) from error
        return Delivery(f"{len(line)} bytes appended to {self._path}")

    def _append(self, folder: _Folder, line: bytes) -> None:
        descriptor, is_new = folder.opened()
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Undelivered(f"{self._path} is no regular file", retry=False)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, 0) != b"{":
                raise Undelivered(f"{self._path} is no file of JSON lines: nothing is appended to it", retry=False)
            is_torn = bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
            left = memoryview(b"\n" + line if is_torn else line)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
            if is_new:
                folder.sync()
        finally:
            os.close(descriptor)


class _Folder:
    """The folder of the file, opened step by step where it lies in the data folder."""

    def __init__(self, data_dir: Path, path: PurePosixPath) -> None:
        """Raises ``OSError``."""
        self._name = path.name
        steps = path.parent.parts if not path.is_absolute() else ()
        self._descriptor = os.open(path.parent if path.is_absolute() else data_dir, _FOLDER)
        for step in steps:
            try:
                inner = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=self._descriptor)
            finally:
                os.close(self._descriptor)
            self._descriptor = inner

    def opened(self) -> tuple[int, bool]:
        """The file, and whether it was made just now. Raises ``OSError``, or ``Undelivered`` for what can't be written to."""
        try:
            return os.open(self._name, _FILE, dir_fd=self._descriptor), False
        except FileNotFoundError:
            return os.open(self._name, _FILE | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=self._descriptor), True
        except OSError as error:
            looked = os.stat(self._name, dir_fd=self._descriptor, follow_symlinks=False)
            if not stat.S_ISREG(looked.st_mode):
                raise Undelivered(f"{self._name} is no regular file (links are not followed)", retry=False) from error
            raise

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _path(channel: str, url: str) -> PurePosixPath:
    """The path as it is used: absolute, or below the data folder."""
    rest = url.partition(":")[2]
    if rest.startswith("//"):
        if not rest.startswith("///"):
            raise refused(channel, "must be file:PATH in the data folder, or file:/ABSOLUTE/PATH")
        rest = rest[2:]
    if "?" in rest or "#" in rest:
        raise refused(channel, "holds a ? or #: in a path write %3F or %23")
    text = unquote(rest)
    if not text or text.endswith("/") or not text.isprintable():
        raise refused(channel, "must be file:PATH")
    path = PurePosixPath(text)
    if not path.is_absolute() and ".." in path.parts:
        raise refused(channel, "leaves the data folder: such a path must be absolute")
    if not path.name or path.name == "..":
        raise refused(channel, "must name a file")
    return path
