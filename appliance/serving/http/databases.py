"""The little of InfluxDB 1's ``/query`` that clients need to start: they create their database, or look whether it is there.

A database is only a name here (see ``[http] databases``): creating one remembers it until the restart, and so does writing to one. Every
other statement is refused with 400 and the place where SQL is answered: an empty result would be taken for an answer.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import RejectPayload
from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk

FORM_BYTES_MAX: Final = 64 * 1024
STATEMENTS_MAX: Final = 100
_NAME = r'(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w.-]*))'
_CREATE = re.compile(rf"\s*CREATE\s+DATABASE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}(?:\s+WITH\s.*)?\s*", re.IGNORECASE | re.DOTALL)
_SHOW = re.compile(r"\s*SHOW\s+DATABASES\s*", re.IGNORECASE)
_STATEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^;"])+')


async def query_v1(desk: Desk, request: Request) -> Response:
    """200 with one result a statement; ``q`` comes in the query string or as a form."""
    given = dict(request.query_params)
    if request.method == "POST":
        given = await _form(desk, request) | given
    desk.note_database(given.get("db", ""))
    text = given.get("q", "")
    statements = [s for s in _STATEMENT.findall(text) if s.strip()][:STATEMENTS_MAX]
    if not statements:
        raise RejectPayload('missing required parameter "q"')
    return json_answer({"results": [{"statement_id": i, **_result(desk, s)} for i, s in enumerate(statements)]})


def _result(desk: Desk, statement: str) -> dict[str, Any]:
    if created := _CREATE.fullmatch(statement):
        quoted, plain = created.groups()
        desk.note_database(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        return {}
    if _SHOW.fullmatch(statement):
        return {"series": [{"name": "databases", "columns": ["name"], "values": [[name] for name in desk.databases]}]}
    asked = statement.strip()[:100]
    raise RejectPayload(
        f"error parsing query: {asked!r}: only CREATE DATABASE and SHOW DATABASES are known here; SQL is at /api/v3/query_sql"
    )


async def _form(desk: Desk, request: Request) -> dict[str, str]:
    reader = desk.body_of(request, bytes_max=FORM_BYTES_MAX)
    try:
        body = await reader.read(lambda: False)
        return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace"), max_num_fields=100).items()}
    except ValueError as e:
        raise RejectPayload(f"the form can't be read: {e}") from None
    finally:
        reader.release()
