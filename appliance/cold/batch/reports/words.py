"""Foreign text made harmless, and the words that all forms of a report share. Pure."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Final

from appliance.clock import US_PER_DAY
from appliance.cold.batch.reports.tables import local_time
from appliance.cold.batch.reports.values import Report, Used

_MARKDOWN: Final = re.compile(r"([\\`*\[\]<>|&~#$])|(?<![A-Za-z0-9])(_)|(_)(?![A-Za-z0-9])")


def safe(text: str) -> str:
    """One line in which control, bidirectional and other characters that can't be seen are written out."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else " " if c in "\n\t" else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )


def markdown_safe(text: str) -> str:
    """As ``safe``, with the signs of Markdown taken back."""
    return _MARKDOWN.sub(lambda found: "\\" + found[0], safe(text))


def subtitle(report: Report) -> str:
    """``press-line-3 · 2026-11-21 · Europe/Berlin · device=d1``."""
    named = [f"{name}={value}" for name, value in report.parameters.items()]
    return " · ".join(part for part in (report.node, report.period.name, report.zone, *named) if part)


def standing(report: Report, zone: tzinfo) -> list[tuple[str, str]]:
    """What is to be known before the numbers are read: level (``warn`` or ``info``) and a line each."""
    found: list[tuple[str, str]] = []
    if not report.is_over:
        found.append(("warn", f"This {report.period.covers} is not over: it holds what had come by {local_time(report.made_us, zone)}."))
    if report.failed:
        found.append(("warn", f"{report.failed} of {report.blocks} parts could not be answered; each says why in its place."))
    found += [("warn", f"Incomplete: {note}") for note in report.notes]
    dirty = [f"{u.stream} {', '.join(u.dirty)}" for u in report.used if u.dirty]
    if dirty:
        found.append(("info", f"Dirty days (repeats wait for the compaction; the numbers are right): {'; '.join(dirty)}."))
    if report.difference is not None:
        found.append(
            ("info", f"Revision {report.revision}. Against revision {report.difference.revision} differs: {report.difference.words}.")
        )
    return found


def used_rows(report: Report, zone: tzinfo) -> list[tuple[str, str, str, str]]:
    """Stream, records of the period, the newest of them, and up to which sequence all are in it."""
    return [_used(u, zone) for u in report.used]


def made_line(report: Report, zone: tzinfo) -> str:
    """When it was made, and how long its period is."""
    hours = (report.period.until_us - report.period.since_us) * 24 / US_PER_DAY
    return f"Made {local_time(report.made_us, zone)}, revision {report.revision}; the {report.period.covers} has {hours:g} hours."


def _used(used: Used, zone: tzinfo) -> tuple[str, str, str, str]:
    records = "–" if used.records is None else str(used.records)
    newest = "–" if used.newest_us is None else local_time(used.newest_us, zone)
    return used.stream, records, newest, str(used.seq)
