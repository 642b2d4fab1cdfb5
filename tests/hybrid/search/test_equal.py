"""Search says what reading every record would say, whatever has become of the records since they came."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from appliance.records import Format
from tests.hybrid.search.house import TextHouse

QUERIES = ("disk", "disk error", '"disk error"', "err*", "disk OR late NOT error", "(ete OR disk) AND NOT late", '"error on di"*')
TEXTS = st.lists(st.sampled_from(["disk", "error", "on", "late", "Été", "err-disk", "x" * 60]), max_size=5).map(" ".join)
ROWS = st.lists(
    st.tuples(st.integers(-30, 3).map(lambda n: n / 2), st.sampled_from(["a", "b"]), st.none() | TEXTS, st.none() | TEXTS),
    min_size=1,
    max_size=8,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), ROWS),
        st.tuples(st.just("write"), ROWS),
        st.tuples(st.sampled_from(["roll", "roll", "compact", "restart", "die", "expire", "seal", "index"]), st.none()),
        st.tuples(st.just("delete"), st.tuples(st.integers(-30, 3), st.sampled_from(["a", "*"]))),
    ),
    min_size=3,
    max_size=10,
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate))
@given(steps=STEPS, ring=st.sampled_from(["64MiB", "64KiB"]), format=st.sampled_from([Format.LP, Format.CSV]))
def test_search_equals_reading_every_record(steps: list[tuple[str, Any]], ring: str, format: Format) -> None:
    with TemporaryDirectory() as folder:
        house = TextHouse(Path(folder), ring=ring)
        try:
            house.write([(0, "a", "disk error on disk", None)], format=format)
            for step, given_ in [*steps, ("roll", None)]:
                carry_out(house, step, given_, format)
                house.check(*QUERIES[:2])
            house.check(*QUERIES)
        finally:
            house.close()


def carry_out(house: TextHouse, step: str, given_: Any, format: Format) -> None:
    match step:
        case "write":
            house.write(given_, format=format)
        case "delete":
            since, device = given_
            house.delete(1_795_348_800_000_000 + since * 1_800_000_000, None, device)
        case "expire":
            house.expire(house.clock.now_us() - 43_200_000_000)
        case _:
            getattr(house, step)()
