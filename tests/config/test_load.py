"""The config is read strictly, completely, and each value knows where it comes from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.config import (
    Config,
    DropSource,
    HostSource,
    HttpOptions,
    LineProtocolSource,
    MqttSource,
    StreamOptions,
    config_schema,
    default_data_dir,
    example_config,
    find_config,
    load_config,
)
from appliance.config_shown import shown_options
from appliance.errors import ConfigRefused
from appliance.need_options import NeedsOptions
from appliance.option_docs import option_rows
from appliance.options import BUDGETS, SOURCE_KINDS, OptionRefused, Options
from appliance.workload_options import TABLES, WORKLOAD_KINDS, NotifyOptions

FULL = """\
[node]
name = "press-line-3"
timezone = "Europe/Berlin"

[hot]
ring_max = "64MiB"             # all rings together
commit_every = "20ms"
durability = "power-loss"      # or "crash"

[roll]
every = "5min"
rows_max = 500_000

[http]
listen = "127.0.0.1:8086"
body_max = "32MiB"

[[source]]
kind = "host"
every = "1s"

[[source]]
kind = "drop"
folder = "inbox"

[[source]]
kind = "line_protocol"
udp = "127.0.0.1:8089"
tcp = "127.0.0.1:8094"

[[source]]
kind = "mqtt"
url = "mqtt://localhost:1883"
topics = [
  "plant/+/telemetry",
  "greenhouse/#",
]

