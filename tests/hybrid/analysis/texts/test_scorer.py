from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hybrid.analysis.texts.miner import Miner
from appliance.hybrid.analysis.texts.scored import KINDS, NEW, PARAMETER, RATE, USUAL, Scored
from appliance.hybrid.analysis.texts.scorer import TextScorer
from appliance.hybrid.analysis.texts.storing import StateUnusable
from tests.examples import examples

I64 = npt.NDArray[np.int64]
BEGIN_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
WEEK_US = 7 * 24 * HOUR_US
SOME = (
    "job 17 done",
    "job 18 done with code 0",
    "door opened by ape",
    "door opened by bee",
    "x",
    "a a.b c",
    "a d.e c",
    "fan on",
    "fan off",
)


def usual_texts(count: int) -> list[str]:
    """What a calm machine says: requests, now and then a job."""
    return [
        f"job {i} took {i * 7} ms" if i % 50 == 0 else f"GET /item/{i} status {(200, 200, 304)[i % 3]} in {i % 97}" for i in range(count)
    ]


def times(count: int, *, every_s: float, begin_us: int = BEGIN_US) -> I64:
    return begin_us + (np.arange(count) * (every_s * SECOND_US)).astype(np.int64)


def scored_after(hours: int, texts: Sequence[str], *, every_s: float = 0.1) -> tuple[TextScorer, Scored]:
    """The scores of texts that come after so many hours of usual ones, one a second."""
    scorer = TextScorer()
    scorer.score(pa.array(usual_texts(hours * 3_600)), times(hours * 3_600, every_s=1.0))
    return scorer, scorer.score(pa.array(texts), times(len(texts), every_s=every_s, begin_us=BEGIN_US + hours * HOUR_US))


def kinds(scored: Scored) -> list[str]:
    return [KINDS[kind] for kind in scored.kind]


def test_a_text_that_no_template_fits_is_new_once() -> None:
    scorer, scored = scored_after(6, ["kernel panic: disk sda1 failed", "kernel panic: disk sda2 failed", "GET /item/9 status 200 in 3"])
    assert kinds(scored) == ["new template", "usual", "usual"]
    assert scored.score[0] > 0.95
    assert scored.score[1] == scored.score[2] == 0
    assert scorer.reason(scored, 0) == "no text like this among the 21,600 before it"
    assert scorer.reason(scored, 1) == ""
    assert scorer.template(scored, 0) == scorer.template(scored, 1) == "kernel panic: disk sda<*> failed"


def test_a_new_text_is_worth_more_when_it_sounds_bad() -> None:
    _, grave = scored_after(2, ["disk sda1 failed"])
    _, calm = scored_after(2, ["disk sda1 found"])
    assert grave.score[0] > calm.score[0] > 0.5


def test_new_texts_are_nothing_special_where_they_come_all_the_time() -> None:
    texts = ["".join(chr(97 + int(d)) for d in str(i * i * 7919)) + " failed" for i in range(600)]
    scorer = TextScorer()
    scored = scorer.score(pa.array(texts), times(600, every_s=60))
    assert scored.score[100:].max() < 0.9


def test_nothing_is_unusual_while_nothing_is_known() -> None:
    _, scored = scored_after(0, ["error: first of all texts", "another error", *usual_texts(100)])
    assert scored.score.max() < 0.8


def test_one_word_that_was_never_there_is_told_as_such() -> None:
    scorer = TextScorer()
    texts = [f"authentication failure; rhost=10.0.0.{i % 250} user={('root', 'guest')[i % 2]}" for i in range(5_000)]
    scorer.score(pa.array(texts), times(5_000, every_s=10))
    scored = scorer.score(
        pa.array(["authentication failure; rhost=10.0.0.1 user=git"]), times(1, every_s=1, begin_us=BEGIN_US + 51_000 * SECOND_US)
    )
    assert scored.kind[0] == PARAMETER
    assert 0.7 < scored.score[0] < 0.99
    assert scorer.reason(scored, 0) == '"git" was never there in 5,000 texts; otherwise as: "authentication failure; rhost=<*> user=root"'


def test_a_value_that_was_never_there_in_a_place_with_few_is_unusual() -> None:
    scorer, scored = scored_after(6, ["GET /item/17 status 500 in 3", "GET /item/18 status 500 in 4"])
    assert scored.kind.tolist() == [PARAMETER, USUAL]
    assert scored.score[0] > 0.85
    assert scorer.reason(scored, 0) == '"500" was not there in 21,167 such texts; so far: "200", "304"'


