"""Which path follows from which needs."""

from __future__ import annotations

import pytest

from appliance.paths.needs import Needs, Path
from appliance.paths.rules import assign

MINUTE_S = 60.0
DAY_S = 86_400.0

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
