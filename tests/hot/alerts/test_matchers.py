from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageRefused
from appliance.hot.alerts.matchers import is_active, matcher_text, matches, parse_matcher, silence_of
from appliance.hot.alerts.values import Matcher, Silence

LABELS = {"device": "d1", "rule": "overheating", "severity": "critical", "empty": ""}


@pytest.mark.parametrize(
    ("text", "is_match"),
    [
        ("device=d1", True),
        ("device=d2", False),
        ("device!=d1", False),
        ("device!=d2", True),
        ("rule=over*", True),
        ("rule=*heating", True),
        ("rule=*heat*", True),
        ("rule=heat*", False),
        ("rule=*over", False),
        ("rule!=a*", True),
        ("rule!=o*", False),
        ("rule=*", True),
        ("severity=critical", True),
        ("severity=Critical", False),
        (' device = "d1" ', True),
        ("line=", True),  # an alert without the label has it empty
        ("line=3", False),
        ("line!=3", True),
        ("empty=", True),
        ("device=", False),
    ],
)
def test_a_matcher_matches(text: str, is_match: bool) -> None:
    assert matches(parse_matcher(text), LABELS) is is_match


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("device", "is no matcher; write LABEL=VALUE or LABEL!=VALUE"),
        ("", "is no matcher"),
        ("=d1", "is no matcher"),
        ("!=d1", "is no matcher"),
        ("device=~d.*", "has a regular expression"),
        ("device=a*b", r"has a \* in the middle"),
        ("x" * 200, r"x\.\.\.' is no matcher"),
    ],
)
def test_what_can_not_be_read_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(UsageRefused, match=why) as found:
        parse_matcher(text)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 250


@given(st.text(st.characters(exclude_characters="=!"), min_size=1), st.text(st.characters(exclude_characters="*")), st.booleans())
def test_a_matcher_is_read_back_from_its_text(label: str, value: str, negated: bool) -> None:
    if label.strip():
        matcher = Matcher(label.strip(), value, negated)
        assert parse_matcher(matcher_text(matcher)) == matcher


def test_a_silence_is_in_force_from_its_beginning_until_before_its_end() -> None:
    silence = Silence(1, (Matcher("device", "d1"),), 10, 20, "ann", "")
    assert [is_active(silence, now_us=t) for t in (9, 10, 19, 20)] == [False, True, True, False]
    ended = Silence(1, (Matcher("device", "d1"),), 10, 20, "ann", "", ended_us=15)
    assert [is_active(ended, now_us=t) for t in (10, 14, 15)] == [True, True, False]


def test_all_matchers_of_a_silence_must_match() -> None:
    both = Silence(1, (Matcher("device", "d1"), Matcher("rule", "x")), 0, 1, "", "")
    one = Silence(2, (Matcher("device", "d1"),), 0, 1, "", "")
    assert silence_of(LABELS, [both]) is None
    assert silence_of(LABELS, [both, one]) == 2
    assert silence_of(LABELS, [Silence(3, (), 0, 1, "", "")]) is None
