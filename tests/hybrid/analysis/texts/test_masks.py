from __future__ import annotations

import pyarrow as pa
import pytest

from appliance.hybrid.analysis.texts.columns import columns_of, text_of
from appliance.hybrid.analysis.texts.masks import CHARACTERS_MAX, clipped, marked, parts, shapes

VARYING = {
    "took 12.5 ms": "took <*>",
    "free 4.0 KB": "free <*>",
    "lifetime <1 sec": "lifetime <*>",
    "at Fri Jun 17 07:07:00 2005": "at <*>",
    "since 2026-11-22T20:31:02.123Z on": "since <*> on",
    "from 10.0.0.1:8080 to /10.0.0.2:51": "from <*> to <*>",
    "from fe80::1ff:fe23:4567:890a": "from <*>",
    "to 2607:f8b0:4005:80b::200e.443@0 failed": "to <*>@<*> failed",
    "[03:31:44.842] up": "[<*>] up",
    "at 03:31:44,842 up": "at <*> up",
    "dropped 00:1a:2b:3c:4d:5e": "dropped <*>",
    "id 0b5b9e5c-9a0f-4d0c-8e6b-0a5d3a1c9f00 gone": "id <*> gone",
    "lock{df0798e} in 0x7fde83ae": "lock{<*>} in <*>",
    "mask=ffffffff": "mask=<*>",
    "read /var/log/syslog.1": "read <*>",
    r"loaded C:\Windows\winsxs\cbscore.dll": "loaded <*>",
    "GET https://example.org/a?b=1, done": "GET <*>, done",
    "to www.example.org:443 HTTPS": "to <*> HTTPS",
    "mail me@example.org": "mail <*>",
    "blk_-17 and blk_18 on node-3": "blk_<*> and blk_<*> on node<*>",
    "slots [1, 2, 3] of 4,5": "slots [<*>] of <*>",
    "connection from 1.2.3.4 () at": "connection from <*> (<*>) at",
    "alignment exceptions......0": "alignment exceptions......<*>",
    "حرارة ٤٢ درجة": "حرارة <*> درجة",
    "温度 ４２": "温度 <*>",
    "no numbers and/or paths here": "no numbers and/or paths here",
    "std::bad_alloc, e.g. this": "std::bad_alloc, e.g. this",
    "": "",
}


def test_what_varies_is_masked_whoever_wrote_it() -> None:
    found = shapes(marked(pa.array(VARYING))).to_pylist()
    assert dict(zip(VARYING, found, strict=True)) == VARYING


def test_values_are_what_the_masks_stand_for() -> None:
    (cut,) = parts(marked(pa.array(["port 51 of 10.0.0.1 open"]))).to_pylist()
    assert cut[1::2] == ["51", "10.0.0.1"]
    assert "<*>".join(cut[::2]) == "port <*> of <*> open"


def test_the_mark_between_values_can_stand_in_a_text() -> None:
    (cut,) = parts(marked(pa.array(["a\x1fb 1"]))).to_pylist()
    assert cut[1::2] == ["1"]


def test_null_stays_null() -> None:
    assert shapes(marked(pa.array([None, "1"], pa.string()))).to_pylist() == [None, "<*>"]


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    short, long = clipped(pa.array(["short", "é" * (CHARACTERS_MAX + 9)])).to_pylist()
    assert (short, len(long)) == ("short", CHARACTERS_MAX)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ("ask <*> to delete blk_<*> blk_<*> blk_<*>", "ask <*> to delete blk_<*>"),
        ("nodes n<*> up, n<*> up, n<*> up", "nodes n<*> up"),
        ("r<*>=<*> r<*>=<*>", "r<*>=<*>"),
        ("from <*> to <*>", "from <*> to <*>"),
        ("a   b\t c", "a b c"),
        ("total = <*>, boot = <*>", "total = <*>, boot = <*>"),
        ("a a a", "a a a"),
    ],
)
def test_a_list_of_two_looks_like_a_list_of_nine(shape: str, text: str) -> None:
    assert text_of(columns_of(shape)) == text