[stream.readings]
tags = ["device"]
identity = ["device", "ts"]
keep = "90d"
"""


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Config:
    file = tmp_path / "appliance.toml"
    file.write_text(text, "utf-8")
    return load_config(data_dir=tmp_path, file=file, environment=environment or {})


def test_without_a_file_it_watches_the_machine_an_inbox_and_the_line_protocol_port(tmp_path: Path) -> None:
    config = load_config(data_dir=tmp_path, file=None, environment={})
    assert config.sources == (HostSource(), DropSource(folder="inbox"), LineProtocolSource(udp="127.0.0.1:8089", tcp="127.0.0.1:8094"))
    assert config.http.listen == "127.0.0.1:8086"
    assert config.data_dir == tmp_path
    assert set(config.origins.values()) == {"default"}


def test_a_whole_config_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    assert (config.node.name, config.node.timezone) == ("press-line-3", "Europe/Berlin")
    assert (config.hot.ring_bytes_max, config.hot.commit_every_s, config.hot.durability) == (64 * 1024**2, 0.02, "power-loss")
    assert (config.roll.every_s, config.roll.rows_max) == (300.0, 500_000)
    assert config.sources[3] == MqttSource(url="mqtt://localhost:1883", topics=("plant/+/telemetry", "greenhouse/#"))
    assert config.streams == {"readings": StreamOptions(tags=("device",), identity=("device", "ts"), keep_s=90 * 86_400.0)}


def test_every_value_knows_its_line_and_the_rest_are_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, FULL, {"APPLIANCE__HTTP__BODY_MAX": "8MiB"})
    lines = FULL.splitlines()
    for name, origin in config.origins.items():
        key = name.rpartition(".")[2]
        match origin.removeprefix(f"{tmp_path}/appliance.toml:"):
            case "environment":
                assert name == "http.body_max"
            case "default":
                assert name not in {"hot.ring_max", "stream.readings.keep"}
            case line:
                assert lines[int(line) - 1].startswith(f"{key} ="), name
    assert config.origins["source[3].topics"] == f"{tmp_path}/appliance.toml:34"
    assert config.origins["hot.inflight_max"] == "default"


def test_each_option_has_an_origin_and_is_shown(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    shown = {name: value for name, value, _ in shown_options(config)}
    assert set(shown) == set(config.origins)
    assert shown["hot.ring_max"] == '"64MiB"'
    assert shown["roll.every"] == '"5min"'
    assert shown["source[3].client_id"] == "unset"


def test_a_bare_number_is_seconds_or_bytes(tmp_path: Path) -> None:
    config = load(tmp_path, "[roll]\nevery = 90\n[hot]\nring_max = 1048576\ncommit_every = 0.5\n")
    assert (config.roll.every_s, config.hot.ring_bytes_max, config.hot.commit_every_s) == (90.0, 1024**2, 0.5)


def test_no_source_at_all_can_be_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, "source = []\n").sources == ()


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    environment = {
        "APPLIANCE__HTTP__LISTEN": "0.0.0.0:8086",
        "APPLIANCE__HTTP__TOKENS": "first-token, second-token",
        "APPLIANCE__COMPACT__ENABLED": "false",
        "APPLIANCE__ROLL__ROWS_MAX": "7",
        "APPLIANCE__ROLL__EVERY": "1min",
        "APPLIANCE_ANYTHING": "is not ours",
    }
    config = load(tmp_path, '[roll]\nevery = "5min"\n', environment)
    assert config.http.tokens == ("first-token", "second-token")
    assert (config.compact.enabled, config.roll.rows_max, config.roll.every_s) == (False, 7, 60.0)
    assert config.origins["roll.every"] == "environment"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    config = load(tmp_path, '[http]\ntokens = ["very-secret-token"]\n')
    assert ("http.tokens", "(hidden)", f"{tmp_path}/appliance.toml:2") in shown_options(config)
    with pytest.raises(ConfigRefused) as refused:
        load(tmp_path, '[http]\ntokens = "very-secret-token"\n')
    assert "very-secret" not in str(refused.value)


def test_a_stream_is_found_whatever_its_case(tmp_path: Path) -> None:
    config = load(tmp_path, '[stream.Readings]\nidentity = "none"\n')
    assert config.stream("readings").identity == "none"
    assert config.stream("other") == StreamOptions()


BAD = [
    # text, the whole message after "FILE:"
    ('[hot]\nring_mx = "1MiB"\n', "2: hot.ring_mx is unknown to this version; did you mean 'ring_max'?"),
    ("[htpp]\n", "1: htpp is unknown to this version; did you mean 'http'?"),
    ("zzz = 1\n", "1: zzz is unknown to this version"),
    ('[workload.w]\nkind = "alert"\n', "1: workload.w.stream is missing: it must be a text"),
    ('[workload.w]\nkind = "alerts"\n', "2: workload.w.kind \"alerts\" is unknown to this version; did you mean 'alert'?"),
    ('[workload.w]\nkind = "alert"\nstream = "r"\n', "1: workload.w.when is missing: a rule needs when, absent or sql"),
    (
        '[workload.w]\nkind = "alert"\nstream = "r"\nwhen = "a > 1"\nabsent = "1s"\n',
        "5: workload.w.absent can't go with when: make two rules of them",
    ),
    ('[workload.w]\nkind = "alert"\nsql = "SELECT 1"\nevery = "500ms"\n', "4: workload.w.every must be at least 1s for sql"),
    (
        '[workload.w]\nkind = "alert"\nstream = "r"\nwhen = "a > 1"\nover = "10s"\nevery = "3s"\n',
        "6: workload.w.every must go into over a whole number of times, at most 10000",
    ),
    (
        '[notify.ops]\nurl = "file:x"\n[workload.w]\nkind = "alert"\nstream = "r"\nwhen = "a > 1"\nnotify = ["oops"]\n',
        "7: workload.w.notify names \"oops\", which is no channel: there is no [notify.oops]; did you mean 'ops'?",
    ),
    (
        '[workload.w]\nkind = "session"\nstream = "r"\n',
        '1: workload.w.gap is missing: it must be a duration of at least 10ms and at most 366d, such as "20ms" or "5min"',
    ),
    ('[notify.ops]\nage_max = "1h"\n', "1: notify.ops.url is missing: it must be a text"),
    ("http = 3\n", "1: http must be a table, found 3"),
    ("[http]\nbody_max = true\n", '2: http.body_max must be a size above 0, such as "64MiB", found true'),
    (
        '[hot]\nring_max = "64 potatoes"\n',
        '2: hot.ring_max must be a size above 0, such as "64MiB", found "64 potatoes": '
        "'potatoes' is no unit of size; use one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB",
    ),
    (
        '\n[hot]\n\ncommit_every = "2s"\n',
        '4: hot.commit_every must be a duration above 0 and at most 1s, such as "20ms" or "5min", found "2s"',
    ),
    ("[roll]\nevery = 0\n", '2: roll.every must be a duration above 0, such as "20ms" or "5min", found 0'),
    ("[roll]\nevery = inf\n", '2: roll.every must be a duration above 0, such as "20ms" or "5min", found inf'),
    ("[roll]\nevery = nan\n", '2: roll.every must be a duration above 0, such as "20ms" or "5min", found nan'),
    ("[roll]\nevery = 2026-01-01\n", '2: roll.every must be a duration above 0, such as "20ms" or "5min", found 2026-01-01'),
    ("[roll]\nrows_max = -1\n", "2: roll.rows_max must be a whole number above 0, found -1"),
    ("[roll]\nrows_max = 1.5\n", "2: roll.rows_max must be a whole number above 0, found 1.5"),
    ('[roll]\nrows_max = "5"\n', '2: roll.rows_max must be a whole number above 0, found "5"'),
    (f"[roll]\nrows_max = {10**99}\n", "2: roll.rows_max must be a whole number above 0, found a value of 100 digits"),
    (f"[roll]\nevery = {10**400}\n", '2: roll.every must be a duration above 0, such as "20ms" or "5min", found a value of 401 digits'),
    ("[compact]\nenabled = 1\n", "2: compact.enabled must be true or false, found 1"),
    ("[compact]\nfiles_max = 99999\n", "2: compact.files_max must be a whole number above 0 and at most 10000, found 99999"),
    ('[query]\nmemory_max = "1MiB"\n', '2: query.memory_max must be a size of at least 64MiB, such as "64MiB", found "1MiB"'),
    ('[hot]\ndurability = "maybe"\n', '2: hot.durability must be one of "power-loss", "crash", found "maybe"'),
    ("[http]\ndatabases = {}\n", '2: http.databases must be one of "ignore", "prefix", found a table'),
    ('[node]\ntimezone = "Europe/Berln"\n', "2: node.timezone 'Europe/Berln' is no zone of the IANA time zone database"),
    ('[node]\ntimezone = "../etc"\n', "2: node.timezone '../etc' is no zone of the IANA time zone database"),
    ('[node]\nname = ""\n', "2: node.name must be 1 to 255 bytes of printable text"),
    ('[node]\nname = "a\\nb"\n', "2: node.name must be 1 to 255 bytes of printable text"),
    ('[http]\nlisten = "8086"\n', "2: http.listen '8086' is no address: an address is \"HOST:PORT\""),
    (
        '[http]\nlisten = "0.0.0.0:8086"\n',
        "2: http.listen '0.0.0.0:8086' can be reached from other machines, so http.tokens must name one token or more",
    ),
    ('[http]\ntokens = ["short"]\n', "2: http.tokens must each be 8 or more printable ASCII characters without spaces"),
    ('[http]\nbody_max = "1GiB"\n', "2: http.body_max doesn't fit: http.body_max (1GiB) is above hot.inflight_max (64MiB)"),
    ('[hot]\ninflight_max = "1MiB"\n', "2: hot.inflight_max doesn't fit: http.body_max (32MiB) is above hot.inflight_max (1MiB)"),
    ("source = 3\n", "1: source must be tables under [[source]]"),
    ('[source]\nkind = "host"\n', "1: source must be tables under [[source]]"),
    ('[[source]]\nevery = "1s"\n', "1: source[0] must have a kind: one of host, drop, line_protocol, mqtt"),
    ('[[source]]\nkind = "line_protocl"\n', "2: source[0].kind \"line_protocl\" is unknown to this version; did you mean 'line_protocol'?"),
    (
        '[[source]]\nkind = "host"\n[[source]]\nkind = "host"\nevry = 1\n',
        "5: source[1].evry is unknown to this version; did you mean 'every'?",
    ),
    ('[[source]]\nkind = "host"\n[[source]]\nkind = "host"\n', "3: source[1] takes this machine's metrics, which source[0] takes already"),
    (
        '[[source]]\nkind = "drop"\n[[source]]\nkind = "drop"\nfolder = "inbox/"\n',
        "3: source[1] takes the folder 'inbox/', which source[0] takes already",
    ),
    (
        '[[source]]\nkind = "line_protocol"\nudp = ""\n[[source]]\nkind = "line_protocol"\nudp = ""\n',
        "4: source[1] takes TCP 127.0.0.1:8094, which source[0] takes already",
    ),
    ('[[source]]\nkind = "drop"\nfolder = "../up"\n', "3: source[0].folder must name a folder, without '..', found '../up'"),
    ('[[source]]\nkind = "mqtt"\ntopics = ["a"]\n', "1: source[0].url is missing: it must be a text"),
    (
        '[[source]]\nkind = "mqtt"\nurl = "http://x"\ntopics = ["a"]\n',
        "3: source[0].url must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT], found 'http://x'",
    ),
    ('[[source]]\nkind = "mqtt"\nurl = "mqtt://x"\ntopics = []\n', "4: source[0].topics must name at least one topic filter"),
    (
        '[[source]]\nkind = "mqtt"\nurl = "mqtt://x"\ntopics = ["a/#/b"]\n',
        "4: source[0].topics 'a/#/b' is no topic filter: '+' stands for a whole level, '#' for all that follow",
    ),
    (
        '[[source]]\nkind = "mqtt"\nurl = "mqtt://x"\ntopics = ["a", 3]\n',
        "4: source[0].topics must be a list of texts, found a list with 3",
    ),
    ('[[source]]\nkind = "mqtt"\nurl = "mqtt://x"\ntopics = ["a"]\nqos = 3\n', "5: source[0].qos must be one of 0, 1, 2, found 3"),
    ("[stream]\nreadings = 3\n", "2: stream.readings must be a table, found 3"),
    ('[stream."a.b"]\ntag = ["x"]\n', "2: stream.\"a.b\".tag is unknown to this version; did you mean 'tags'?"),
    ("[stream.a]\n[stream.A]\n", "2: stream.A is the same stream as 'a': names differ in more than case"),
    ('[stream.a]\nidentity = ["device"]\n', "2: stream.a.identity must name 'ts' among its columns"),
    ("[stream.a]\nidentity = []\n", '2: stream.a.identity must name columns, or be "none"'),
    ('[stream.a]\nidentity = "all"\n', '2: stream.a.identity must be a list of texts or "none", found "all"'),
    ('[stream.a]\ntags = ["d", "D"]\n', "2: stream.a.tags names 'd' twice"),
    ('[stream.a]\ntags = ["ts"]\n', "2: stream.a.tags can't name 'ts': that column is the appliance's own"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[f"{number}: {message[:40]}" for number, (_, message) in enumerate(BAD)])
def test_a_bad_config_is_refused_in_one_line_that_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        load(tmp_path, text)
    assert str(refused.value) == f"{tmp_path}/appliance.toml:{message}"
    assert refused.value.exit_status == 2


def test_a_variable_is_refused_as_the_file_would_be(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigRefused, match="environment: APPLIANCE__HTTP__LISTN is unknown to this version; did you mean 'APPLIANCE__HTTP__LISTEN'"
    ):
        load(tmp_path, "", {"APPLIANCE__HTTP__LISTN": "x"})
    with pytest.raises(
        ConfigRefused, match=r"environment variable APPLIANCE__ROLL__EVERY: roll\.every must be a duration .* found \"soon\""
    ):
        load(tmp_path, "", {"APPLIANCE__ROLL__EVERY": "soon"})


def test_a_file_that_is_no_config_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    cases: list[tuple[bytes, str]] = [
        (b"[http\n", "no TOML: Expected ']' at the end of a table declaration (at line 1, column 6)"),
        (b"\xff\xfe", "no text in UTF-8 (byte 0)"),
        (b"#" * (1024 * 1024 + 1), "no config: larger than 1048576 bytes"),
    ]
    for content, message in cases:
        file.write_bytes(content)
        with pytest.raises(ConfigRefused) as refused:
            load_config(data_dir=tmp_path, file=file, environment={})
        assert str(refused.value) == f"{file}: {message}"
    with pytest.raises(ConfigRefused, match="can't be read: No such file or directory"):
        load_config(data_dir=tmp_path, file=tmp_path / "absent.toml", environment={})
    with pytest.raises(ConfigRefused, match="can't be read: Is a directory"):
        load_config(data_dir=tmp_path, file=tmp_path, environment={})


def test_options_without_sense_cannot_be_made_in_code_either() -> None:
    with pytest.raises(OptionRefused, match="can be reached from other machines"):
        HttpOptions(listen="[::]:8086")


def test_the_example_loads_as_it_is_and_with_every_option_taken_in(tmp_path: Path) -> None:
    assert load(tmp_path, example_config()).sources == load_config(data_dir=tmp_path, file=None, environment={}).sources
    taken_in = re.sub(r"^# (?=\w+ = |\[)", "", example_config(), flags=re.MULTILINE)
    config = load(tmp_path, taken_in)
    assert len(config.sources) == 4
    taken = {name: origin for name, origin in config.origins.items() if not name.startswith("workload.")}
    assert [name for name, origin in taken.items() if not origin.startswith(str(tmp_path))] == []
    assert list(config.workloads) == ["overheating", "runs", "hourly", "morning"]


def test_every_option_has_a_meaning() -> None:
    rows = option_rows()
    kinds: list[type[Options]] = [
        *TABLES.values(),
        *BUDGETS.values(),
        *SOURCE_KINDS.values(),
        StreamOptions,
        NotifyOptions,
        *WORKLOAD_KINDS.values(),
    ]
    shared = len(msgspec.structs.fields(NeedsOptions))
    known = sum(len(msgspec.structs.fields(kind)) - shared * issubclass(kind, NeedsOptions) for kind in kinds)
    assert len(rows) == known + shared
    assert all(row.meaning.endswith(".") for row in rows)


def test_the_schema_knows_exactly_the_keys_that_load() -> None:
    schema = config_schema()
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema
    tables = schema["properties"]
    for name, kind in TABLES.items():
        assert list(tables[name]["properties"]) == [field.encode_name for field in msgspec.structs.fields(kind)]
    kinds: list[dict[str, Any]] = tables["source"]["items"]["oneOf"]
    assert [kind["properties"]["kind"]["const"] for kind in kinds] == list(SOURCE_KINDS)
    assert kinds[3]["required"] == ["kind", "url", "topics"]
    for name in tomllib.loads(FULL):
        assert name in tables


def test_the_data_folder_is_systemds_or_the_one_at_hand() -> None:
    assert default_data_dir({"STATE_DIRECTORY": "/var/lib/appliance"}) == Path("/var/lib/appliance")
    assert default_data_dir({}) == Path("data").absolute()


def test_the_data_folders_own_config_is_found_first(tmp_path: Path) -> None:
    (tmp_path / "appliance.toml").write_text("")
    assert find_config(tmp_path) == tmp_path / "appliance.toml"
