"""The cache of answers in Prometheus' text form: families for ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.observe.cache import CachePicture
from appliance.serving.http.meter_metrics import Family


def cache_families(picture: CachePicture | None) -> Iterator[Family]:
    """Counts since the start and what is held; nothing of no cache."""
    if picture is None:
        return
    yield "cache_entries", "gauge", "Answers and parts of answers that are kept.", [({}, picture.entries)]
    yield "cache_bytes", "gauge", "Memory of these.", [({}, picture.bytes)]
    yield "cache_bytes_max", "gauge", "Limit of that.", [({}, picture.bytes_max)]
    found = [({"how": "kept"}, picture.hits), ({"how": "completed"}, picture.partial_hits), ({"how": "not"}, picture.misses)]
    yield "cache_asked_total", "counter", "Questions by how the cache had their answer.", found
    yield "cache_invalidated_total", "counter", "Kept answers that records have changed.", [({}, picture.invalidated)]
    yield "cache_evicted_total", "counter", "Kept answers dropped for room.", [({}, picture.evicted)]
    yield "cache_warmed_total", "counter", "Answers computed again before anybody asked.", [({}, picture.warmed)]
    yield "cache_saved_seconds_total", "counter", "Time that hits did not take.", [({}, picture.saved_s)]
