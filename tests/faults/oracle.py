"""What must be there: a load that numbers its records and remembers which were acknowledged, and the comparison after a crash."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

START_US = 1_760_000_000_000_000
ROWS = 20
DAY_US = 86_400_000_000


@dataclass
class Ledger:
    """Numbers of records sent and acknowledged; one load after the other adds to it."""

    next_number: int = 0
    acknowledged: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)


def lines_of(numbers: Iterable[int]) -> bytes:
    """A record for each number; its time and its tag follow from it, so the same number is the same record. Three days are touched."""
    return "\n".join(f"load,lane=l{n % 3} n={n}i {START_US + n * 1000 + (n % 3) * DAY_US}" for n in numbers).encode()


class Load:
    """A client that posts numbered records until it is stopped or the service is gone, sending again what was not acknowledged."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port = port
        self._ledger = ledger
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)  # noqa: TID251 - a client beside the test
        self.acknowledged = 0

    def start(self) -> Load:
        self._thread.start()
        return self

    def has(self, count: int) -> bool:
        """Whether so many have been acknowledged."""
        return self.acknowledged >= count

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._post()

    def _post(self) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
            self._post_on(connection)

    def _post_on(self, connection: http.client.HTTPConnection) -> None:
        ledger = self._ledger
        again = sorted(ledger.sent - ledger.acknowledged)
        while not self._stopped.is_set():
            numbers = again or list(range(ledger.next_number, ledger.next_number + ROWS))
            if not again:
                ledger.next_number += ROWS
            again = []
            ledger.sent.update(numbers)
            connection.request("POST", "/write?db=x&precision=us", body=lines_of(numbers))
            answer = connection.getresponse()
            answer.read()
            if answer.status == 204:
                ledger.acknowledged.update(numbers)
                self.acknowledged += len(numbers)


def differences(found: Counter[int], ledger: Ledger) -> list[str]:
    """What is wrong with the numbers that are there: an acknowledged one missing, one twice, one that nobody sent."""
    wrong = [f"{n} was acknowledged and is missing" for n in sorted(ledger.acknowledged - set(found))]
    wrong += [f"{n} is there {count} times" for n, count in sorted(found.items()) if count > 1]
    wrong += [f"{n} is there and was never sent" for n in sorted(set(found) - ledger.sent)]
    return wrong
