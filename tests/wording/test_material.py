"""What a language model is given: the incident's own figures and names, texts of records as data, within a bound."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.hybrid.analysis.wording.material import MATERIAL_CHARACTERS_MAX, lasted, material, written
from appliance.hybrid.analysis.wording.prompts import why_messages
from tests.wording.pictures import answer, evidence, member, picture

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


def test_it_holds_the_incident_s_figures() -> None:
    found = json.loads(material(picture(evidence_rows=(evidence(),), lines=("oom",))))
    assert found["incident"]["since"] == "2026-11-22T10:32:05Z"
    assert found["incident"]["lasted"] == "2 min 10 s"
    assert found["members"][0]["value_at_peak"] == 3.7142
    assert found["members"][0]["tags"] == {"host": "press-3"}
    assert found["evidence"][0]["strength"] == 0.91
    assert found["lines"] == [{"ts": "2026-11-22T10:32:07Z", "stream": "syslog", "text": "oom"}]


def test_the_newest_answer_stands_apart_from_those_it_has_superseded() -> None:
    answers = (
        answer(superseded_us=1, summary="first"),
        answer(number=2, by="deep", verdict="corrected", summary="second", difference="less"),
    )
    found = json.loads(material(picture(answers=answers)))
    assert (found["answer"]["summary"], found["answer"]["difference"]) == ("second", "less")
    assert [one["summary"] for one in found["earlier_answers"]] == ["first"]


@given(st.lists(ANY_TEXT, min_size=4, max_size=4))
def test_texts_are_data_whatever_stands_in_them(texts: list[str]) -> None:
    a, b, c, d = texts
    document = material(picture(members=(member(stream=a or "s", column=b, key={c: d}, template=d, reason=a),), lines=(b,)))
    assert document.isprintable()
    assert not set("<>|`") & set(document)
    found = json.loads(document)
    assert found["members"][0]["field"] == b
    assert found["lines"][0]["text"] == b
    (_, user) = why_messages(document, d, words_max=50)
    assert json.loads(user["content"])["material"] == found


@given(st.recursive(st.none() | st.booleans() | st.integers() | ANY_TEXT, lambda some: st.lists(some) | st.dictionaries(ANY_TEXT, some)))
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    assert json.loads(written(value)) == value


def test_not_a_number_is_null() -> None:
    assert written([float("nan"), float("inf"), 1.23456789]) == "[null,null,1.23457]"


def test_it_is_cut_to_its_bound_and_keeps_the_gravest() -> None:
    many = [member(column=f"c{n}", reason="\x00" * 500, key={f"k{i}": "\x00" * 500 for i in range(50)}) for n in range(100)]
    answers = [answer(number=n, summary="\x00" * 5_000, difference="\x00" * 5_000) for n in range(5)]
    document = material(
        picture(members=many, lines=["\x00" * 10_000] * 50, evidence_rows=[evidence(what="\x00" * 500)] * 50, answers=answers)
    )
    assert len(document) <= MATERIAL_CHARACTERS_MAX
    assert json.loads(document)["incident"]["how_many_series"] == 100
    usual = material(picture(members=[member(column=f"c{n}") for n in range(100)]))
    assert json.loads(usual)["members"][0]["field"] == "c0"


def test_durations_are_said_as_people_say_them() -> None:
    said = [lasted(us * 1_000_000) for us in (-1, 0, 45, 60, 250, 7_500, 86_400, 273_600)]
    assert said == ["0 s", "0 s", "45 s", "1 min", "4 min 10 s", "2 h 5 min", "1 d", "3 d 4 h"]
