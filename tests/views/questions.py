"""Questions over the stream ``readings`` that a view could answer, with random bounds and groupings."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.clock import NOON_US

groups = st.sampled_from(
    [
        "device",
        "time_bucket(INTERVAL '1 hour', ts)",
        "time_bucket(INTERVAL '7 hours', ts)",
        "date_trunc('day', ts), device",
        "date_trunc('hour', ts), device, upper(device)",
        "",
    ]
)
aggregates = st.lists(
    st.sampled_from(["count(*)", "count(value)", "sum(value)", "avg(value)", "min(value)", "max(value)", "max(value) - min(value)"]),
    min_size=1,
    max_size=3,
)
minutes = st.integers(-100 * 60, 3 * 60)


@st.composite
def questions(draw: st.DrawFn) -> str:
    """A plain question that a view can answer."""
    by = draw(groups)
    parts = ", ".join([*([by] if by else []), *draw(aggregates)])
    comparisons = draw(st.lists(st.sampled_from([">", ">=", "<", "<="]), max_size=2))
    where = [f"ts {how} make_timestamp({NOON_US + draw(minutes) * 60_000_000})" for how in comparisons]
    if draw(st.booleans()):
        where.append(draw(st.sampled_from(["device = 'a'", "device IS NULL", "coalesce(device, 'a') <> 'b'"])))
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    return f"SELECT {parts} FROM readings{condition}{f' GROUP BY {by}' if by else ''}"
