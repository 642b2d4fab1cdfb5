"""A text that differs from a known one in its constants alone is taken for what it is, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import QueryRefused
from appliance.serving.duck import Planner
from appliance.serving.gate import admit
from appliance.serving.templates import Parsed, cut

KNOWN = [
    ("SELECT * FROM r WHERE device = 'a' AND ts >= make_timestamp(1767312000000000)", ("b''c", "1767312000000001")),
    ("SELECT time_bucket(INTERVAL '60 seconds', ts) AS t, max(v) FROM r WHERE h IN ('x', 'y') GROUP BY t", ("1 hour", "p", "")),
    ("SELECT v FROM r WHERE ts >= TIMESTAMP '2026-01-01' AND ts < DATE '2026-01-03' LIMIT 5", ("2026-02-01 10:00:00", "2027-01-01")),
    (
        "SELECT count(*) FROM r WHERE note LIKE 'a%' ESCAPE '!' OR v BETWEEN 12345678901 AND 12345678902",
        ("%", "?", "2" * 11, "3" * 18),
    ),
    ("SELECT 'x' AS name FROM r", ('$1 " ; -- /*',)),
]
NEVER = [
    "SELECT 'a' \n'b' FROM r",
    "SELECT v 'alias' FROM r",
    "SELECT date_part('year', ts) FROM r WHERE note = 'year'",
    "SELECT EXTRACT(year FROM ts), v 'year' FROM r",
    "SELECT * FROM r WHERE a = 'same' OR b = 'same'",
    "SELECT E'a' FROM r",
    "SELECT \"a\" FROM r WHERE b = 'x'",
    "SELECT $$a$$ FROM r",
    "SELECT 1 /* 'a' */ FROM r",
    "SELECT 1 FROM r -- 'a'",
    "EXPLAIN SELECT * FROM r WHERE a = 'x'",
]


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    made = Planner()
    yield made
    made.close()


def bare(tree: Any) -> Any:
    """A tree without the places in the text."""
    if isinstance(tree, dict):
        return {k: bare(v) for k, v in tree.items() if not k.startswith("query_location")}
    return [bare(v) for v in tree] if isinstance(tree, list) else tree


def filled(text: str, values: tuple[str, ...]) -> str:
    """A cut text with these values as SQL writes them."""
    found = iter(values)
    return "".join(next(found) if c == "\1" else f"'{next(found)}'" if c == "\0" else c for c in text)


@pytest.mark.parametrize(("sql", "values"), KNOWN)
def test_other_constants_give_the_tree_that_the_parser_gives(planner: Planner, sql: str, values: tuple[str, ...]) -> None:
    parsed, parts = Parsed(), cut(sql)
    assert parts is not None
    assert parsed.get(sql, parts) is None
    parsed.put(admit(planner.connection, sql), parts)
    for text in (filled(parts.text, values), sql):
        again = cut(text)
        assert again is not None
        found = parsed.get(text, again)
        assert found is not None
        told = admit(planner.connection, text)
        assert (found.sql, found.tables, found.explain) == (told.sql, told.tables, told.explain)
        assert bare(found.tree) == bare(told.tree)


@pytest.mark.parametrize("sql", NEVER)
def test_what_is_more_than_a_constant_is_parsed_each_time(planner: Planner, sql: str) -> None:
    parsed, parts = Parsed(), cut(sql)
    if parts is not None:
        with suppress(QueryRefused):
            parsed.put(admit(planner.connection, sql), parts)
        assert parsed.get(sql, parts) is None


def test_texts_that_differ_in_more_than_constants_stay_apart() -> None:
    texts = ["SELECT 'a'", "SELECT 12345678901", "SELECT 1", "SELECT 2", "SELECT 'a', 'b'", "SELECT 12345678901.5", "SELECT x12345678901"]
    found = [cut(text) for text in texts]
    assert len({parts.text for parts in found if parts is not None}) == len(texts)
    assert cut("SELECT '\0'") is None
    assert cut("SELECT 'open") is None


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\1"), max_size=8), min_size=1, max_size=3))
def test_any_text_comes_back_as_the_parser_reads_it(planner: Planner, values: list[str]) -> None:
    sql = f"SELECT {', '.join(chr(39) + v.replace(chr(39), chr(39) * 2) + chr(39) for v in values)} FROM r"
    parts = cut(sql)
    assert parts is not None
    assert parts.constants == tuple(values)
    told = [item["literal"]["text"] for item in admit(planner.connection, sql).tree["node"]["select_list"]]
    assert told == values
