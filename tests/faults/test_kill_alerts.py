"""No alert is lost and none is made up: a real service that is killed at random moments and at each step of an alert's way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.alerting.hooks import Hook
from tests.faults.evidence import Evidence, Killer, Sender, gather
from tests.faults.oracle import Ledger, Load
from tests.faults.truth import RULES, Truth
from tests.running import UNWATCHED, Running, wait_for

SPINE = """
[hot]
commit_every = "2ms"
ring_max = "64KiB"

[roll]
every = "150ms"
rows_max = 400

[compact]
files_max = 4
"""
STEPS = ("alerts.evaluated", "alerts.written", "alerts.durable", "alerts.handed_over", "alerts.confirmed")
KILLS_A_STEP = 6
RANDOM_KILLS = 50
LIFE_S_MAX = 0.5
STEPS_MIN = 400
"""So much must have happened, however slow the machine: some sessions and many fires."""
pytestmark = pytest.mark.timeout(600)


@contextmanager
def besieged(folder: Path, seed: int) -> Iterator[tuple[Running, Sender, Hook]]:
    """A service that is not started yet, what is sent to it, and what it tells."""
    hook = Hook()
    config = f'{UNWATCHED}{SPINE}\n{RULES}\n[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/hook"\nrate_max = 100000\n'
    service = Running(folder / "data", config=config, sources="source = []\n", module=("tests.faults.program",))
    try:
        yield service, Sender(Truth(seed), service, random.Random(seed)), hook
    finally:
        if service.is_up:
            service.kill()
        hook.close()


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Of fifty lives that end at random moments: some before the service is ready, some just after an acknowledgement."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng, ledger = random.Random(seed), Ledger()
    with besieged(tmp_path_factory.mktemp("kills"), seed) as (service, sender, hook):
        for life in range(RANDOM_KILLS):
            is_early = life % 10 == 9
            service.start(wait=not is_early)
            killer = Killer(service, rng.uniform(0.0, 0.2 if is_early else LIFE_S_MAX))
            load = Load(service.port, ledger).start() if not is_early else None
            if life % 2:
                sender.send_until_gone()
            else:
                sender.send(rng.randint(1, 60))
                service.kill()
            killer.join()
            wait_for(service.has_died, what="the kill")
            if load is not None:
                load.stop()
        service.start()
        sender.send(max(0, STEPS_MIN - sender.truth.steps))
        return gather(service, sender, hook, RANDOM_KILLS)


def check(evidence: Evidence) -> None:
    """All claims at once."""
    assert evidence.told() == evidence.fires()
    assert evidence.ends_told() == set(evidence.truth.fires())
    assert [s for s, keys in evidence.keys_of_steps().items() if len(keys) > 1] == []
    assert evidence.twice() == []
    assert evidence.breaks() == []
    assert sorted(evidence.stored) == sorted(evidence.truth.sessions())
    assert evidence.endless == (0, evidence.truth.steps - 1, evidence.truth.steps)


def test_every_condition_that_held_was_told_and_none_that_did_not(evidence: Evidence) -> None:
    assert evidence.kills >= 50
    assert len(evidence.fires()) >= 20
    assert sorted(evidence.told() - evidence.fires()) == []
    assert sorted(evidence.fires() - evidence.told()) == []


def test_every_end_was_told(evidence: Evidence) -> None:
    assert evidence.ends_told() ^ set(evidence.truth.fires()) == set()


def test_what_is_told_again_has_the_same_key(evidence: Evidence) -> None:
    steps = evidence.keys_of_steps()
    assert [step for step, keys in steps.items() if len(keys) > 1] == []
    keys = [key for of in steps.values() for key in of]
    assert len(set(keys)) == len(keys)
    assert evidence.headers == [m["idempotency_key"] for m in evidence.messages]


def test_the_history_has_each_transition_once(evidence: Evidence) -> None:
    assert evidence.twice() == []
    assert evidence.breaks() == []
    assert {e[2] for e in evidence.history} == {"change"}
    assert evidence.fired() == dict.fromkeys(evidence.fires(), 1)


def test_each_session_is_in_its_stream_once(evidence: Evidence) -> None:
    assert len(evidence.stored) >= 10
    assert sorted(evidence.stored) == sorted(evidence.truth.sessions())


def test_a_session_that_is_open_goes_on(evidence: Evidence) -> None:
    assert evidence.endless == (0, evidence.truth.steps - 1, evidence.truth.steps)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_a_step_of_an_alerts_way_loses_nothing_and_makes_nothing_up(tmp_path: Path, step: str) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    with besieged(tmp_path, seed) as (service, sender, hook):
        for turn in range(KILLS_A_STEP):
            service.start("--kill-at", f"{step}:{turn * 3 + 2}", wait=False)
            sender.send_until_gone()
            wait_for(service.has_died, what=f"the kill at {step}; it said:\n{service.said()}")
        service.start()
        check(gather(service, sender, hook))
