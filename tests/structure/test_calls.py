"""Time, threads and waiting have owners; nobody else calls them."""

from __future__ import annotations

import ast

import pytest

from tests.structure.sources import sources, uses

BANNED = {
    "time.time": "take `clock: Clock` and call now_us()",
    "time.time_ns": "take `clock: Clock` and call now_us()",
    "time.monotonic": "take `clock: Clock` and call monotonic_ns()",
    "time.sleep": "wait on an Event or a condition with a time-out, so that the end is noticed",
    "datetime.datetime.now": "take `clock: Clock` and call now_us()",
    "datetime.datetime.utcnow": "take `clock: Clock` and call now_us()",
    "datetime.datetime.today": "take `clock: Clock` and call now_us()",
    "datetime.date.today": "take `clock: Clock` and call now_us()",
    "threading.Thread": "a thread has one owner, listed here with what it does",
    "os.system": "use subprocess with a list",
    "random.random": "take a random.Random(seed)",
    "random.randint": "take a random.Random(seed)",
    "random.choice": "take a random.Random(seed)",
}

OWNERS: dict[str, dict[str, str]] = {
    "time.time_ns": {"appliance/clock.py": "where time comes from"},
    "threading.Thread": {
        "appliance/door/writer.py": "the writer: the only holder of the write connection",
        "appliance/hot/stream/processor.py": "follows committed records and evaluates every rule",
        "appliance/hybrid/analysis/live/follower.py": "follows committed records and scores each",
        "appliance/cli/beside_tui.py": "runs the service beside the terminal UI, which needs the main thread",
        "appliance/roll/keeper.py": "the housekeeper: rolls, and waits for the process that compacts",
        "appliance/sources/drop/source.py": "looks at the inbox and takes its files, one after the other",
        "appliance/sources/host.py": "looks at the machine once every so often",
        "appliance/sources/mqtt.py": "gathers messages, commits them and acknowledges them",
        "appliance/sources/line_sockets/udp.py": "takes datagrams off the socket before the kernel drops them",
        "appliance/sources/line_sockets/feeder.py": "hands gathered lines to the door, waiting for each receipt",
        "appliance/notify/worker.py": "one a channel: hands its messages over, so that one that hangs delays no other",
        "appliance/notify/aside.py": "a call that can't be bounded from inside (the resolver's, apprise's), which may be left behind",
        "appliance/hybrid/analysis/wording/rewording.py": "asks the language model, which may hang, for the summaries of incidents",
        "appliance/serving/worker.py": "hears the service while DuckDB works, interrupts, and tells how far a query is",
    },
}
"""Call -> file -> why it may."""


def _found(banned: str) -> list[tuple[str, int]]:
    return [
        (source.path, line)
        for source in sources("appliance", "tui")
        for name, line in source.uses
        if name == banned or name.startswith(f"{banned}.")
    ]


@pytest.mark.parametrize("banned", BANNED)
def test_only_its_owners_call(banned: str) -> None:
    owners = OWNERS.get(banned, {})
    strangers = [f"{path}:{line}: {banned} ({BANNED[banned]})" for path, line in _found(banned) if path not in owners]
    assert not strangers, "\n".join(strangers)


@pytest.mark.parametrize(("banned", "owner"), [(banned, owner) for banned, owners in OWNERS.items() for owner in owners])
def test_every_owner_still_needs_its_leave(banned: str, owner: str) -> None:
    assert owner in {path for path, _ in _found(banned)}, f"{owner} no longer uses {banned}: take it off the list"


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "import time as t\nx = t.time",
        "from time import time\ntime()",
        "from time import time as now\nlater(now)",
        "def f():\n    import time\n    return time.time()",
    ],
)
def test_a_banned_call_is_found_under_any_name(text: str) -> None:
    assert "time.time" in {name for name, _ in uses(ast.parse(text))}


def test_a_method_of_the_same_name_is_not_one() -> None:
    assert "time.time" not in {name for name, _ in uses(ast.parse("import time\nspan.time()\ntime.perf_counter()"))}
