"""Times as cron writes them, in a time zone, right where daylight saving skips or repeats an hour. Pure.

The fields and their meaning are those of Debian's cron (five fields; six begin with seconds); ``cronsim`` knows which wall times
match. Which instants these are is decided here, as Debian's cron does: a schedule of fixed times (neither minute nor hour begins
with ``*``) runs once for each, those that are skipped right after the change, those that are repeated the first time; one that
recurs (``*/15 * * * *``) follows the clock on the wall: nothing in the hour that is skipped, everything twice in the hour that is
repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_SHIFT_MAX = timedelta(hours=3)
"""No zone has moved its clocks by more within this century, but for whole days at the date line, which are skipped and never repeated."""
_MIDDAY = datetime(2026, 1, 1, 12, tzinfo=UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule. Made by ``parse_cron``."""

    text: str
    is_fixed: bool
    """Neither minute nor hour begins with ``*``."""

    def next_after(self, at_us: int, zone: tzinfo) -> int:
        """The first time later than ``at_us``, in microseconds since 1970."""
        local = _local(at_us, zone)
        best: int | None = None
        best_wall = local
        for wall in CronSim(self.text, local - _margin(at_us, zone)):
            if best is not None and wall > best_wall + _SHIFT_MAX:
                break
            for found in self._instants(wall, zone):
                if found > at_us and (best is None or found < best):
                    best, best_wall = found, wall
            if best is not None and (self.is_fixed or not _margin(best, zone)):
                break
        assert best is not None, "a schedule that has been read has a next time"
        return best

    def last_until(self, at_us: int, zone: tzinfo) -> int:
        """The last time that is not later than ``at_us``."""
        local = _local(at_us, zone) + _SECOND
        best: int | None = None
        best_wall = local
        for wall in CronSim(self.text, local + _margin(at_us, zone), reverse=True):
            if best is not None and wall < best_wall - _SHIFT_MAX:
                break
            for found in self._instants(wall, zone):
                if found <= at_us and (best is None or found > best):
                    best, best_wall = found, wall
            if best is not None and not _margin(best, zone):
                break
        assert best is not None, "a schedule that has been read has a last time"
        return best

    def _instants(self, wall: datetime, zone: tzinfo) -> Iterator[int]:
        """When the clocks of the zone show ``wall`` and this schedule means it."""
        first = wall.replace(tzinfo=zone, fold=0)
        again = wall.replace(tzinfo=zone, fold=1)
        early, late = _us(first), _us(again)
        if early == late:
            yield early
        elif _local(early, zone) == wall:  # repeated
            yield early
            if not self.is_fixed:
                yield late
        elif self.is_fixed:  # skipped
            yield _change(late, early, zone)


def parse_cron(text: str) -> Cron:
    """A schedule as cron writes it. Raises ``ValueError`` with the reason in one line, also for one that never comes."""
    parts = text.split()
    if len(parts) not in (5, 6):
        raise ValueError(f"{text[:60]!r} is no schedule: it has {len(parts)} fields; write minute, hour, day, month, day of the week")
    try:
        next(CronSim(text, _MIDDAY))
        next(CronSim(text, _MIDDAY, reverse=True))
    except CronSimError as e:
        if _is_readable(parts):
            raise ValueError(f"{text[:60]!r} never comes: there is no such day") from None
        raise ValueError(f"{text[:60]!r} is no schedule: {str(e).replace('Bad ', 'it has no sense in ')}") from None
    except StopIteration:
        raise ValueError(f"{text[:60]!r} never comes: there is no such day") from None
    return Cron(text, len(parts) == 5 and not parts[0].startswith("*") and not parts[1].startswith("*"))


def _is_readable(parts: list[str]) -> bool:
    """Whether each field has a sense, if not together."""
    try:
        CronSim(" ".join([*parts[:-2], "*", parts[-1]]), _MIDDAY)
        CronSim(" ".join([*parts[:-3], "1", *parts[-2:]]), _MIDDAY)
    except CronSimError:
        return False
    return True


def _margin(at_us: int, zone: tzinfo) -> timedelta:
    """How far around ``at_us`` the order of wall times may not be that of instants: nothing where the clocks don't change."""
    shift_us = _SHIFT_MAX // _MICROSECOND
    is_even = _local_offset(at_us - shift_us, zone) == _local_offset(at_us + shift_us, zone)
    return timedelta() if is_even else _SHIFT_MAX


def _local_offset(at_us: int, zone: tzinfo) -> timedelta | None:
    return (_EPOCH + at_us * _MICROSECOND).astimezone(zone).utcoffset()


def _local(at_us: int, zone: tzinfo) -> datetime:
    """What the clock on the wall shows, as a naive time."""
    return (_EPOCH + at_us * _MICROSECOND).astimezone(zone).replace(tzinfo=None, fold=0)


def _us(aware: datetime) -> int:
    return (aware - _EPOCH) // _MICROSECOND


def _change(low_us: int, high_us: int, zone: tzinfo) -> int:
    """The instant in the range at which the clocks change, to the second."""
    before = _local_offset(low_us, zone)
    low, high = low_us // 1_000_000, high_us // 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if _local_offset(middle * 1_000_000, zone) == before:
            low = middle
        else:
            high = middle
    return high * 1_000_000
