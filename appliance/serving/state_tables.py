"""The appliance's own tables in SQL: ``_streams``, ``_segments``, ``_deadletters``, ``_alerts`` and what belongs to alerts, ``_jobs``.

Each comes from the published state or from a table of ``hot.sqlite``, in one instant with the streams of the same query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from appliance.hot import divergences, incident_looks, job_tables, ladder_table, placements
from appliance.hot import models as stored_models
from appliance.hot.alerts import looks
from appliance.hot.panel_table import PANELS, look_panels
from appliance.hot.reader import HotReader
from appliance.hot.state import State
from appliance.hot.stream.session_store import closed_sessions, shown_sessions
from appliance.hot.stream.sessions.live import session_table
from appliance.observe import health
from appliance.observe.ladder import LadderStatus
from appliance.observe.status import Problem, Status
from appliance.serving import meter_rows
from appliance.serving.report_rows import COLUMNS as REPORTS
from appliance.serving.report_rows import report_lines
from appliance.serving.source import StateTable
from appliance.serving.view_rows import view_rows

_ARROW: Final[Mapping[str, pa.DataType]] = {
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
}
Columns = tuple[tuple[str, str], ...]
SESSIONS_MAX: Final = 1_000
DEAD_LETTERS_MAX: Final = 100_000
"""The newest ones; more are not shown at once."""

STREAMS: Final = (
    ("name", "VARCHAR"),
    ("records", "BIGINT"),
    ("hot_rows", "BIGINT"),
    ("cold_rows", "BIGINT"),
    ("segments", "BIGINT"),
    ("cold_bytes", "BIGINT"),
    ("mark", "BIGINT"),
    ("last_seq", "BIGINT"),
    ("dirty_days", "BIGINT"),
    ("lost_segments", "BIGINT"),
    ("columns", "BIGINT"),
    ("schema_version", "BIGINT"),
    ("identity", "VARCHAR"),
    ("folder", "VARCHAR"),
)
SEGMENTS: Final = (
    ("stream", "VARCHAR"),
    ("day", "DATE"),
    ("days", "BIGINT"),
    ("state", "VARCHAR"),
    ("rows", "BIGINT"),
    ("bytes", "BIGINT"),
    ("first", "BIGINT"),
    ("last", "BIGINT"),
    ("ts_min", "TIMESTAMP"),
    ("ts_max", "TIMESTAMP"),
    ("level", "BIGINT"),
    ("schema_version", "BIGINT"),
    ("path", "VARCHAR"),
    ("sha256", "VARCHAR"),
)
DELETIONS: Final = (
    ("id", "BIGINT"),
    ("at", "TIMESTAMP"),
    ("stream", "VARCHAR"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("where", "VARCHAR"),
    ("records", "BIGINT"),
    ("author", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("gone", "TIMESTAMP"),
)
REMOVALS: Final = (
    ("id", "BIGINT"),
    ("at", "TIMESTAMP"),
    ("stream", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("why", "VARCHAR"),
    ("day", "DATE"),
    ("days", "BIGINT"),
    ("records", "BIGINT"),
    ("bytes", "BIGINT"),
    ("first", "BIGINT"),
    ("last", "BIGINT"),
    ("path", "VARCHAR"),
    ("sha256", "VARCHAR"),
)
DEAD_LETTERS: Final = (
    ("id", "BIGINT"),
    ("at", "TIMESTAMP"),
    ("source", "VARCHAR"),
    ("stream", "VARCHAR"),
    ("format", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("line", "BIGINT"),
    ("raw", "VARCHAR"),
    ("replayed", "TIMESTAMP"),
)


MODELS: Final = (
    ("name", "VARCHAR"),
    ("version", "BIGINT"),
    ("active", "BOOLEAN"),
    ("state", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("method", "VARCHAR"),
    ("stream", "VARCHAR"),
    ("by", "VARCHAR"),
    ("column", "VARCHAR"),
    ("error", "DOUBLE"),
    ("naive_error", "DOUBLE"),
    ("coverage", "DOUBLE"),
    ("made", "TIMESTAMP"),
    ("changed", "TIMESTAMP"),
    ("path", "VARCHAR"),
    ("sha256", "VARCHAR"),
)
SESSIONS: Final = (
    ("workload", "VARCHAR"),
    ("key", "VARCHAR"),
    ("start", "TIMESTAMP"),
    ("end", "TIMESTAMP"),
    ("duration_s", "DOUBLE"),
    ("records", "BIGINT"),
    ("is_open", "BOOLEAN"),
    ("values", "VARCHAR"),
)


def streams(state: State, _reader: HotReader) -> pa.Table:
    """One row a stream."""
    rows = [
        (
            s.name,
            s.last_seq,
            s.hot_rows,
            s.cold_rows,
            len(s.segments),
            sum(g.bytes for g in s.segments),
            s.mark,
            s.last_seq,
            len(s.dirty),
            len(s.lost),
            len(s.schema.columns) + 2,
            s.schema.version,
            ", ".join(s.identity_columns() or ("none",)),
            s.folder,
        )
        for _, s in sorted(state.streams.items())
    ]
    return _table(STREAMS, rows)


def segments(state: State, _reader: HotReader) -> pa.Table:
    """One row a file of the lake, live ones and those that are set aside."""
    rows = [
        (g.stream, g.day, g.days, said, g.rows, g.bytes, g.first, g.last, g.ts_min, g.ts_max, g.level, g.schema_version, g.path, g.sha256)
        for _, s in sorted(state.streams.items())
        for said, of_state in (("live", s.segments), ("lost", s.lost))
        for g in of_state
    ]
    return _table(SEGMENTS, rows)


def dead_letters(_state: State, reader: HotReader) -> pa.Table:
    """One row a refused record, the newest ``DEAD_LETTERS_MAX``; ``raw`` as text, with what is no UTF-8 replaced."""
    found = reader.execute(
        "SELECT id, at_us, source, stream, format, reason, line, raw, replayed_us FROM dead_letter ORDER BY id DESC LIMIT ?",
        (DEAD_LETTERS_MAX,),
    )
    return _table(DEAD_LETTERS, [tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in row) for row in found])


def deletions(_state: State, reader: HotReader) -> pa.Table:
    """One row a deletion; ``where`` as JSON, ``gone`` is when no file held its records any more."""
    found = reader.execute(
        "SELECT d.id, d.at_us, s.name, d.since_us, d.until_us, d.matching, d.records, d.author, d.reason, d.ended_us"
        " FROM deletion d JOIN stream s ON s.id = d.stream_id ORDER BY d.id"
    )
    return _table(DELETIONS, found)


def removals(_state: State, reader: HotReader) -> pa.Table:
    """One row a file that retention has removed."""
    found = reader.execute(
        "SELECT r.id, r.at_us, s.name, r.kind, r.why, r.day, r.days, r.rows, r.bytes, r.first, r.last, r.path, r.sha256"
        " FROM removal r JOIN stream s ON s.id = r.stream_id ORDER BY r.id"
    )
    return _table(REMOVALS, found)


def stored_table(columns: Columns, look: Callable[[HotReader], Sequence[Sequence[Any]]]) -> StateTable:
    """One of the tables that alerts and batch work keep in ``hot.sqlite``."""
    return StateTable(columns, lambda _state, reader: _table(columns, look(reader)))


def sessions(state: State, reader: HotReader) -> pa.Table:
    """Open sessions as they were stored last, and the newest ``SESSIONS_MAX`` of each workload that are over and still hot."""
    rows = list(shown_sessions(reader))
    for workload in sorted({str(row[0]) for row in reader.execute("SELECT DISTINCT workload FROM session_open")}):
        stream = state.get(workload)
        rows += [] if stream is None else closed_sessions(stream, rows_max=SESSIONS_MAX)
    return pa.Table.from_batches([session_table(rows)])


VIEWS: Final = (
    ("name", "VARCHAR"),
    ("state", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("source", "VARCHAR"),
    ("bucket_s", "DOUBLE"),
    ("version", "BIGINT"),
    ("building", "BIGINT"),
    ("fresh_until", "TIMESTAMP"),
    ("dirty_buckets", "BIGINT"),
    ("refreshed", "TIMESTAMP"),
    ("cost_s", "DOUBLE"),
    ("files", "BIGINT"),
    ("rows", "BIGINT"),
    ("bytes", "BIGINT"),
    ("begin", "TIMESTAMP"),
    ("sealed", "TIMESTAMP"),
    ("late_sealed", "BIGINT"),
    ("sql", "VARCHAR"),
)


def views(state: State, _reader: HotReader) -> pa.Table:
    """One row a view."""
    own = {"fresh_until": "fresh_until_us", "refreshed": "refreshed_us", "begin": "begin_us", "sealed": "sealed_us"}
    return _table(VIEWS, [tuple(getattr(row, own.get(name, name)) for name, _ in VIEWS) for row in view_rows(state)])


def models(_state: State, reader: HotReader) -> pa.Table:
    """One row a version of a model."""
    columns = [name for name, _ in MODELS]
    return _table(MODELS, [[_model_value(r, c) for c in columns] for r in stored_models.models(reader)])


def _model_value(row: stored_models.ModelRow, column: str) -> Any:
    return ", ".join(row.by) if column == "by" else getattr(row, {"made": "made_us", "changed": "changed_us"}.get(column, column))


def lost_problems(state: State, *, since_us: int = 0) -> tuple[Problem, ...]:
    """What the folder alone tells of its health: segments that are lost."""
    hint = "restore it from a backup; appliance verify tells more"
    return tuple(Problem("CRIT", f"a segment is lost: {g.describe()}", since_us, hint) for s in state.streams.values() for g in s.lost)


def stored_health(state: State, _reader: HotReader) -> pa.Table:
    """What the folder alone tells."""
    lost = lost_problems(state)
    found = health.Health(level=health.level_of(lost), reasons=lost, ladder=LadderStatus(), state="offline")
    return _table(health.COLUMNS, health.rows(found))


def live_health(status: Callable[[], Status]) -> StateTable:
    """``_health`` of a running service."""
    return StateTable(health.COLUMNS, lambda _state, _reader: _table(health.COLUMNS, health.rows(health.health_of(status()))))


TABLES: Final[Mapping[str, StateTable]] = {
    "_streams": StateTable(STREAMS, streams),
    "_segments": StateTable(SEGMENTS, segments),
    "_deletions": StateTable(DELETIONS, deletions),
    "_removals": StateTable(REMOVALS, removals),
    "_deadletters": StateTable(DEAD_LETTERS, dead_letters),
    "_views": StateTable(VIEWS, views),
    "_sessions": StateTable(SESSIONS, sessions),
    "_alerts": stored_table(looks.ALERTS, looks.alerts),
    "_alert_history": stored_table(looks.HISTORY, looks.history),
    "_silences": stored_table(looks.SILENCES, looks.silences),
    "_outbox": stored_table(looks.OUTBOX, looks.outbox),
    "_jobs": stored_table(job_tables.JOBS, job_tables.look_jobs),
    "_job_history": stored_table(job_tables.HISTORY, job_tables.look_history),
    "_paths": stored_table(placements.PATHS, placements.look_paths),
    "_path_moves": stored_table(placements.MOVES, placements.look_moves),
    "_models": StateTable(MODELS, models),
    "_divergence": stored_table(divergences.COLUMNS, divergences.look),
    "_incidents": stored_table(incident_looks.INCIDENTS, incident_looks.incidents),
    "_incident_answers": stored_table(incident_looks.ANSWERS, incident_looks.answers),
    "_incident_members": stored_table(incident_looks.MEMBERS, incident_looks.members),
    "_panels": stored_table(PANELS, look_panels),
    "_reports": stored_table(REPORTS, report_lines),
    "_latency": stored_table(meter_rows.LATENCY, meter_rows.latency_rows),
    "_cost": stored_table(meter_rows.COST, meter_rows.cost_rows),
    "_health": StateTable(health.COLUMNS, stored_health),
    "_ladder": stored_table(ladder_table.LADDER, ladder_table.look_ladder),
}


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Arrow from rows; times and days are whole numbers in them."""
    arrays = []
    for at, (_, kind) in enumerate(columns):
        wanted = _ARROW[kind]
        values = [row[at] for row in rows]
        plain = {"TIMESTAMP": pa.int64(), "DATE": pa.int32()}.get(kind, wanted)
        arrays.append(pa.array(values, plain).cast(wanted))
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
