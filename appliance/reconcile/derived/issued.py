"""What was issued is there as it was issued: reports, and the tables that jobs have made. Nothing proves what a lost one said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from appliance.hot.issued import all_issues
from appliance.hot.job_tables import load_tables
from appliance.reconcile.derived.files import MISSING, wrong_with
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look

REPORT_MISSING: Final = "report missing"
REPORT_CHANGED: Final = "report changed"
TABLE_MISSING: Final = "table missing"
TABLE_CHANGED: Final = "table changed"
ASIDE: Final = "it is put aside, so that nobody takes it for what was issued"


def check_reports(look: Look) -> Iterator[Finding]:
    """Each form of each revision that retention has not removed: by its hash where all is looked at, else by its size."""
    for issue in all_issues(look.reader, is_there=True):
        if not look.concerns(issue.until_us - 1):
            continue
        for file in issue.files:
            reason = wrong_with(look.folder, file.path, size=file.bytes, sha256=file.sha256, deep=look.is_whole)
            if reason is not None:
                yield Finding(
                    kind=REPORT_MISSING if reason == MISSING else REPORT_CHANGED,
                    where=file.path,
                    key=f"{issue.name} {issue.day} r{issue.revision}",
                    since_us=issue.since_us,
                    until_us=issue.until_us,
                    what=f"revision {issue.revision} of the report {issue.name} of {issue.day} {reason}",
                    repair=None if reason == MISSING else ASIDE,
                )


def check_tables(look: Look) -> Iterator[Finding]:
    """The tables that jobs have made: by their hash where all is looked at, else by their size."""
    for table in load_tables(look.reader).values():
        reason = wrong_with(look.folder, table.path, size=table.bytes, sha256=table.sha256, deep=look.is_whole)
        if look.is_whole:
            look.pause(table.bytes)
        if reason is not None:
            yield Finding(
                kind=TABLE_MISSING if reason == MISSING else TABLE_CHANGED,
                where=table.path,
                key=table.name,
                what=f"the table {table.name} (run {table.run_id}) {reason}",
                repair=None if reason == MISSING else ASIDE,
                facts={"name": table.name},
            )
