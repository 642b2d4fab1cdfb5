"""Refused records: listing them, and sending them through the door again after the cause is mended.

A replay parses the original bytes with the codec of their notation; what is taken now is marked as replayed in the transaction that
commits it, and what is refused again stays where it is. Nothing here decides what is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from appliance.errors import RejectPayload
from appliance.hot.reader import HotReader
from appliance.records import Batch, Format, Receipt, Submission


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused record as it is kept."""

    id: int
    at_us: int
    source: str
    stream: str | None
    format: Format
    reason: str
    line: int
    raw: bytes
    replayed_us: int | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    taken: int
    refused: tuple[tuple[int, str], ...]
    """Id and the reason of now of each letter that was refused again."""


Parse = Callable[[DeadLetter], tuple[Batch, ...]]
"""Gives the batches of a letter's bytes; raises ``RejectPayload`` with the reason when they can't be read."""


def letters(
    reader: HotReader, *, stream: str | None = None, ids: Iterable[int] = (), replayed: bool = False, limit: int = 1000
) -> Iterator[DeadLetter]:
    """Letters, oldest first; those that were replayed only when asked for."""
    wanted = list(ids)
    where = ["1"] + ([] if replayed else ["replayed_us IS NULL"])
    parameters: list[object] = []
    if stream is not None:
        where.append("stream = ? COLLATE NOCASE")
        parameters.append(stream)
    if wanted:
        where.append(f"id IN ({', '.join('?' * len(wanted))})")
        parameters += wanted
    sql = "SELECT id, at_us, source, stream, format, reason, line, raw, replayed_us FROM dead_letter"
    for row in reader.cursor(f"{sql} WHERE {' AND '.join(where)} ORDER BY id LIMIT ?", (*parameters, limit)):
        yield DeadLetter(row[0], row[1], row[2], row[3], Format(row[4]), row[5], row[6], bytes(row[7]), row[8])


def replay(found: Iterable[DeadLetter], *, parse: Parse, submit: Callable[[Submission], Receipt]) -> Replayed:
    """Sends letters through the door one by one, so that each is taken or refused by itself."""
    taken = 0
    refused: list[tuple[int, str]] = []
    for letter in found:
        try:
            batches = parse(letter)
            submit(Submission(letter.source, letter.format, batches, replay_of=(letter.id,), all_or_nothing=True))
        except RejectPayload as e:
            refused.append((letter.id, str(e)))
        else:
            taken += 1
    return Replayed(taken, tuple(refused))
