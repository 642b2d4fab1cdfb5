"""An answer as bytes: the one loop between the engine and whoever reads, in a worker and on the command line alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

from appliance.errors import QueryRefused, RetryLater
from appliance.serving.answer import Answer
from appliance.serving.explain import Explain
from appliance.serving.formats import Write, encoder
from appliance.serving.question import Question


def write_answer(
    answer: Answer,
    question: Question,
    write: Write,
    database: duckdb.DuckDBPyConnection,
    *,
    on_start: Callable[[], None] = lambda: None,
    on_rows: Callable[[int], None] = lambda _rows: None,
) -> Explain:
    """Writes the rows in the format of ``question``, or none where it asks for the explanation, which is returned.

    ``on_start`` is called before the first bytes, once it is certain that this result can be written; ``on_rows`` is told how
    many rows there were so far. Raises ``QueryRefused`` where a format can't hold the result.
    """
    if question.explain:
        on_start()
        for _batch in answer.batches():
            on_rows(answer.rows)
        return answer.explain()
    try:
        out = encoder(question.format, answer.schema, write, database)
        on_start()
        for batch in answer.batches():
            out.add(batch)
            on_rows(answer.rows)
            if out.full:
                break
        out.close()
    except pa.ArrowException as e:
        raise QueryRefused(f"the result can't be written as {question.format}: {e}") from e
    answer.note(out.note)
    return answer.explain()


def write_file(
    answer: Answer, question: Question, place: Path, database: duckdb.DuckDBPyConnection, *, on_rows: Callable[[int], None]
) -> Explain:
    """``write_answer`` into a new file, which is on the disk for good when this returns (its entry in the folder is not).

    Raises ``RetryLater`` where the disk is full, besides what ``write_answer`` raises.
    """
    try:
        with place.open("xb") as file:

            def write(piece: bytes) -> None:
                file.write(piece)

            explain = write_answer(answer, question, write, database, on_rows=on_rows)
            file.flush()
            os.fsync(file.fileno())
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise RetryLater(f"there is no room for the result on the disk: {e.strerror}", after_s=60) from e
        raise
    return explain
