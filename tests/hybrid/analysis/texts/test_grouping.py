from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from appliance.hybrid.analysis.texts.miner import Miner


def groups(lines: Sequence[str]) -> list[list[int]]:
    """Which lines have one template in the end, each group by its places."""
    miner = Miner()
    found: dict[int, list[int]] = {}
    for place, id_ in enumerate(miner.heirs_of(miner.learn(pa.array(lines, pa.string()))).tolist()):
        found.setdefault(id_, []).append(place)
    return list(found.values())


def template(*lines: str) -> str:
    """What they have in common; all are one template."""
    miner = Miner()
    (id_,) = set(miner.heirs_of(miner.learn(pa.array(lines, pa.string()))).tolist())
    return miner.template(id_).text


ANIMALS = ("ape", "bee", "cat", "dog", "eel", "fox", "gnu")


def test_a_place_with_many_words_varies() -> None:
    assert template(*(f"failed password for {who} from 10.0.0.1" for who in ANIMALS)) == "failed password for <*> from <*>"


def test_a_place_with_few_words_says_something() -> None:
    states = ("started", "paused", "resumed", "stopped")
    assert len(groups([f"[instance: 17] VM {state} (lifecycle event)" for state in states])) == len(states)


def test_the_values_of_a_key_are_told_apart_while_they_are_few() -> None:
    assert len(groups([f"authentication failure; rhost=10.0.0.{i} user={who}" for i in range(9) for who in ("root", "guest", "test")])) == 3


def test_the_same_words_in_two_places_are_names() -> None:
    lines = [f"session {what}" for who in ANIMALS[:3] for what in (f"opened for user {who} by (uid=0)", f"closed for user {who}")]
    assert groups(lines) == [[0, 2, 4], [1, 3, 5]]


def test_what_stands_beside_numbers_in_place_of_one_is_a_value() -> None:
    assert template("waited 12 for lock of 17 here", "waited 12 for lock of null here") == "waited <*> for lock of <*> here"
    assert template("connect to 10.0.0.1 has failed", "connect to db.example.org has failed") == "connect to <*> has failed"


def test_names_with_numbers_are_of_one_kind_but_not_with_words() -> None:
    assert template("block rdd_17 stored in memory", "block broadcast_3 stored in memory") == "block <*> stored in memory"
    assert len(groups(["open through proxy 1.2.3.4:5 SOCKS5", "open through proxy 1.2.3.4:5 HTTPS"])) == 2


@pytest.mark.parametrize("switches", [("on off", "off on", "on on", "off off"), ("true false", "false true")])
def test_switches_are_values(switches: Sequence[str]) -> None:
    assert len(groups([f"status of supplies ( {switch} )" for switch in switches])) == 1


def test_paths_beside_enough_words_are_values() -> None:
    said = "told me to run this job; the start is not yet"
    assert template(f"com.acme.mail: {said}", f"org.acme.search.Update: {said}") == f"<*>: {said}"
    assert len(groups(["deprecated io.sort.mb", "deprecated mapred.task"])) == 2


def test_a_word_alone_is_a_state_whatever_it_is() -> None:
    assert len(groups(["on", "off", "true", "false", "a.b.c", "d.e.f"])) == 6


def test_many_places_that_vary_at_once_are_found() -> None:
    lines = [f"message for {a}{b} number {b}{a}x in {a}{b}{a}" for a in ANIMALS for b in ANIMALS]
    assert template(*lines) == "message for <*> number <*> in <*>"


def test_texts_with_one_word_stay_what_they_say() -> None:
    words = ("looking", "following", "leading", "observing", "ready", "syncing", "joining")
    assert len(groups(words)) == len(words)
    assert len(groups([f"{word} succeeded" for word in words])) == len(words)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [
                "proxy.example.hk:5070 close, 0 bytes sent, 0 bytes received, lifetime <1 sec",
                "www.example.com:443 close, 1293 bytes (1.26 KB) sent, 24 bytes received, lifetime 00:02",
                "pic.example.com:80 close, 850 bytes sent, 10547 bytes received, lifetime 01:02",
                "www.example.com:443 close, 1293 bytes (1.26 MB) sent, 24 bytes received, lifetime 01:00:02",
                "pic.example.com:80 open through proxy proxy.example.hk:5070 HTTPS",
            ],
            [[0, 2], [1, 3], [4]],
        ),
        (
            [
                '10.11.10.1 "GET /v2/54fadb412c4e40cdbaed9335e4c35a9e/servers/detail HTTP/1.1" status: 200 len: 1893 time: 0.2477829',
                '10.11.21.124,10.11.10.1 "GET /latest/meta-data/instance-id HTTP/1.1" status: 200 len: 146 time: 0.0011',
                '10.11.10.1 "POST /v2/54fadb412c4e40cdbaed9335e4c35a9e/os-server-external-events HTTP/1.1" status: 200 len: 380 time: 0.09',
            ],
            [[0, 1], [2]],
        ),
        (
            [
                "data store interrupt caused by icbi.........0",
                "data store interrupt caused by dcbf.........0",
                "program interrupt: illegal instruction......1",
                "program interrupt: trap instruction.........0",
                "data store interrupt caused by icbi.........1",
                "63543 double-hummer alignment exceptions",
                "12 double-hummer alignment exceptions",
                "CE sym 2, at 0x0b85eee0, mask 0x05",
                "CE sym 33, at 0x1438f9e0, mask 0x40",
            ],
            [[0, 4], [1], [2], [3], [5, 6], [7, 8]],
        ),
        (
            [
                "Fan speeds ( 3552 3534 3375 4245 3515 3479 )",
                "Fan speeds ( 3552 **** 3375 4245 3515 3479 )",
                r"Component State Change: Component \042alt0\042 is in the unavailable state (HWID=3180)",
                r"Component State Change: Component \042SCSI-WWID:01000010:6005-08b4-0001-0000\042 is in the unavailable state (HWID=19)",
            ],
            [[0, 1], [2, 3]],
        ),
        (
            [
                "CBS    Session: 30546173_4261722401 initialized by client WindowsUpdateAgent.",
                "CBS    Session: 30546174_176001000 initialized by client WindowsUpdateAgent.",
                "Failed to get next element [HRESULT = 0x800f080d - CBS_E_MANIFEST_INVALID_ITEM]",
                "Expecting attribute name [HRESULT = 0x800f080d - CBS_E_MANIFEST_INVALID_ITEM]",
                "SQM: Failed to start upload with file pattern: C:\\Windows\\servicing\\sqm\\*_std.sqm, flags: 0x2 [HRESULT = 0x80004005]",
                "SQM: Failed to start upload with file pattern: C:\\Windows\\servicing\\sqm\\*_all.sqm, flags: 0x6 [HRESULT = 0x80004005]",
            ],
            [[0, 1], [2], [3], [4, 5]],
        ),
        (
            [
                "data_thread() got not answer from any [Cluster_A8] datasource",
                "data_thread() got not answer from any [Cluster_C5] datasource",
                "DHCPDISCOVER from 00:11:43:e3:ba:c3 via eth1",
                "(root) CMD (run-parts /etc/cron.hourly)",
                "(root) CMD (run-parts /etc/cron.daily)",
                "DHCPDISCOVER from 00:11:43:e3:ba:d7 via eth0",
            ],
            [[0, 1], [2, 5], [3, 4]],
        ),
    ],
)
def test_lines_of_many_makers_fall_into_their_kinds(lines: Sequence[str], expected: list[list[int]]) -> None:
    assert groups(lines) == expected
