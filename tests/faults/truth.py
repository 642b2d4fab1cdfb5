"""A past that is known beforehand: what devices send second by second, and from that, by counting alone, what must and must not be told.

Event time is made up and goes on by a second a step, however long a step takes. Nothing is near a border: what must not fire holds for
a third of its time, what must not count as silence is a third of it; so a pause of some seconds in between decides nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

T0 = 1_760_000_000
RULES = """
[alerts]
grace = "0s"

[stream.readings]
lateness = "30s"

[stream.beats]
lateness = "10s"

[workload.hot]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 80"
for = "30s"
severity = "critical"
flap_max = 1000
notify = ["ops"]

[workload.spike]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature > 95"
group_wait = "20ms"
flap_max = 1000
notify = ["ops"]

[workload.mean]
kind = "alert"
stream = "readings"
by = ["device"]
over = "10s"
every = "1s"
when = "avg(pressure) > 50"
severity = "critical"
group_by = ["rule", "device"]
flap_max = 1000
notify = ["ops"]

[workload.dead]
kind = "alert"
stream = "beats"
by = ["node"]
absent = "20s"
severity = "critical"
flap_max = 1000
notify = ["ops"]

[workload.visits]
kind = "session"
stream = "calls"
by = ["line"]
gap = "20s"
fields = { n = "count(x)", peak = "max(x)" }
"""
ENDLESS = "l"
"""The line whose session goes on for ever."""
CALM, HIGH, PEAK = 20.0, 85.0, 99.0
FOR, OVER, TURNS, ABSENT = 30, 10, 5, 20
"""TURNS: so many of the last ten seconds at 100 among others at 10 make a mean above 50."""

Fire = tuple[str, str, int, int | None]
"""Rule, key, second in which it began to fire, second in which that ended (None: it goes on)."""
Session = tuple[str, int, int, int, float]
"""Line, first second, last second, records, peak."""


@dataclass
class Track:
    """What one device sends: a value a second, None where it is silent. Made as it is asked for, the same for the same seed."""

    stretches: Iterator[tuple[int, float | None]]
    values: list[float | None] = field(default_factory=list)

    def at(self, step: int) -> float | None:
        while len(self.values) <= step:
            length, value = next(self.stretches)
            self.values += [value] * length
        return self.values[step]

    def runs(self, steps: int, holds: Callable[[float | None], bool]) -> list[tuple[int, int]]:
        """[first, end) of the stretches of the first ``steps`` in which it holds."""
        found, place = [], 0
        for is_true, group in itertools.groupby(self.values[:steps], key=holds):
            length = len(list(group))
            if is_true:
                found.append((place, place + length))
            place += length
        return found


class Truth:
    """All devices; ``lines`` is what they send, the rest is what follows from it."""

    def __init__(self, seed: int, devices: int = 4) -> None:
        names = range(devices)
        self.temperature = {f"d{n}": Track(_temperatures(random.Random(f"{seed} t {n}"))) for n in names}
        self.pressure = {f"d{n}": Track(_pressures(random.Random(f"{seed} p {n}"))) for n in names}
        self.beats = {f"n{n}": Track(_beats(random.Random(f"{seed} b {n}"))) for n in names}
        self.beats["n"] = Track(itertools.repeat((1, 1.0)))
        self.calls: dict[str, Track] = {f"l{n}": Track(_calls(random.Random(f"{seed} c {n}"))) for n in names}
        self.steps = 0
        """So many have been sent."""

    def lines(self, step: int) -> list[str]:
        """The records of one second."""
        at = T0 + step
        both = [(d, track.at(step), self.pressure[d].at(step)) for d, track in self.temperature.items()]
        readings = [f"readings,device={d} temperature={t},pressure={p} {at}" for d, t, p in both]
        beats = [f"beats,node={n} x=1 {at}" for n, track in self.beats.items() if track.at(step) is not None]
        calls = [f"calls,line={c} x={track.at(step)} {at}" for c, track in self.calls.items() if track.at(step) is not None]
        calls.append(f"calls,line={ENDLESS} x=1 {at}")
        return [*readings, *beats, *calls]

    def end(self) -> None:
        """What goes on comes to its end; from then on all is well, and nobody calls but the endless one."""
        for tracks, value in ((self.temperature, CALM), (self.pressure, 10.0), (self.beats, 1.0), (self.calls, None)):
            for track in tracks.values():
                track.stretches = itertools.repeat((1, value))

    def fires(self) -> list[Fire]:
        """Every fire of the seconds that have been sent."""
        found: list[Fire] = []
        for name, track in self.temperature.items():
            for first, end in track.runs(self.steps, lambda v: v is not None and v > 80):
                if end - first > FOR:
                    found.append(("hot", name, first + FOR, end))
            found += [("spike", name, first, end) for first, end in track.runs(self.steps, lambda v: v == PEAK)]
        for name, track in self.pressure.items():
            for first, end in track.runs(self.steps, lambda v: v == 100.0):
                if end - first >= TURNS:
                    found.append(("mean", name, first + TURNS - 1, end + OVER - TURNS))
        for name, track in self.beats.items():
            for first, end in track.runs(self.steps, lambda v: v is None):
                if first and end - first > ABSENT:
                    found.append(("dead", name, first - 1 + ABSENT, end))
        return found

    def sessions(self) -> list[Session]:
        """Every session of the seconds that have been sent, but for the endless one."""
        found: list[Session] = []
        for name, track in self.calls.items():
            stretches = track.runs(self.steps, lambda v: v is not None)
            joined: list[tuple[int, int]] = []
            for first, end in stretches:
                if joined and first - (joined[-1][1] - 1) < 20:
                    joined[-1] = (joined[-1][0], end)
                else:
                    joined.append((first, end))
            for first, end in joined:
                values = [v for v in track.values[first:end] if v is not None]
                found.append((name, first, end - 1, len(values), max(values)))
        return found


def _temperatures(rng: random.Random) -> Iterator[tuple[int, float | None]]:
    while True:
        yield rng.randint(15, 40), CALM
        match rng.randrange(4):
            case 0:
                yield rng.randint(1, 10), HIGH
            case 1:
                yield rng.randint(45, 70), HIGH
            case _:
                yield rng.randint(1, 4), PEAK


def _pressures(rng: random.Random) -> Iterator[tuple[int, float | None]]:
    while True:
        yield rng.randint(20, 40), 10.0
        yield rng.choice((rng.randint(1, 2), rng.randint(15, 30))), 100.0


def _beats(rng: random.Random) -> Iterator[tuple[int, float | None]]:
    while True:
        yield rng.randint(10, 40), 1.0
        yield rng.choice((rng.randint(1, 6), rng.randint(70, 90))), None


def _calls(rng: random.Random) -> Iterator[tuple[int, float | None]]:
    while True:
        yield rng.randint(45, 60), None
        for _ in range(rng.randint(1, 4)):
            for _ in range(rng.randint(2, 6)):
                yield 1, float(rng.randint(1, 1_000))
            yield rng.randint(1, 3), None
