"""What a language model is given of an incident: its own figures and names as one JSON document, cut to a bound. Pure.

Every text that came with records (names of streams, tags and their values, templates, lines) is a JSON string in which nothing is left
that could end the string, the document or, in the notation of a chat template, the turn: it is data, and only data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from appliance.clock import US_PER_S, iso
from appliance.observe.analysis import AnswerRow, EvidenceRow, IncidentPicture, MemberRow

TEXT_CHARACTERS_MAX: Final = 200
"""Of one text; what is longer is cut with "…"."""
SUMMARY_CHARACTERS_MAX: Final = 1_200
MATERIAL_CHARACTERS_MAX: Final = 9_000
"""Of the whole document: 3,000 tokens, so that it goes into the 4,096 that small servers begin with."""
ROWS_MAX: Final = 12
"""Of members, of evidence and of lines; the gravest, first or newest as the picture has them."""
_MARKS: Final = "<>[]{}|`\\"
"""What tokens of chat templates begin and end with (``<|im_start|>``, ``[INST]``, ``<<SYS>>``, fences): written as escapes."""
_LISTS: Final = ("lines", "evidence", "members")
"""What is shortened, the longest first and among equals in this order."""


def material(picture: IncidentPicture) -> str:
    """The document. At most ``MATERIAL_CHARACTERS_MAX`` characters, ASCII controls and marks of templates escaped."""
    document = _document(picture)
    text = written(document)
    while len(text) > MATERIAL_CHARACTERS_MAX:
        name = max(_LISTS, key=lambda one: len(document[one]))
        if document[name]:
            document[name] = document[name][:-1]
        else:
            document |= {"earlier_answers": [], "streams": document["streams"][:1], "answer": None}
        text = written(document)
    return text


def written(value: Any) -> str:
    """Values as JSON in which texts hold no mark, no control and no character that changes the direction or joins unseen."""
    match value:
        case str():
            return f'"{_escaped(value)}"'
        case Mapping():
            return "{" + ",".join(f"{written(str(name))}:{written(one)}" for name, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(written(one) for one in value) + "]"
        case float() if not math.isfinite(value):
            return "null"
        case float():
            return json.dumps(rounded(value))
        case _:
            return json.dumps(value)


def rounded(value: float) -> float:
    """Six significant digits: what the screens show."""
    return float(f"{value:.6g}")


def _escaped(text: str) -> str:
    return "".join(_character(c) for c in text)


def _character(c: str) -> str:
    if c == '"' or c in _MARKS or not c.isprintable():
        return json.dumps(c)[1:-1] if ord(c) > 0xFFFF else f"\\u{ord(c):04x}"
    return c


def _document(picture: IncidentPicture) -> dict[str, Any]:
    row = picture.incident
    counting = next((answer for answer in reversed(picture.answers) if answer.superseded_us is None), None)
    members = [_member(member) for member in picture.members[:ROWS_MAX]]
    return {
        "incident": {
            "since": iso(_second(row.since_us)),
            "until": iso(_second(row.until_us)),
            "lasted": lasted(row.until_us - row.since_us),
            "state": row.state,
            "verdict": row.verdict,
            "confidence": row.confidence,
            "severity": row.severity,
            "how_many_series": row.members,
            "how_many_streams": len(row.streams),
            "feedback_of_a_person": row.feedback,
        },
        "streams": [_cut(name) for name in row.streams[:ROWS_MAX]],
        "answer": None if counting is None else _answer(counting),
        "earlier_answers": [_answer(answer) for answer in picture.answers if answer is not counting][-2:],
        "members": members,
        "evidence": [_evidence(found) for found in picture.evidence[:ROWS_MAX]],
        "lines": [
            {"ts": line.get("ts", ""), "stream": _cut(line.get("stream", "")), "text": _text(line)} for line in picture.lines[:ROWS_MAX]
        ],
    }


def _member(member: MemberRow) -> dict[str, Any]:
    found: dict[str, Any] = {
        "stream": _cut(member.stream),
        "field": _cut(member.column),
        "tags": _tags(member.key),
        "what": member.kind,
        "since": iso(_second(member.since_us)),
        "until": iso(_second(member.until_us)),
        "peak": iso(_second(member.peak_us)),
        "score": member.score,
        "unusual_records": member.records,
        "reason": _cut(member.reason),
    }
    if member.template is not None:
        found["template"] = _cut(member.template.replace("<*>", "*"))
    if member.value is not None:
        found["value_at_peak"] = member.value
    if member.expected is not None:
        found["usual_there"] = member.expected
    return found


def _answer(answer: AnswerRow) -> dict[str, Any]:
    return {
        "by": answer.by,
        "verdict": answer.verdict,
        "confidence": answer.confidence,
        "summary": _cut(answer.summary, SUMMARY_CHARACTERS_MAX),
        "basis": _cut(answer.basis),
        "difference": _cut(answer.difference, SUMMARY_CHARACTERS_MAX),
    }


def _evidence(found: EvidenceRow) -> dict[str, Any]:
    return {
        "what": found.kind,
        "stream": _cut(found.stream),
        "field": _cut(found.column),
        "tags": _tags(found.key),
        "at": None if found.at_us is None else iso(_second(found.at_us)),
        "strength": found.value,
        "says": _cut(found.what),
    }


def lasted(span_us: int) -> str:
    """A duration for people: "45 s", "4 min 10 s", "2 h 5 min", "3 d 4 h"."""
    whole_s = max(0, span_us) // US_PER_S
    days, hours, minutes, seconds = whole_s // 86_400, whole_s // 3_600 % 24, whole_s // 60 % 60, whole_s % 60
    parts: Sequence[tuple[int, str]] = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _second(ts_us: int) -> int:
    return ts_us - ts_us % US_PER_S


def _tags(key: Mapping[str, str | None]) -> dict[str, str | None]:
    return {_cut(name): None if value is None else _cut(value) for name, value in list(key.items())[:ROWS_MAX]}


def _text(line: Mapping[str, str]) -> str:
    return _cut(line.get("text", ""))


def _cut(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"
