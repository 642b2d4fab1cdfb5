"""The bytes of a dead letter as batches again, by the codec of their notation; the other half of ``door.deadletters``."""

from __future__ import annotations

import io

from appliance.clock import Clock
from appliance.door.deadletters import DeadLetter
from appliance.errors import RejectPayload
from appliance.records import Batch, Format, Reject, Schema
from appliance.sources.codecs.content import PlainContent
from appliance.sources.codecs.csv import read_csv
from appliance.sources.codecs.jsonl import read_jsonl
from appliance.sources.codecs.line_protocol import Precision, parse
from appliance.sources.codecs.pieces import Target


def parse_letter(letter: DeadLetter, *, clock: Clock, tags: tuple[str, ...], schema: Schema | None) -> tuple[Batch, ...]:
    """The record of a letter; ``tags`` are the configured ones of its stream, ``schema`` what it is now (None: there is none).

    Raises ``RejectPayload`` with what is wrong now.
    """
    if letter.format is Format.LP:
        parsed = parse(letter.raw, precision=Precision.NS, now_us=letter.at_us)
        return _whole(parsed.batches, parsed.rejects)
    if letter.stream is None:
        raise RejectPayload("it is not known which stream it is for; mend the file and load it again")
    content = PlainContent(io.BytesIO(letter.raw), size=len(letter.raw))
    read = read_csv if letter.format is Format.CSV else read_jsonl
    pieces = list(read(content, Target(letter.stream, clock, tags, lambda: schema)))
    return _whole(tuple(b for p in pieces for b in p.batches), tuple(r for p in pieces for r in p.rejects))


def _whole(batches: tuple[Batch, ...], rejects: tuple[Reject, ...]) -> tuple[Batch, ...]:
    if rejects:
        raise RejectPayload(rejects[0].reason)
    if not batches:
        raise RejectPayload("there is no record in it")
    return batches
