"""Line protocol over HTTP: ``/write``, ``/api/v2/write`` and ``/api/v3/write_lp``, each as the clients of its version expect.

All three do the same and differ in their words: the good lines are stored, the others become dead letters, and the answer is
204 only when every line was taken and the commit is durable. InfluxDB 2 itself refuses a whole batch for one line that it can't
parse; clients then drop the batch, so here v2 keeps the good lines too, as InfluxDB 3 does on that path.

A missing database is no error (InfluxDB has one): its name means nothing here unless ``[http] databases = "prefix"``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import PayloadTooLarge, RejectPayload
from appliance.records import Format, Receipt, Reject, Submission
from appliance.serving.http.answers import HttpRefused
from appliance.serving.http.body import gunzip, is_gzip
from appliance.serving.http.context import HttpContext
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import flag
from appliance.sources.codecs.line_protocol import Parsed, Precision, parse
from appliance.sources.line_replay import replayable_batches, replayable_rejects

INLINE_BYTES_MAX: Final = 1024
"""A body up to this size is parsed on the event loop: the way to the pool and back costs 50 µs, its parsing 200 to 400."""
LINES_TOLD_MAX: Final = 100
"""Bad lines that an answer tells; the dead letters have all."""
LINE_CHARS_TOLD_MAX: Final = 256
NO_CONTENT: Final = Response(status_code=204)

V1_PRECISIONS: Final[Mapping[str, Precision]] = {
    "": Precision.NS,
    "n": Precision.NS,
    "ns": Precision.NS,
    "u": Precision.US,
    "us": Precision.US,
    "µ": Precision.US,
    "ms": Precision.MS,
    "s": Precision.S,
    "m": Precision.M,
    "h": Precision.H,
}
V2_PRECISIONS: Final[Mapping[str, Precision]] = {
    "": Precision.NS,
    "ns": Precision.NS,
    "us": Precision.US,
    "ms": Precision.MS,
    "s": Precision.S,
}
V3_PRECISIONS: Final[Mapping[str, Precision]] = {
    "": Precision.AUTO,
    "auto": Precision.AUTO,
    **dict.fromkeys(("nanosecond", "ns", "n"), Precision.NS),
    **dict.fromkeys(("microsecond", "us", "u"), Precision.US),
    **dict.fromkeys(("millisecond", "ms"), Precision.MS),
    **dict.fromkeys(("second", "s"), Precision.S),
}
WHOLE_REFUSED: Final = "parsing failed for write_lp endpoint"
"""InfluxDB 3's words for ``accept_partial=false``, by which its clients know that ``data`` has the line."""
LIMIT_MARK: Final = "[limits]"
"""In the door's reason for a record that a configured limit keeps out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request's lines."""

    unparsed: tuple[Reject, ...]
    """Lines that are no line protocol."""
    refused: tuple[Reject, ...]
    """Records that the door has refused."""
    records: int
    """Stored."""

    @property
    def complete(self) -> bool:
        return not self.unparsed and not self.refused


async def write_v1(desk: Desk, request: Request) -> Response:
    """``POST /write?db=&rp=&precision=``."""
    query = request.query_params
    asked = query.get("precision", "")
    precision = V1_PRECISIONS.get(asked)
    if precision is None:
        raise RejectPayload(f'invalid precision "{asked[:40]}" (use n, u, ms, s, m or h)')
    outcome = await _take(desk, request, precision=precision, database=query.get("db", ""))
    if outcome.complete:
        return NO_CONTENT
    raise HttpRefused(400, _v1_message(outcome, database=query.get("db", ""), policy=query.get("rp", "")))


async def write_v2(desk: Desk, request: Request) -> Response:
    """``POST /api/v2/write?org=&bucket=&precision=``; a bucket may be ``database/policy``.

    400 when lines could not be parsed, 422 when all could but the door has refused some; the good ones are stored either way.
    """
    query = request.query_params
    precision = V2_PRECISIONS.get(query.get("precision", ""))
    if precision is None:
        raise RejectPayload("invalid precision; valid precision units are ns, us, ms, and s")
    outcome = await _take(desk, request, precision=precision, database=query.get("bucket", "").partition("/")[0])
    if outcome.complete:
        return NO_CONTENT
    if outcome.unparsed:
        raise HttpRefused(400, _v1_message(outcome, database="", policy=""))
    reasons = _joined(_compatible(r.reason) for r in outcome.refused)
    dropped = len(outcome.refused)
    raise HttpRefused(422, f"failure writing points to database: partial write: {reasons} dropped={dropped}")


