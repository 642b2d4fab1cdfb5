"""Issued reports of a folder that nobody serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.errors import UsageRefused
from appliance.hot import issued
from appliance.observe.reports import DefinitionRow, ReportsPicture
from appliance.serving.folder import open_folder
from appliance.serving.report_rows import stored_reports


def folder_reports(folder: Path, *, now_us: int, definitions: Sequence[DefinitionRow] = ()) -> ReportsPicture:
    """``stored_reports`` of the folder. Raises as ``open_folder``."""
    with open_folder(folder) as (reader, _):
        return stored_reports(reader, now_us=now_us, definitions=definitions)


def folder_report(folder: Path, path: str) -> str:
    """The text of an issued file. Raises ``UsageRefused`` for one that was not issued, is gone, or is not UTF-8 any more."""
    with open_folder(folder) as (reader, _):
        found = issued.with_path(reader, path)
    if found is None:
        raise UsageRefused(f"no report was issued as {path[:200]!r}")
    try:
        return (folder / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageRefused(f"{path} can't be read: {e}") from e
