"""What happens to a view over the years: its SQL changes, its records go, its files are lost, the config names it no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from appliance.clock import US_PER_DAY
from appliance.errors import QueryRefused
from appliance.records import TS_TYPE, Batch, Format, Submission
from tests.clock import NOON_US
from tests.views.house import DAILY, HOUR_US, HOURLY, House, rows_of, view

TODAY_US = NOON_US // US_PER_DAY * US_PER_DAY
CHANGED = HOURLY.replace("sum(value)", "sum(value + 1)")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Four days in the lake, an hourly view and a daily one on it, both fresh."""
    made = House(tmp_path, {})
    made.come([(h / 2 - 96, "ab"[h % 2], h) for h in range(190)])
    made.roll()
    made.configure({"hourly": view(), "daily": view(DAILY, bucket_s=86_400)})
    made.refresh()
    yield made
    made.close()


def test_while_a_changed_view_is_built_the_old_one_answers(house: House) -> None:
    old = house.ask("SELECT * FROM hourly")
    house.configure({**house.views, "hourly": view(CHANGED)})
    assert (house.state().active is not None, house.state().building is not None) == (True, True)
    assert house.ask("SELECT * FROM hourly") == old
    house.come([(-30.2, "c", 1)])
    house.check()
    house.refresh("hourly")
    assert house.state().building is None
    house.check()
    house.check("daily")
    house.refresh("daily")
    house.check("daily")
    house.refresh("daily")
    assert house.state("daily").building is None
    house.check("daily")


def test_a_change_of_spaces_builds_nothing(house: House) -> None:
    house.configure({**house.views, "hourly": view(HOURLY.replace(", ", ",\n  "))})
    assert house.state().building is None


def test_buckets_whose_records_are_gone_stay_as_they_are(house: House) -> None:
    until = TODAY_US - 2 * US_PER_DAY
    sealed = f"SELECT * FROM {{}} WHERE bucket < make_timestamp({until})"
    before = {name: rows_of(house.ask(sealed.format(name))) for name in ("hourly", "daily")}
    assert house.expire(until)
    house.come([(-90.1, "a", 1), (-1.1, "a", 1)])
    for _ in range(2):
        for name, rows in before.items():
            assert rows_of(house.ask(sealed.format(name))) == rows == rows_of(house.offline(sealed.format(name)))
        house.refresh()
    assert house.ask("SELECT count(*) AS n FROM readings")[0]["n"] < 190
    assert house.ask("SELECT sum(late_sealed) AS n FROM _views") == [{"n": 2}]
    recent = f"WHERE bucket >= make_timestamp({until})"
    assert rows_of(house.ask(f"SELECT * FROM hourly {recent}")) == rows_of(house.ask(f"{house.computed('hourly')} {recent}"))


def test_records_that_a_view_has_yet_to_use_are_not_let_go(house: House) -> None:
    house.come([(-90.1, "a", 1)])
    house.roll()
    house.compact()
    assert not house.expire(TODAY_US - 2 * US_PER_DAY)
    house.refresh()
    assert house.expire(TODAY_US - 2 * US_PER_DAY)


def _us(value: object) -> int:
    assert isinstance(value, datetime)
    return int(value.replace(tzinfo=UTC).timestamp()) * 1_000_000


def test_a_changed_view_keeps_sealed_buckets_where_its_columns_are_the_same(house: House) -> None:
    until = TODAY_US - 2 * US_PER_DAY
    sealed = f"SELECT * FROM hourly WHERE bucket < make_timestamp({until})"
    before = rows_of(house.ask(sealed))
    house.expire(until)
    house.configure({"hourly": view(CHANGED)})
    house.refresh()
    assert house.state().building is None
    assert rows_of(house.ask(sealed)) == before
    house.configure({"hourly": view(CHANGED.replace("min(value) AS low", "min(value) AS least"))})
    house.refresh()
    assert house.ask(sealed) == []
    assert house.state().active.begin_us == until  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_file_of_a_view_that_is_damaged_is_computed_and_made_anew(house: House, damage: str) -> None:
    version = house.state().active
    assert version is not None
    path = house.folder / version.files[0].path
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-7] if damage == "cut" else content[:4] + b"\xff" * (len(content) - 400) + content[-396:])
    expected = rows_of(house.ask(house.computed("hourly")))
    assert rows_of(house.offline("SELECT * FROM hourly")) == expected
    house.check()
    house.refresh()
    house.check()
    assert len(house.explain("SELECT * FROM hourly").views[0].live) == 1


def test_a_view_that_the_config_names_no_more_is_gone(house: House) -> None:
    house.configure({"hourly": house.views["hourly"]})
    with pytest.raises(QueryRefused, match='no stream or table "daily"'):
        house.ask("SELECT * FROM daily")
    assert not list((house.folder / "views" / "daily").rglob("*.parquet"))
    house.check()


def test_a_column_that_gets_another_kind_changes_the_answer_at_once(house: House) -> None:
    data = {
        "ts": pa.array([NOON_US - 40 * HOUR_US], pa.int64()).cast(TS_TYPE),
        "device": pa.array(["a"]).dictionary_encode(),
        "value": pa.array([0.5]),
    }
    house.box.door.submit_blocking(Submission("http", Format.LP, (Batch("readings", ("device",), pa.record_batch(data)),)))
    house.check()
    house.check("daily")
    house.refresh()
    house.refresh()
    house.check()
    house.check("daily")
    assert house.state().building is None


def test_a_view_that_can_not_be_is_shown_with_the_reason_and_its_old_answer_stays(house: House) -> None:
    old = rows_of(house.ask("SELECT * FROM hourly"))
    house.configure(
        {
            "hourly": view(HOURLY + " LIMIT 3"),
            "wrong": view("SELECT nothing FROM readings"),
            "round": view("SELECT time_bucket(INTERVAL '1 hour', bucket) AS bucket FROM round GROUP BY ALL"),
        }
    )
    views = house.box.state.views
    assert "LIMIT looks beyond one bucket" in str(views["hourly"].reason)
    assert "no column bucket" in str(views["wrong"].reason)
    assert "reads itself" in str(views["round"].reason)
    assert rows_of(house.ask("SELECT * FROM hourly")) == old
    with pytest.raises(QueryRefused, match="the view wrong can't be asked: it has no column bucket"):
        house.ask("SELECT * FROM wrong")


def test_buckets_older_than_keep_are_removed(house: House) -> None:
    house.configure({"hourly": view(keep_s=2 * 86_400.0)})
    house.refresh()
    (row,) = house.ask("SELECT min(bucket) AS first FROM hourly")
    assert _us(row["first"]) >= NOON_US - 51 * HOUR_US
    house.come([(-95.0, "a", 1)])
    assert house.ask("SELECT min(bucket) AS first FROM hourly") == [row]


def test_since_and_until_restrict_the_buckets(house: House) -> None:
    since = NOON_US - 10 * HOUR_US
    assert house.ask("SELECT * FROM hourly ORDER BY ALL", since_us=since) == house.ask(
        f"SELECT * FROM hourly WHERE bucket >= make_timestamp({since}) ORDER BY ALL"
    )


def test_a_view_is_joined_with_anything(house: House) -> None:
    sql = (
        "SELECT count(*) AS n FROM hourly h JOIN readings r ON time_bucket(INTERVAL '1 hour', r.ts) = h.bucket AND r.device = h.device"
        " JOIN daily d ON d.bucket = date_trunc('day', h.bucket)"
    )
    assert house.ask(sql) == [{"n": 190}]
