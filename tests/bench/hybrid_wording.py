"""What the wording of an incident takes: of the appliance itself, and through llama.cpp's server over loopback with a model of no size.

How long a real model thinks is the model's; what is measured is everything around it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.clock import SystemClock
from appliance.hybrid.analysis.wording.checks import checked_summary
from appliance.hybrid.analysis.wording.material import material
from appliance.hybrid.analysis.wording.words import Words
from appliance.hybrid_options import LanguageModelOptions
from tests.bench.report import Row, note, percentile
from tests.wording.chain import write_model
from tests.wording.llama import IS_THERE, WHY_NOT, llama
from tests.wording.pictures import evidence, member, picture

ROUNDS = 200
SENTENCE = "The field load1 of host_load reached 3.71, where 0.42 is usual, since 10:32."


def rows() -> Iterator[Row]:
    """Two rows; the second is without a figure where llama.cpp's server is not installed."""
    incident = picture(
        members=[member(), *(member(column=f"load{n}") for n in range(99))],
        evidence_rows=[evidence()] * 50,
        lines=[f"oom-killer took process {n}" for n in range(50)],
    )
    taken, document = [], ""
    for _ in range(ROUNDS):
        at = time.perf_counter()
        document = material(incident)
        checked_summary(SENTENCE, document, incident, words_max=120)
        taken.append((time.perf_counter() - at) * 1e3)
    note(f"the material of an incident of 100 series, 50 pieces of evidence and 50 lines: {len(document):,} characters")
    yield Row("wording: material made and answer checked, largest incident", f"{percentile(taken, 0.99):.1f} ms (p99)", "", None)
    what = "wording: summary by llama.cpp's server on loopback, model of no size"
    if not IS_THERE:
        note(WHY_NOT)
        yield Row(what, "not measured", "", None)
        return
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        file = Path(folder) / "chain.gguf"
        write_model(file, SENTENCE)
        with llama(file) as port:
            words = Words(LanguageModelOptions(url=f"http://127.0.0.1:{port}/v1", model="chain"), clock=SystemClock())
            asked = []
            for _ in range(ROUNDS // 10):
                at = time.perf_counter()
                assert words.summary(picture()) == SENTENCE
                asked.append((time.perf_counter() - at) * 1e3)
    yield Row(what, f"{percentile(asked, 0.5):.0f} ms (p50)", "", None)
