"""Agreement of both sides of the played service: four things found, some of them mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.clock import US_PER_S as S
from appliance.clock import Clock
from appliance.observe.consistency import ConsistencyPicture, DayRow, FindingRow, PassRow, StreamRow, ViewDirt


@dataclass
class AgreementBox:
    """What ``FakeClient`` answers about agreement; ``agrees``: nothing was ever found."""

    clock: Clock
    agrees: bool = False

    def picture(self) -> ConsistencyPicture:
        now = self.clock.now_us()
        passes = (
            PassRow(kind="hot", state="done", started_us=now - 4 * S, took_s=0.031, records=48_200, rate=1.55e6, next_us=now + S),
            PassRow(
                kind="newest", state="done", started_us=now - 95 * S, took_s=0.4, records=1_204_000, segments=14, rate=3.01e6,
                found=0 if self.agrees else 1, next_us=now + 85 * S,
            ),
            PassRow(kind="full", state="running", started_us=now - 3_600 * S, took_s=3_600.0, progress=0.42, records=88_000_000,
                rate=2.4e4),
        )  # fmt: skip
        streams = (
            StreamRow(
                name="press", hot_rows=4_100, cold_rows=88_000_000, hot_ok=True, cold_ok=self.agrees,
                books="agree" if self.agrees else "differ",
                segments=410, segments_due=0, oldest_look_us=now - 86_400 * S, dirty_days=1, open=0 if self.agrees else 2,
            ),
            StreamRow(
                name="pump", hot_rows=12, cold_rows=9_000, hot_ok=True, cold_ok=None, books="unknown", segments=3, segments_due=3,
                oldest_look_us=None, dirty_days=0, open=0,
            ),
        )  # fmt: skip
        if self.agrees:
            return ConsistencyPicture(at_us=now, is_consistent=True, passes=passes, streams=streams)
        return ConsistencyPicture(
            at_us=now,
            is_consistent=False,
            passes=passes,
            open=(
                _finding(now, 7, "segment_missing", "unmendable", "the file is not there: 41,200 records are missing", repair=None),
                _finding(
                    now, 6, "bucket_differs", "open", "a bucket of hourly\x1b[31m is not what its records give", repair="make it anew"
                ),
            ),
            open_total=2,
            repairs=(_finding(now, 5, "row_missing", "repaired", "seq 48 is not in the hot store", did="written again from the ring"),),
            history=(
                DayRow(day="2026-11-22", found=3, repaired=1, unmendable=1, gone=0),
                DayRow(day="2026-11-18", found=9, repaired=8, unmendable=0, gone=1),
            ),
            streams=streams,
            dirty_views=(ViewDirt(name="hourly", dirty_buckets=3, fresh_until_us=now),),
        )


def _finding(now: int, number: int, kind: str, state: str, what: str, *, repair: str | None = None, did: str = "") -> FindingRow:
    rest: dict[str, Any] = {"since_us": None, "until_us": None, "where": "lake/press/date=2026-11-22/1-41200.parquet", "key": ""}
    return FindingRow(
        id=number, kind=kind, stream="press", first=1, last=41_200, what=what, repair=repair, state=state, found_us=now - 120 * S,
        changed_us=now - 60 * S, did=did, **rest,
    )  # fmt: skip
