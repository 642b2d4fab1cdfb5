"""Views out of the published state, as rows for surfaces: of a running box or of a folder. Pure."""

from __future__ import annotations

from appliance.derived import View
from appliance.hot.state import State
from appliance.observe.views import ViewRow
from appliance.spans import FIRST


def view_rows(state: State) -> list[ViewRow]:
    """One row a view, by name."""
    return [_row(view) for _, view in sorted(state.views.items())]


def _row(view: View) -> ViewRow:
    v = view.active
    if v is None:
        return ViewRow(
            name=view.name,
            state="unusable",
            reason=view.reason,
            source="",
            stream="",
            bucket_s=None,
            version=None,
            building=None,
            fresh_until_us=None,
            dirty_buckets=0,
            refreshed_us=None,
            cost_s=None,
            files=0,
            rows=0,
            bytes=0,
            begin_us=None,
            sealed_us=None,
            late_sealed=0,
            sql="",
        )
    used = v.used
    paths = {f.path: f for f in v.files}
    return ViewRow(
        name=view.name,
        state="building" if view.building is not None else "waiting" if used.closed_us == FIRST else "ok",
        reason=view.reason,
        source=v.definition.source,
        stream=v.stream,
        bucket_s=v.definition.bucket_us / 1e6,
        version=v.number,
        building=None if view.building is None else view.building.number,
        fresh_until_us=_known(used.closed_us),
        dirty_buckets=sum((high - low) // used.bucket_us for low, high in used.dirty if low != FIRST),
        refreshed_us=v.refreshed_us,
        cost_s=None if v.refreshed_us is None else v.cost_s,
        files=len(paths),
        rows=sum(f.rows for f in paths.values()),
        bytes=v.bytes,
        begin_us=_known(v.begin_us),
        sealed_us=_known(used.sealed_us),
        late_sealed=used.late,
        sql=v.definition.sql,
    )


def _known(us: int) -> int | None:
    return None if us == FIRST else us
