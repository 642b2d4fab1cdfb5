"""A disk whose power can be cut: an ext4 image on a loop mount, shut down without flushing anything (EXT4_IOC_SHUTDOWN)."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

from tests.running import wait_for

_SHUTDOWN: Final = 0x8004587D
_NO_FLUSH: Final = 2


def why_not() -> str | None:
    """Why power can't be cut here; None when it can."""
    if os.geteuid() != 0:
        return "cutting the power of a loop disk needs root"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    return f"{missing[0]} is not installed" if missing else None


class Disk:
    """A small ext4 disk, mounted at ``root``."""

    def __init__(self, folder: Path, *, mib: int = 192) -> None:
        self.image = folder / "disk.img"
        self.root = folder / "mnt"
        self.root.mkdir()
        with self.image.open("wb") as file:
            file.truncate(mib << 20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.root))

    def cut(self) -> None:
        """The power is gone: nothing that was not synced will be there. Mounted still, but every write fails."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(descriptor)

    def remount(self) -> None:
        """The power is back. Whoever had files open there ends; children of a killed process may take a moment."""
        wait_for(lambda: subprocess.run(["umount", str(self.root)], capture_output=True, check=False).returncode == 0, what="umount")
        self.mount()

    def remove(self) -> None:
        _run("umount", "-l", str(self.root))
        self.image.unlink()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
