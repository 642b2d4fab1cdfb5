"""Batch work of the played service: some of each state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from appliance.clock import US_PER_S as S
from appliance.clock import Clock
from appliance.observe.jobs import JobRow, JobsPicture, RunRow
from appliance.observe.views import ViewRow


@dataclass
class JobBox:
    """What ``FakeClient`` answers about jobs; ``done`` are what was asked for."""

    clock: Clock
    done: list[str] = field(default_factory=list)
    is_quiet: bool = False

    def picture(self) -> JobsPicture:
        now = self.clock.now_us()
        if self.is_quiet:
            return JobsPicture(at_us=now, jobs=(), queue=(), jobs_max=1)
        jobs = (
            JobRow(
                name="export",
                kind="job",
                when="0 6 * * *",
                next_us=now + 7_200 * S,
                state="done",
                last_us=now - 3_600 * S,
                last_words="1,204 rows into reports/export.csv, 48KiB",
            ),
            JobRow(
                name="hourly",
                kind="view",
                when="every 300 s",
                next_us=now + 40 * S,
                state="running",
                last_us=now - 260 * S,
                last_words="3 buckets",
            ),
            JobRow(
                name="pump-tool",
                kind="job",
                when="after export",
                state="failed",
                last_us=now - 900 * S,
                last_words="sh has ended with status 3: no such valve \x1b[31m",
                failures=4,
                rests_until_us=now + 480 * S,
            ),
        )
        queue = (
            RunRow(
                id=41, name="hourly", kind="view", reason="every", state="running", due_us=now, queued_us=now - 9 * S,
                started_us=now - 8 * S, share=0.42, doing="bucket 14 of 33", cpu_s=1.9,
            ),
            RunRow(id=42, name="_query", kind="query", reason="asked", priority="high", due_us=now, queued_us=now - 3 * S),
            RunRow(
                id=40, name="archive", kind="job", reason="missed", due_us=now, queued_us=now - 90 * S, attempt=2,
                not_before_us=now + 31 * S, error="there is no room for the result on the disk",
            ),
        )  # fmt: skip
        return JobsPicture(at_us=now, jobs=jobs, queue=queue, jobs_max=1)

    def history(self, *, limit: int, name: str | None) -> Sequence[RunRow]:
        now = self.clock.now_us()
        over = [
            RunRow(
                id=39 - n,
                name=("export", "pump-tool", "hourly")[n % 3],
                kind="job",
                reason="schedule",
                state=("done", "failed", "done")[n % 3],
                due_us=now - n * 600 * S,
                queued_us=now - n * 600 * S,
                started_us=now - n * 600 * S,
                ended_us=now - n * 600 * S + 12 * S,
                rows=1_204,
                cpu_s=3.4,
                read_bytes=48 << 20,
                written_bytes=1 << 20,
                words="1,204 rows" if n % 3 != 1 else "",
                error="no such valve" if n % 3 == 1 else "",
            )
            for n in range(30)
        ]
        rows = [*self.picture().queue, *over]
        return [r for r in rows if name is None or r.name == name][:limit]

    def views(self) -> Sequence[ViewRow]:
        now = self.clock.now_us()
        plain = ViewRow(
            name="hourly", state="ok", reason=None, source="press", stream="press", bucket_s=3600.0, version=1, building=None,
            fresh_until_us=now - 600 * S, dirty_buckets=3, refreshed_us=now - 260 * S, cost_s=0.31, files=4, rows=800, bytes=2 << 20,
            begin_us=None, sealed_us=None, late_sealed=0, sql="SELECT 1",
        )  # fmt: skip
        gone = {"name": "daily", "state": "unusable", "reason": "its source press is gone", "fresh_until_us": None, "bytes": 0}
        return [plain, msgspec.structs.replace(plain, **gone)]

    def run(self, name: str) -> RunRow:
        self.done.append(f"run {name}")
        now = self.clock.now_us()
        return RunRow(id=43, name=name, kind="job", reason="asked", due_us=now, queued_us=now)

    def cancel(self, run_id: int) -> RunRow:
        self.done.append(f"cancel {run_id}")
        return msgspec.structs.replace(next(r for r in self.picture().queue if r.id == run_id), state="cancelled")
