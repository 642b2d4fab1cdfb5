"""Dead letters go through the door again over HTTP, by id, by stream, or all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.serving import Answer, Serving


def replay(serving: Serving, body: object) -> Answer:
    return serving.request("POST", "/api/deadletters/replay", json.dumps(body).encode(), local=True)


def ids(serving: Serving) -> list[int]:
    reader = serving.box.reader()
    try:
        rows: list[tuple[Any, ...]] = reader.execute("SELECT id FROM dead_letter WHERE replayed_us IS NULL ORDER BY id")
        return [row[0] for row in rows]
    finally:
        reader.close()


def test_what_can_be_taken_now_is_taken_at_its_own_time_and_the_rest_told_again(serving: Serving) -> None:
    serving.write("m f=1 1", "db=x&precision=s")
    serving.write('m f="a clash" 2\nbad', "db=x&precision=s")
    clash, bad = sorted(ids(serving), key=lambda i: i)
    answer = replay(serving, {"ids": [], "stream": None})
    assert answer.status == 200
    assert answer.json["taken"] == 0
    assert sorted(i for i, _ in answer.json["refused"]) == [clash, bad]


def test_a_letter_is_named_by_its_id(serving: Serving) -> None:
    fields = ",".join(f"f{i}=1" for i in range(serving.config.limits.columns_max))
    serving.write(f"wide {fields} 1", "db=x&precision=s")
    serving.write("wide more=1 7", "db=x&precision=s")
    serving.write("bad")
    first = ids(serving)[0]
    assert [i for i, _ in replay(serving, {"ids": [first]}).json["refused"]] == [first]
    assert serving.letters()[0][1] == b"wide more=1 7000000000", "in nanoseconds, to be replayed alone"


@pytest.mark.parametrize("body", [[], {"ids": "all"}, {"idss": []}, "x"])
def test_what_makes_no_sense_is_refused(serving: Serving, body: object) -> None:
    assert replay(serving, body).status == 400
