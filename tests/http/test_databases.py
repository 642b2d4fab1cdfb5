"""The little of ``/query`` that agents need before they write."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.http.serving import Answer, Serving


def ask(serving: Serving, q: str, *, method: str = "POST", **more: str) -> Answer:
    form = urlencode({"q": q, **more})
    if method == "POST":
        return serving.request("POST", "/query", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    return serving.request("GET", f"/query?{form}")


def names(serving: Serving) -> list[str]:
    (result,) = ask(serving, "SHOW DATABASES").json["results"]
    assert result["series"][0]["columns"] == ["name"]
    return [row[0] for row in result["series"][0]["values"]]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ('CREATE DATABASE "telegraf"', "telegraf"),
        ("create database telegraf", "telegraf"),
        ("CREATE DATABASE IF NOT EXISTS telegraf", "telegraf"),
        ('CREATE DATABASE "a;b \\" c" WITH DURATION 7d NAME "rp"', 'a;b " c'),
        ("  CREATE\n DATABASE  x-y.z ; ", "x-y.z"),
    ],
)
def test_create_database_is_200_without_an_error(serving: Serving, method: str, statement: str, name: str) -> None:
    answer = ask(serving, statement, method=method)
    assert (answer.status, answer.json) == (200, {"results": [{"statement_id": 0}]})
    assert answer.headers["X-Influxdb-Version"]
    assert names(serving) == [name]


def test_a_database_that_was_written_to_or_asked_in_is_shown(serving: Serving) -> None:
    assert names(serving) == []
    serving.write("m f=1", "db=written")
    assert ask(serving, "SHOW DATABASES", db="asked").status == 200
    assert names(serving) == ["written", "asked"]


def test_several_statements_have_a_result_each(serving: Serving) -> None:
    results = ask(serving, "CREATE DATABASE a; SHOW DATABASES").json["results"]
    assert [r["statement_id"] for r in results] == [0, 1]
    assert results[1]["series"][0]["values"] == [["a"]]


@pytest.mark.parametrize("q", ["", ";", "SELECT * FROM cpu", "DROP DATABASE x", "CREATE DATABASE", 'CREATE DATABASE "x', "CREATE USER x"])
def test_whatever_else_is_asked_is_a_400_never_an_empty_result(serving: Serving, q: str) -> None:
    answer = ask(serving, q)
    assert answer.status == 400
    assert answer.json["error"]


def test_the_names_that_are_remembered_are_bounded(serving: Serving) -> None:
    for start in range(0, 1_200, 100):
        assert ask(serving, ";".join(f"CREATE DATABASE d{i}" for i in range(start, start + 100))).status == 200
    assert len(names(serving)) == 1_000


def test_a_form_of_many_megabytes_is_refused(serving: Serving) -> None:
    assert ask(serving, "x" * 200_000).status == 413
