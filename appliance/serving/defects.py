"""What is wrong with a file that a query is about to read, or that has failed under it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from appliance.manifest import Segment
from appliance.serving.snapshot import Snapshot

REFUSALS: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
    duckdb.PermissionException,
)
"""What only the SQL can cause; any other error may be a damaged file."""


def defect(root: Path, segment: Segment, *, deep: bool) -> str | None:
    """What is wrong with a segment's file; without ``deep`` only whether it is there with all its bytes."""
    if deep:
        from appliance.cold.segments import check_segment  # loads Parquet, which a query does without

        return check_segment(root, segment, deep=True)
    try:
        size = (root / segment.path).lstat().st_size
    except OSError as e:
        return "is missing" if isinstance(e, FileNotFoundError) else f"can't be read: {e.strerror}"
    return None if size == segment.bytes else f"has {size} bytes instead of {segment.bytes}"


def bad_view_files(root: Path, snapshot: Snapshot, *, deep: bool) -> list[str]:
    """Paths of files of views that are missing or not what was written; without ``deep`` by their size alone."""
    files = {f.path: f for pin in snapshot.views.values() for f in pin.all_files}
    return [path for path, f in files.items() if _is_bad(root / path, f.bytes, f.sha256, deep=deep)]


def _is_bad(path: Path, size: int, sha256: str, *, deep: bool) -> bool:
    try:
        if path.lstat().st_size != size:
            return True
        if deep:
            from appliance.cold.segments import hash_file  # loads Parquet, which a query does without

            return hash_file(path)[0] != sha256
    except OSError:
        return True
    return False