@pytest.mark.parametrize("value", ["item/17 since 2026-{:02d}-01", "of process {}"])
def test_dates_and_numbers_that_only_go_on_are_no_values_to_wonder_at(value: str) -> None:
    texts = [value.format(1 + i // 900) + f" took {i % 3}" for i in range(9_000)]
    scored = TextScorer().score(pa.array(texts), times(9_000, every_s=100))
    assert not (scored.kind[1_800:] == PARAMETER).any()


def test_more_of_one_text_than_a_minute_ever_has_is_unusual() -> None:
    scorer, scored = scored_after(6, ["job 7 took 49 ms"] * 400)
    at = int(np.flatnonzero(scored.kind == RATE)[0])
    assert 5 <= at < 20
    assert scored.score[-1] > 0.99
    assert (np.diff(scored.score) >= 0).all()
    assert scorer.reason(scored, 399) == "400 of these in one minute; usually at most 5"


def test_what_goes_on_being_too_much_stays_unusual_for_some_minutes_and_is_usual_then() -> None:
    _, scored = scored_after(6, ["job 7 took 49 ms"] * 12_000)
    unusual = [bool((scored.score[begin : begin + 600] > 0.9).any()) for begin in range(0, 12_000, 600)]
    assert unusual[:3] == [True, True, True]
    assert not any(unusual[6:])


def test_a_rate_that_has_always_been_high_is_usual() -> None:
    scorer = TextScorer()
    scored = scorer.score(pa.array(["tick"] * 50_000), times(50_000, every_s=0.1))
    assert scored.score.max() < 0.5
    assert 600 <= scored.usual[-1] < 800


def test_a_burst_that_comes_each_night_is_expected() -> None:
    scorer = TextScorer()
    night = [BEGIN_US + day * 24 * HOUR_US + np.arange(300, dtype=np.int64) * 100_000 for day in range(4)]
    first, *_, last = [scorer.score(pa.array(["backup of 17 done"] * 300), at) for at in night]
    assert first.score.max() < 0.5
    assert last.score.max() < 0.5


def test_how_much_has_been_learned_is_a_part_of_a_week() -> None:
    scorer = TextScorer()
    assert scorer.learned == 0
    scorer.score(pa.array(["a", "b"]), np.array([BEGIN_US, BEGIN_US + WEEK_US // 4]))
    assert scorer.learned == 0.25
    scorer.score(pa.array(["c"]), np.array([BEGIN_US + 9 * WEEK_US]))
    assert scorer.learned == 1


def test_a_text_that_is_late_counts_where_it_comes() -> None:
    scorer = TextScorer()
    scored = scorer.score(pa.array(["tick", "tick", "tick"]), np.array([BEGIN_US + 90 * SECOND_US, BEGIN_US, BEGIN_US + 91 * SECOND_US]))
    assert scored.count.tolist() == [1, 2, 3]


def test_null_and_no_texts_have_no_score() -> None:
    scorer = TextScorer()
    assert len(scorer.score(pa.array([], pa.string()), np.array([], np.int64)).score) == 0
    assert scorer.score(pa.array([None, "x"], pa.string()), times(2, every_s=1)).count.tolist() == [0, 1]


def columns(parts: Sequence[Scored]) -> list[list[float]]:
    """All that scores say, to compare."""
    return [
        np.nan_to_num(np.concatenate([getattr(part, name) for part in parts]), nan=-1).tolist()
        for name in ("ids", "score", "kind", "count", "usual")
    ]


TEXTS = st.lists(st.tuples(st.sampled_from([None, *SOME]), st.integers(1, 40), st.integers(0, 90)), max_size=25)
CUTS = st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=6)


@settings(max_examples=examples(120), deadline=None)
@given(TEXTS, CUTS, st.sampled_from([4, 100]))
def test_neither_batches_nor_a_restart_change_a_score(
    runs: list[tuple[str | None, int, int]], cuts: list[tuple[int, bool]], most: int
) -> None:
    texts = pa.array([text and text.replace("17", str(i)) for text, count, _ in runs for i in range(count)], pa.string())
    at = BEGIN_US + np.cumsum(np.array([gap * SECOND_US for _, count, gap in runs for _ in range(count)], np.int64))
    whole = TextScorer(Miner(templates_max=most)).score(texts, at)
    scorer, parts, begin = TextScorer(Miner(templates_max=most)), [], 0
    for length, restart in [*cuts, (len(texts), False)]:
        parts.append(scorer.score(texts.slice(begin, length), at[begin : begin + length]))
        begin = min(len(texts), begin + length)
        scorer = TextScorer.load(scorer.dump()) if restart else scorer
    assert columns(parts) == columns([whole])


def test_a_dump_that_is_damaged_is_refused() -> None:
    with pytest.raises(StateUnusable, match="learns anew"):
        TextScorer.load(TextScorer().dump()[:-2])


def test_kinds_have_their_names() -> None:
    assert [KINDS[kind] for kind in (USUAL, NEW, RATE, PARAMETER)] == ["usual", "new template", "rate", "parameter"]
