"""Any signals, cut by restarts anywhere: a life depends on what happened alone, not on when it was looked at."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.alerts.life import due, is_forgettable, next_due, step
from appliance.hot.alerts.rows import alert_row, event_row, from_json, instance_of, key_of
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Instance, Kind, Phase, Transition
from appliance.hot.stream.values import FALSE, HOLD, TRUE, Signal, What
from tests.examples import examples
from tests.hot.alerts.cases import NOW_US, at, new, rule, signal

FACTS = st.builds(
    rule,
    for_s=st.sampled_from([0, 3, 10]),
    keep_s=st.sampled_from([0, 2, 10]),
    flap_max=st.sampled_from([2, 3, 1_000]),
    flap_within_s=st.sampled_from([10, 40]),
    is_absent=st.booleans(),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(What),
        st.sampled_from([TRUE, FALSE, HOLD]),
        st.integers(0, 8),  # seconds since the one before
        st.integers(0, 4),  # how far event time is behind
        st.booleans(),  # a record caused it
        st.sampled_from([None, 1, 2.5, "text", True]),
        st.booleans(),  # a restart comes before it
        st.integers(0, 6),  # event time is looked at on its own so much later
    ),
    max_size=30,
)
Steps = list[tuple[What, int, int, int, bool, float | str | None, bool, int]]


def signals_of(steps: Steps) -> list[tuple[Signal, bool, int]]:
    """Signals with rising times and watermarks, each with whether a restart comes before it and how far event time then goes alone."""
    found = []
    second = reached = 0
    for what, level, passed, behind, has_record, value, restarts, idle in steps:
        second += passed
        reached = max(reached, second - behind)
        made = signal(
            what, second, level=level, seq=second if has_record else None, reached=reached, values={"t": value}, reason=f"because {value}"
        )
        found.append((made, restarts, idle))
    return found


def stored(instance: Instance) -> Instance:
    """As it comes back after a restart; what is forgotten comes back as if it had never been."""
    return (
        instance_of(alert_row(instance, ["device"]))
        if not is_forgettable(instance)
        else Instance(instance.rule, instance.key, labels=instance.labels)
    )


def run(facts: RuleFacts, steps: Steps, *, restarts: bool, looks: bool, now_us: int = NOW_US) -> tuple[Instance, list[Transition]]:
    now = new(facts)
    found: list[Transition] = []
    signals = signals_of(steps)
    for i, (made, cut, idle) in enumerate(signals):
        if restarts and cut:
            now = stored(now)
        now, more = step(now, made, facts, now_us=now_us)
        found += more
        if looks:  # no further than the next signal finds it anyway
            limit = signals[i + 1][0].watermark_us if i + 1 < len(signals) else made.watermark_us
            now, more = due(now, facts, watermark_us=min(made.watermark_us + idle * 1_000_000, limit), now_us=now_us)
            found += more
    now, more = due(now, facts, watermark_us=at(10_000), now_us=now_us)
    return new(facts) if is_forgettable(now) else now, [*found, *more]


@given(FACTS, STEPS)
@settings(max_examples=examples(150), deadline=None)
def test_restarts_change_nothing(facts: RuleFacts, steps: Steps) -> None:
    assert run(facts, steps, restarts=True, looks=False) == run(facts, steps, restarts=False, looks=False)


@given(FACTS, STEPS)
@settings(max_examples=examples(150), deadline=None)
def test_looking_more_often_changes_nothing(facts: RuleFacts, steps: Steps) -> None:
    assert run(facts, steps, restarts=True, looks=True) == run(facts, steps, restarts=False, looks=False)


@given(FACTS, STEPS)
@settings(max_examples=examples(100), deadline=None)
def test_the_wall_clock_says_when_it_was_learned_and_nothing_else(facts: RuleFacts, steps: Steps) -> None:
    early = run(facts, steps, restarts=False, looks=False, now_us=1)[1]
    late = run(facts, steps, restarts=False, looks=False, now_us=2)[1]
    assert {t.learned_us for t in early} <= {1}
    assert [(t.kind, t.old, t.new, t.at_us, t.seq, t.values, t.fire) for t in early] == [
        (t.kind, t.old, t.new, t.at_us, t.seq, t.values, t.fire) for t in late
    ]


@given(FACTS, STEPS)
@settings(max_examples=examples(150), deadline=None)
def test_a_life_is_whole(facts: RuleFacts, steps: Steps) -> None:
    now, found = run(facts, steps, restarts=False, looks=False)
    phase, fire, flapping = Phase.OK, 0, False
    for t in found:
        if not flapping:
            assert (t.old, t.fire - fire) == (
                phase,
                int(t.new is Phase.FIRING and t.old in (Phase.OK, Phase.PENDING) and t.kind is not Kind.LATE),
            )
        assert t.fire >= fire
        flapping = t.kind is Kind.FLAPPING or (flapping and t.kind is not Kind.CALM)
        phase, fire = t.new, t.fire
        rule, key, _, kind, old, new, *times, values, reason, fire = event_row(t, ["device"])
        assert (rule, key_of(key), kind, old, new, times) == (t.rule, t.key, t.kind, t.old, t.new, [t.at_us, t.learned_us, t.seq])
        assert (from_json(values), reason, fire) == (t.values, t.reason, t.fire)
    assert now.phase is phase or flapping
    assert (now.fired_us is not None) is now.is_firing
    assert len(now.fires_us) <= facts.flap_max + 1
    assert next_due(now, facts) is None or now.flapping or now.phase in (Phase.NODATA, Phase.ERROR)


@given(FACTS, STEPS)
@settings(max_examples=examples(100), deadline=None)
def test_missing_data_and_errors_resolve_nothing(facts: RuleFacts, steps: Steps) -> None:
    _, found = run(facts, steps, restarts=False, looks=False)
    aside = (Phase.NODATA, Phase.ERROR)
    was = Phase.OK
    for t in found:
        if t.new in aside and t.old not in aside:
            was = t.old
        if t.old in aside and t.new not in aside:
            assert t.new is was
