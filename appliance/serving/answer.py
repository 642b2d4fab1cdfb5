"""The result of one query, as the engine gives it: batches, read once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from appliance.serving.constancy import Varies
from appliance.serving.explain import Explain
from appliance.serving.work import Work

if TYPE_CHECKING:
    from appliance.serving.engine import Engine


class Answer:
    """The result of a query, read once. ``schema`` are its columns, ``notes`` what it lacks."""

    def __init__(self, engine: Engine, work: Work, reader: pa.RecordBatchReader, first: pa.RecordBatch | None) -> None:
        self.schema: pa.Schema = reader.schema
        self.rows = 0
        self._engine = engine
        self._work = work
        self._reader = reader
        self._first = first

    @property
    def first_rows(self) -> int:
        """Rows that are there before any was read."""
        return 0 if self._first is None else self._first.num_rows

    def close(self) -> None:
        """Ends the query, done or not."""
        self._reader.close()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._work.notes)

    def note(self, text: str | None) -> None:
        """Adds to what the answer lacks."""
        if text is not None:
            self._work.notes.append(text)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, each batch at least one. Raises ``QueryCancelled``, ``QueryRefused`` or ``StoreDamaged``."""
        batch = self._first
        with self._engine.timed(self._work, "rest"):
            while batch is not None:
                self.rows += batch.num_rows
                yield batch
                batch = self._engine.next_batch(self._work, self._reader)

    @property
    def names(self) -> tuple[str, ...]:
        """Tables that the SQL names, as it writes them."""
        return self._work.statement.tables

    @property
    def varies(self) -> Varies:
        """When the SQL gives another answer over the same records."""
        return "always" if self._work.statement.explain else self._engine.varies_of(self._work.statement)

    def explain(self) -> Explain:
        """How it was answered, as far as it has got."""
        return self._engine.explain(self._work, self.rows)
