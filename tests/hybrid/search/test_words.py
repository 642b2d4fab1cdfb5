"""What a word is, what a query means, and what is shown of a text that fits."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageRefused
from appliance.hybrid.search.language import holds, parse
from appliance.hybrid.search.matching import fitting
from appliance.hybrid.search.names import search_of
from appliance.hybrid.search.snippets import CHARS_MAX, snippet
from appliance.hybrid.search.words import words_of
from tests.hybrid.search.house import fits, words


@pytest.mark.parametrize(
    ("query", "text", "is_found"),
    [
        ("disk", "The DISK is full", True),
        ("dis", "The disk is full", False),
        ("dis*", "The disk is full", True),
        ('"is full"', "The disk is full", True),
        ('"full is"', "The disk is full", False),
        ('"the di"*', "The disk is full", True),
        ("disk full", "The disk is full", True),
        ("disk AND empty", "The disk is full", False),
        ("empty OR full", "The disk is full", True),
        ("disk NOT full", "The disk is full", False),
        ("(empty OR disk) NOT (late OR early)", "The disk is full", True),
        ("10.0.0.1", "from 10.0.0.1 to 10.0.0.2", True),
        ("10.0.0.2 10.0.0.1", "from 10.0.0.1 to 10.0.0.20", False),
        ("user_id", "user-id: 7", True),
        ("ete", "l'Été", True),
        ("été", "l'ETE", True),
        ("שלום", "אמר שלום", True),
        ('disk "is', "The disk is full", True),
        ("((disk", "The disk is full", True),
        ("OR disk AND", "The disk is full", True),
        ("and", "this and that", True),
        ("x" * 70, "x" * 90, True),
    ],
)
def test_a_query_means_what_it_says(query: str, text: str, is_found: bool) -> None:
    assert fitting(parse(query), [pa.array([text, "nothing of it"])]).tolist() == [is_found, False]


@given(st.lists(st.text(), max_size=6), st.text(max_size=30))
def test_words_are_those_that_python_would_find(texts: list[str], more: str) -> None:
    texts = [t.encode("utf-8", "ignore").decode() for t in (*texts, more)]
    for text in texts:
        if text.isascii():
            assert list(words_of(text)) == words(text)
    try:
        query = parse(more.encode("utf-8", "ignore").decode())
    except UsageRefused:
        return
    assert not holds(query.root, frozenset())
    if all(t.isascii() for t in texts):
        assert fitting(query, [pa.array(texts)]).tolist() == [fits(query.root, [words(t)]) for t in texts]


def test_the_words_of_a_text_do_not_run_into_those_of_the_next() -> None:
    texts = pa.array(["ab", "cd", None, "", "é", "ab cd"])
    assert fitting(parse("abcd OR cdab"), [texts]).tolist() == [False] * 6
    assert fitting(parse('"ab cd"'), [texts]).tolist() == [False] * 5 + [True]
    assert fitting(parse("ab"), [texts.slice(1)]).tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    "query", ["", "  ", "?!", '"', "()", "AND", "NOT x", "x OR NOT y", "a " * 1_100, " ".join(f"w{i}" for i in range(70)), "(" * 60 + "x"]
)
def test_what_can_mean_nothing_is_refused_in_plain_words(query: str) -> None:
    with pytest.raises(UsageRefused):
        parse(query)


@pytest.mark.parametrize(
    ("text", "query", "shown", "marked"),
    [
        ("the disk is full", "disk", "the disk is full", ["disk"]),
        ("a" * 500 + " the disk failed", "fail*", None, ["failed"]),
        ("l'Été à Nice", "ete", "l'Été à Nice", ["Été"]),
        ("red \x1b[31mdisk\u202e x", "disk", "red  [31mdisk  x", []),
        ("disk " * 200_000, "disk", None, None),
    ],
)
def test_a_snippet_shows_the_place_and_harms_no_terminal(text: str, query: str, shown: str | None, marked: list[str] | None) -> None:
    found, marks = snippet(text, parse(query).wanted)
    assert len(found) <= CHARS_MAX
    assert found.isprintable()
    assert shown is None or found == shown
    assert marked is None or not marked or [found[a:b] for a, b in marks] == marked
    assert all(0 <= a < b <= len(found) for a, b in marks)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("connection to <*> failed after <*> ms", "connection to 10.0.0.7 failed after 30 ms"),
        ("blk_<*> of node<*>: size=<*>", "blk_123 of node7: size=12"),
        ('said "<*>" \u201ccaf\u00e9 <*>\u201d', 'said "hello" \u201ccafe\u0301 noir\u201d'),
        ("a " * 300 + "<*>", "a " * 300 + "z"),
        ("<*> AND <*>", "x AND y"),
    ],
)
def test_the_search_of_a_template_finds_its_texts(template: str, text: str) -> None:
    query = parse(search_of(template))
    assert fitting(query, [pa.array([text, "something else"])]).tolist() == [True, False]


def test_a_template_of_which_all_varies_has_no_search() -> None:
    assert search_of("<*> <*>:x<*>") == ""
