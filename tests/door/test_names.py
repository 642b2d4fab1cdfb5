from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from appliance.names import folder_name
from appliance.records import check_name

SAFE = set(string.ascii_lowercase + string.digits + "_-~")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


@given(NAMES)
def test_a_folder_is_safe_whatever_the_stream_is_called(name: str) -> None:
    folder = folder_name(name)
    assert set(folder) <= SAFE
    assert 0 < len(folder) <= 60
    assert folder[0] not in "-."


@given(NAMES, NAMES)
def test_two_streams_never_share_a_folder(one: str, other: str) -> None:
    if one.lower() != other.lower():
        assert folder_name(one) != folder_name(other)


def test_plain_names_stand_for_themselves() -> None:
    for name in ("cpu", "host_cpu", "a-b_c9", "9lives", "x" * 60):
        assert folder_name(name) == name


def test_names_that_look_alike_stay_apart() -> None:
    names = ["CPU", "cpu!", "c p u", "cpu.", "../cpu", "cpu/", "x" * 61, "x" * 62, "é", "è", "-", "_", ".", "..", "CON", "~"]
    assert len({folder_name(n) for n in names}) == len(names)
    assert folder_name("Room") == folder_name("ROOM")


def test_half_a_character_is_no_name() -> None:
    assert check_name("a\ud800", what="stream") == "stream name 'a\\ud800' is not UTF-8"
    assert check_name("ts", what="stream") is None