async def write_v3(desk: Desk, request: Request) -> Response:
    """``POST /api/v3/write_lp?db=&precision=&accept_partial=&no_sync=``.

    ``no_sync`` changes nothing: an answer is only ever given after the commit. With ``accept_partial=false`` a request of which
    one record can't be taken is refused whole; it stays the client's, so its lines become no dead letters.
    """
    query = request.query_params
    precision = V3_PRECISIONS.get(query.get("precision", ""))
    if precision is None:
        raise RejectPayload("invalid precision; use auto, nanosecond, microsecond, millisecond or second")
    flag(query, "no_sync", default=False)
    if flag(query, "accept_partial", default=True):
        outcome = await _take(desk, request, precision=precision, database=query.get("db", ""))
        if outcome.complete:
            return NO_CONTENT
        rejects = [*outcome.unparsed, *outcome.refused]
        status = 422 if all(LIMIT_MARK in r.reason for r in rejects) else 400
        told = [_v3_line(r) for r in rejects[:LINES_TOLD_MAX]]
        raise HttpRefused(status, "partial write of line protocol occurred", data=told, omitted=len(rejects) - len(told))
    await _take(desk, request, precision=precision, database=query.get("db", ""), all_or_nothing=True)
    return NO_CONTENT


async def _take(desk: Desk, request: Request, *, precision: Precision, database: str, all_or_nothing: bool = False) -> Outcome:
    """Reads, parses, submits; holds the body's bytes of the budget until the commit, because dead letters need them."""
    context = desk.ready()
    zipped = is_gzip(request.headers)
    reader = desk.body_of(request)
    try:
        body = await reader.read(lambda: context.door.is_behind)
        desk.counts.body_bytes += len(body)
        desk.note_database(database)
        parsed = await _parsed(desk, context, body, zipped=zipped, precision=precision)
        if all_or_nothing and parsed.rejects:
            raise HttpRefused(400, WHOLE_REFUSED, data=_v3_line(parsed.rejects[0]))
        unparsed = tuple(parsed.rejects)
        if not parsed.batches and not unparsed:
            return Outcome((), (), 0)
        prefix = database if desk.options.databases == "prefix" else ""
        submission = Submission(
            source="http",
            format=Format.LP,
            batches=replayable_batches(parsed.batches, precision=precision, database=prefix),
            rejects=replayable_rejects(unparsed, precision=precision, database=prefix),
            all_or_nothing=all_or_nothing,
        )
        receipt = await _submit(context, submission)
    finally:
        reader.release()
    return Outcome(unparsed, tuple(receipt.rejected[len(unparsed) :]), receipt.records)


async def _parsed(desk: Desk, context: HttpContext, body: bytes, *, zipped: bool, precision: Precision) -> Parsed:
    now_us = desk.clock.now_us()
    limits = context.config.limits

    def work() -> Parsed:
        return parse(
            gunzip(body, bytes_max=desk.options.body_bytes_max) if zipped else body,
            precision=precision,
            now_us=now_us,
            value_bytes_max=limits.value_bytes_max,
            name_bytes_max=limits.name_bytes_max,
        )

    if not zipped and len(body) <= INLINE_BYTES_MAX:
        return work()
    return await asyncio.get_running_loop().run_in_executor(context.parse_pool, work)


async def _submit(context: HttpContext, submission: Submission) -> Receipt:
    """The receipt; what is refused whole by the door is told in the words that InfluxDB 3 has for it."""
    try:
        return await context.door.submit(submission)
    except RejectPayload as e:
        if isinstance(e, PayloadTooLarge) or not submission.all_or_nothing:
            raise
        raise HttpRefused(400, WHOLE_REFUSED, data={"error_message": str(e), "line_number": 0, "original_line": ""}) from None


def _v1_message(outcome: Outcome, *, database: str, policy: str) -> str:
    """InfluxDB 1's words: agents look for "partial write" and "unable to parse" in them to know that a retry is of no use."""
    unparsed = [f"unable to parse '{_shown(r)}': {r.reason}" for r in outcome.unparsed]
    reasons = _joined([*unparsed, *(_compatible(r.reason) for r in outcome.refused)])
    if not outcome.records and not outcome.refused:
        return reasons
    where = (f" for database: {database}" if database else "") + (f" for retention policy: {policy}" if policy else "")
    return f"partial write: {reasons} dropped={len(outcome.refused)}{where}"


def _v3_line(reject: Reject) -> dict[str, Any]:
    return {"error_message": reject.reason, "line_number": reject.line, "original_line": _shown(reject)}


def _joined(reasons: Iterable[str]) -> str:
    """One reason a line; each once, and the number of those that are left out."""
    different = list(dict.fromkeys(reasons))
    told = different[:LINES_TOLD_MAX]
    more = len(different) - len(told)
    return "\n".join(told) + (f"\nand {more} more" if more else "")


def _compatible(reason: str) -> str:
    """The door's reason in the words for which clients look."""
    return reason.replace("type clash:", "field type conflict:", 1)


def _shown(reject: Reject) -> str:
    text = reject.raw[: LINE_CHARS_TOLD_MAX * 4].decode("utf-8", "replace").rstrip("\r\n")
    return text if len(text) <= LINE_CHARS_TOLD_MAX else text[:LINE_CHARS_TOLD_MAX] + "…"
