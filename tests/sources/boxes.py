"""An open box and what reads files into it, said in a line each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.box import Box
from appliance.clock import SystemClock
from appliance.options import DropSource
from appliance.sources.drop import DropFolder
from appliance.sources.files import FileTaker, FileTask, Taken
from tests.door.batches import open_box, rows_of
from tests.running import wait_for

SOON = DropSource(rescan_s=0.2, settle_s=0.05)


@dataclass
class Shelf:
    """A box with a taker of files."""

    box: Box
    taker: FileTaker
    folder: Path
    """For the test's own files."""

    def take(self, data: bytes, name: str = "a.csv", **task: Any) -> Taken:
        """Take a file of this content and name."""
        path = self.folder / "given"
        path.write_bytes(data)
        with path.open("rb") as file:
            return self.taker.take(file, FileTask(name, f"test:{name}", **task))

    def rows(self, stream: str = "a") -> list[dict[str, Any]]:
        return rows_of(self.box, stream) if self.box.state.get(stream) else []

    def values(self, name: str, stream: str = "a") -> list[Any]:
        return [row[name] for row in self.rows(stream)]

    def dead_letters(self) -> list[tuple[Any, ...]]:
        """Line, reason, original bytes, notation, stream."""
        reader = self.box.reader()
        try:
            return reader.execute("SELECT line, reason, raw, format, stream FROM dead_letter ORDER BY id")
        finally:
            reader.close()


@contextmanager
def shelf(folder: Path, text: str = "") -> Iterator[Shelf]:
    """``text``: config in TOML."""
    box = open_box(folder / "box", text)
    try:
        yield Shelf(box, FileTaker(box, clock=SystemClock()), folder)
    finally:
        box.close()


@dataclass
class Dropped(Shelf):
    """A box with a drop folder that is being watched."""

    drop: DropFolder = field(kw_only=True)

    @property
    def inbox(self) -> Path:
        return self.box.folder / "inbox"

    def put(self, name: str, data: bytes = b"v\n1\n") -> None:
        """A whole file appears at once, as by a rename."""
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(".part")
        part.write_bytes(data)
        part.rename(path)

    def arrives(self, name: str, where: str = "done") -> Path:
        """Waits until a file lies in ``done`` or ``failed``."""
        path = self.inbox / where / name
        wait_for(lambda: os.path.lexists(path), what=f"{where}/{name}; there is {sorted(self.everything())}")
        return path

    def failed(self, name: str) -> str:
        """The reason beside a file in ``failed``."""
        return str(wait_for(lambda: self._reason(name), what=f"failed/{name}.reason; there is {sorted(self.everything())}"))

    def _reason(self, name: str) -> str:
        path = self.inbox / "failed" / f"{name}.reason"
        return path.read_text() if path.exists() else ""

    def everything(self) -> list[str]:
        return [str(path.relative_to(self.inbox)) for path in self.inbox.rglob("*") if not path.is_dir() or path.is_symlink()]


@contextmanager
def dropped(folder: Path, options: DropSource = SOON, *, before: dict[str, bytes] | None = None, text: str = "") -> Iterator[Dropped]:
    """``before``: files that lie in the inbox when the source starts."""
    for name, data in (before or {}).items():
        path = folder / "box" / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    box = open_box(folder / "box", text)
    taker = FileTaker(box, clock=SystemClock())
    drop = DropFolder(options, taker=taker, data_dir=box.folder, clock=SystemClock())
    drop.start()
    try:
        yield Dropped(box, taker, folder, drop=drop)
    finally:
        drop.stop()
        box.close()
