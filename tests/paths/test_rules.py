"""Which path follows from which needs: the reference cases, every combination of needs, and what no rule decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path as File

import pytest

from appliance.paths.needs import PATHS, Nature, Needs, Path
from appliance.paths.rules import HOT_RECORDS_MAX, Assignment, PathCost, assign

DAY_S = 86_400.0
TABLE = File(__file__).with_name("combinations.txt")

REFERENCE: dict[str, tuple[Needs, Path, str]] = {
    "market alerts: < 1 s, medium volume": (Needs(triggers=True, freshness_s=1.0, staleness_s=1.0, records=50_000), "hot", "trigger"),
    "daily reports": (Needs(freshness_s=DAY_S, staleness_s=DAY_S, records=1_000_000, is_complex=True), "cold", "batch"),
    "user dashboards: < 5 s, low volume": (Needs(freshness_s=4.0, staleness_s=4.0, records=1_000), "hot", "fresh"),
    "AI analysis: < 30 s, medium volume": (
        Needs(freshness_s=30.0, staleness_s=30.0, records=50_000, is_complex=True, nature="analysis"),
        "hybrid",
        "nature",
    ),
    "historical queries: very high volume": (
        Needs(freshness_s=DAY_S, staleness_s=DAY_S, records=500_000_000, is_complex=True),
        "cold",
        "batch",
    ),
}


@pytest.mark.parametrize("case", REFERENCE)
def test_the_reference_cases_of_the_architecture(case: str) -> None:
    needs, path, rule = REFERENCE[case]
    found = assign(needs)
    assert (found.path, found.rule) == (path, rule)


FRESH = (1.0, 4.999, 5.0, 30.0, 600.0)
STALE = (60.0, 61.0)
RECORDS = (None, 10_000, 10_001, HOT_RECORDS_MAX, HOT_RECORDS_MAX + 1)
NATURES: tuple[Nature, ...] = ("plain", "analysis", "search", "cache")


def combinations() -> Iterator[Needs]:
    """Every combination of needs, each figure just on both sides of the bounds of the rules."""
    for waiting, triggers, session, fresh_s, stale_s, records, is_complex, nature in product(
        (False, True), (False, True), (False, True), FRESH, STALE, RECORDS, (False, True), NATURES
    ):
        yield Needs(
            waiting=waiting,
            triggers=triggers,
            session_bound=session,
            freshness_s=fresh_s,
            staleness_s=max(fresh_s, stale_s),
            records=records,
            is_complex=is_complex,
            nature=nature,
        )


def line(needs: Needs, found: Assignment) -> str:
    """One combination as the table has it."""
    yes = [name for name in ("waiting", "triggers", "session_bound", "is_complex") if getattr(needs, name)]
    figures = f"fresh {needs.freshness_s:g}s, stale {needs.staleness_s:g}s, records {needs.records}"
    return f"{found.path:<6} {found.rule:<8} | {figures}, {needs.nature}{''.join(f', {y}' for y in yes)} | {found.reason}"


def written() -> str:
    """The table: of those natures that are all hybrid only the first combination stands in it."""
    every = [*combinations()]
    first = {n.nature: n for n in reversed(every)}
    return "".join(f"{line(n, assign(n))}\n" for n in every if n.nature == "plain" or n is first[n.nature])


def as_the_architecture_says(needs: Needs) -> Path | None:
    """The path by the words of the decision, in another form than the rules have; None: no rule of it decides."""
    is_hot = needs.waiting or needs.triggers or needs.session_bound or needs.freshness_s < 5
    is_cold = not needs.waiting and (needs.records or 0) > 10_000 and needs.staleness_s > 60 and needs.is_complex
    if needs.nature in ("analysis", "search", "cache"):
        return "hybrid"
    if is_hot and not (needs.triggers or needs.session_bound) and (needs.records or 0) > HOT_RECORDS_MAX:
        return "hybrid"
    return "hot" if is_hot else "cold" if is_cold else None


def test_every_combination_of_needs_has_the_path_that_the_architecture_gives_it() -> None:
    for needs in combinations():
        wanted, found = as_the_architecture_says(needs), assign(needs)
        assert wanted in (None, found.path), (needs, found)
        assert (found.rule == "cheapest") == (wanted is None), (needs, found)


def test_every_combination_of_needs_is_as_the_table_has_it() -> None:
    """After a change of the rules: ``python -m tests.paths.test_rules`` writes the table; read what has changed in it."""
    assert written() == TABLE.read_text("utf-8")


def test_every_reason_names_what_decided() -> None:
    words = {
        "nature": "a first answer from hot",
        "trigger": "triggers",
        "session": "session",
        "both": "hot holds",
        "user": "a user is waiting",
        "fresh": "below 5s",
        "batch": "nobody waits",
        "cheapest": "no rule decides",
    }
    found = [assign(needs) for needs in combinations()]
    assert {a.rule for a in found} == set(words)
    assert [a for a in found if words[a.rule] not in a.reason] == []


UNDECIDED = Needs(freshness_s=600.0, staleness_s=600.0, records=100)


@pytest.mark.parametrize(
    ("costs", "path"),
    [
        ({}, "cold"),
        ({"cold": PathCost(9.0)}, "cold"),
        ({"cold": PathCost(9.0), "hot": PathCost(2.0)}, "hot"),
        ({"cold": PathCost(2.0), "hot": PathCost(9.0), "hybrid": PathCost(5.0)}, "cold"),
        ({"cold": PathCost(2.0, ready_s=700.0), "hot": PathCost(9.0), "hybrid": PathCost(5.0)}, "hybrid"),
    ],
)
def test_what_no_rule_decides_goes_to_the_cheapest_path_that_is_fresh_enough(costs: dict[Path, PathCost], path: Path) -> None:
    found = assign(UNDECIDED, costs)
    assert (found.path, found.rule) == (path, "cheapest")


@pytest.mark.parametrize(("freshness_s", "path"), [(5.0, "hybrid"), (59.9, "hybrid"), (60.0, "cold")])
def test_without_measured_costs_the_least_work_that_is_fresh_enough_is_done(freshness_s: float, path: Path) -> None:
    assert assign(replace(UNDECIDED, freshness_s=freshness_s)).path == path


def test_hot_is_never_the_cheapest_path_for_more_records_than_it_holds() -> None:
    needs = replace(UNDECIDED, records=HOT_RECORDS_MAX + 1)
    assert assign(needs, {"hot": PathCost(0.1), "cold": PathCost(9.0)}).path == "cold"
    assert assign(needs, {"hot": PathCost(0.1), "cold": PathCost(9.0)}, hot_records_max=10_000_000).path == "hot"


@pytest.mark.parametrize("path", PATHS)
def test_a_kind_that_runs_on_one_path_stays_there_and_says_what_its_needs_ask_for(path: Path) -> None:
    found = assign(Needs(freshness_s=1.0, staleness_s=1.0), runs_on=(path,))
    assert found.path == path
    if path != "hot":
        assert found.rule == "kind"
        assert f"runs on {path} only; its needs ask for hot" in found.reason
    assert assign(UNDECIDED, runs_on=(path,)).rule == "cheapest"


if __name__ == "__main__":
    TABLE.write_text(written(), "utf-8")
