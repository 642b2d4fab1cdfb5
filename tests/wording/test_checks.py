"""What a language model may say of an incident: a table of answers against one incident's material."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hybrid.analysis.wording.checks import Unfit, checked, checked_summary
from appliance.hybrid.analysis.wording.figures import figures_of, is_known_number
from appliance.hybrid.analysis.wording.material import material, rounded, written
from tests.wording.pictures import answer, evidence, member, picture

INCIDENT = picture(
    members=(
        member(),
        member(stream="syslog", column="message", key={}, template="out of memory: killed process <*>", kind="rate", value=4112),
    ),
    evidence_rows=(evidence(),),
    lines=("sensor-12 said 0x1f at 17:45", "95 s"),
)
MATERIAL = material(INCIDENT)


@pytest.mark.parametrize(
    "text",
    [
        "The field load1 of host_load reached 3.71 where 0.42 is usual.",
        "host_load was unusual since 10:32:05 UTC, at a score of 0.97.",
        "Since 10:32 on 22 November 2026, host_load is 4.2 times its usual spread.",
        "Since November 22nd host_load has been unusual.",
        "On 2026-11-22T10:32:05Z host_load rose to 3.7, or 4 when rounded.",
        "host_load was unusual for 2 min 10 s; syslog had about 4,100 of these lines, exactly 4112.",
        "Two series on 2 streams moved, host_load first.",
        "The confidence of host_load's answer is 70 %, its severity 90 percent.",
        "user on cpu0 of host_cpu led host_load by 3s, with a correlation of 0.91.",
        "host_load of press-3 rose while syslog named sensor-12, 0x1f and 17:45.",
        "On Sunday at 10:00 host_load is usually low, the steepest rise in 9 days.",
        "**host_load** was `unusual` at 10:32.",
        "<think>The user wants 99 things.</think> host_load was unusual at 10:32.",
        '"host_load was unusual at 10:32."',
        "host load was\nunusual\tat 3.7.",
        "After a silence of 95 s host_load went on; jobs that delete files were seen at 10:32.",
    ],
)
def test_what_stands_in_the_incident_may_be_said(text: str) -> None:
    said = checked_summary(text, MATERIAL, INCIDENT, words_max=60)
    assert "\n" not in said
    assert "99" not in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("host_load reached 97.3 at once.", "'97.3'"),
        ("host_load reached 3.8 at once.", "'3.8'"),
        ("host_load was unusual since 11:32 today.", "'11:32'"),
        ("host_load was unusual since 10:32:06 today.", "'10:32:06'"),
        ("On 23 November host_load was unusual.", "'23 November'"),
        ("On 2026-11-21 host_load was unusual.", "'2026-11-21'"),
        ("host_load and host_disk were unusual.", "'host_disk'"),
        ("host_load rose when cpu7 did.", "'cpu7'"),
        ("host_load tripled, or seventeen times as much.", "'seventeen'"),
        ("host_load rose hundreds of times.", "'hundreds'"),
        ("host_load rose to ٣٤ then.", "'٣٤'"),
        ("host_load rose by ½ then.", "'½'"),
        ("host_load rose to 1e9 then.", "'1e9'"),
        ("host_load rose by 5000 % then.", "'5000 %'"),
        ("host_load rose, see https://evil.example now.", "an address"),
        ("host_load rose, see www.evil.example now.", "an address"),
        ("host_load rose, write to a@evil.example now.", "an address"),
        ("host_load rose <script>alert()</script> now.", "markup"),
        ("host_load rose <|im_end|> now.", "markup"),
        ("host_load \x1b[2J rose now.", "can't be shown"),
        ("host_load \u202e rose now.", "can't be shown"),
        ("host_load ros" + "e\u0301\u0302\u0303\u0304\u0305" + " now.", "heaps marks"),
        ("host_load " + "x" * 100 + " rose now.", "a word of more than"),
        ("host_load " + "is unusual " * 40, "more than words_max"),
        ("host_load " + "is unusual " * 20, "repeats itself"),
        ("host_load ,.-;: ////////////////////", "no sentence"),
        ("unusual", "next to nothing"),
        ("", "next to nothing"),
        ("Everything is as it was before.", "names no stream"),
        ("The stream host_load was rather unusual.", "no figure"),
        ("All is well with host_load since 10:32.", "'all is well' of an incident"),
        ("Nothing unusual on host_load since 10:32.", "'nothing unusual' of an incident"),
        ("host_load at 10:32 was a false alarm.", "'false alarm' of an incident"),
        ("host_load rose at 10:32, ignore the alert.", "'ignore the' of an incident"),
        ("There is no problem on host_load since 10:32.", "'no problem' of an incident"),
    ],
)
def test_what_does_not_is_not_taken(text: str, why: str) -> None:
    with pytest.raises(Unfit, match=re.escape(why)):
        checked_summary(text, MATERIAL, INCIDENT, words_max=60)


def test_of_a_dismissed_incident_it_may_be_said_that_nothing_is_wrong() -> None:
    dismissed = picture(answers=(answer(verdict="dismissed", by="deep"),))
    assert checked_summary("Nothing unusual on host_load at 10:32.", material(dismissed), dismissed, words_max=60)


def test_an_answer_to_a_person_need_not_name_a_stream() -> None:
    assert checked("The document does not show the cause.", MATERIAL, INCIDENT, words_max=60)


@given(st.floats(min_value=0, max_value=1e12).filter(lambda value: value == 0 or value > 1e-6), st.integers(2, 6))
def test_a_figure_rounded_to_two_digits_or_more_is_still_that_figure(value: float, digits: int) -> None:
    given_value = rounded(value)
    shown = f"{float(f'{given_value:.{digits}g}'):.15f}".rstrip("0").rstrip(".")
    assert is_known_number(shown, figures_of(written({"value": value})))


@given(st.floats(min_value=1, max_value=1e12), st.floats(min_value=1.11, max_value=100))
def test_another_figure_is_not(value: float, times: float) -> None:
    known = figures_of(written({"value": value}))
    assert not is_known_number(f"{value * times:.6f}", known)


@given(st.text(max_size=300))
def test_whatever_a_model_says_is_one_clean_line_or_refused(text: str) -> None:
    try:
        said = checked(text, MATERIAL, INCIDENT, words_max=60)
    except Unfit:
        return
    assert said.isprintable()
    assert len(said.split()) <= 60
