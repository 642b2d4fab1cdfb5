"""Files sent by hand: the content arrives whole, or nothing of it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import DropSource, HttpOptions, LimitOptions
from appliance.errors import RejectPayload, RetryLater
from appliance.records import Format
from tests.http.serving import Serving
from tests.running import wait_for


def spool(serving: Serving) -> list[Path]:
    return list(serving.context.spool.iterdir())


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("size", [0, 10, 5_000_000])
def test_a_file_arrives_as_it_is_with_what_was_said_of_it(serving: Serving, size: int, local: bool) -> None:
    content = bytes(i % 251 for i in range(size))
    answer = serving.request("POST", "/api/ingest?name=a.csv.gz&stream=room&format=csv&again=true", content, local=local)
    assert (answer.status, answer.json) == (200, {"records": 3})
    assert serving.ingest.taken == [(content, "a.csv.gz", "room", Format.CSV, True)]
    assert spool(serving) == []


def test_stream_and_format_may_be_left_to_the_name(serving: Serving) -> None:
    assert serving.request("POST", "/api/ingest?name=room.csv", b"x").status == 200
    assert serving.ingest.taken == [(b"x", "room.csv", None, None, False)]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 400),
        ("name=", {}, 400),
        ("name=../x.csv", {}, 400),
        ("name=a%00b", {}, 400),
        (f"name={'x' * 256}", {}, 400),
        ("name=x.csv&format=xml", {}, 400),
        ("name=x.csv&again=perhaps", {}, 400),
        ("name=x.csv", {"Content-Encoding": "gzip"}, 415),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_byte_is_kept(serving: Serving, query: str, headers: dict[str, str], status: int) -> None:
    assert serving.request("POST", f"/api/ingest?{query}", b"x", headers).status == status
    assert serving.ingest.taken == []


@pytest.mark.parametrize(("error", "status"), [(RejectPayload("no header"), 400), (RetryLater("the disk is full"), 503)])
def test_a_file_that_can_t_be_taken_is_told_and_removed(serving: Serving, error: Exception, status: int) -> None:
    serving.ingest.fail = error
    answer = serving.request("POST", "/api/ingest?name=x.csv", b"x" * 3_000_000)
    assert (answer.status, answer.json) == (status, {"error": str(error)})
    assert spool(serving) == []


def test_a_file_over_the_limit_is_a_413(tmp_path: Path) -> None:
    serving = Serving(tmp_path / "data")
    serving.config = serving.config.__class__(data_dir=serving.config.data_dir, sources=(DropSource(file_bytes_max=1_000),))
    with serving:
        assert serving.request("POST", "/api/ingest?name=x.csv", b"x" * 1_001).status == 413
        assert serving.request("POST", "/api/ingest?name=x.csv", b"x" * 1_000).status == 200
        assert spool(serving) == []


def test_a_file_without_room_on_the_disk_is_a_503(tmp_path: Path) -> None:
    serving = Serving(tmp_path / "data")
    serving.config = serving.config.__class__(data_dir=serving.config.data_dir, limits=LimitOptions(disk_free_min=1 << 60))
    with serving:
        answer = serving.request("POST", "/api/ingest?name=x.csv", b"x" * 10)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def test_a_sender_that_leaves_has_nothing_kept(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=HttpOptions(listen="127.0.0.1:0", read_timeout_s=5)) as serving:
        with serving.connect() as sock:
            sock.sendall(b"POST /api/ingest?name=x.csv HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 2_000_000)
            wait_for(lambda: spool(serving), what="the upload to begin")
        wait_for(lambda: not spool(serving), what="the upload to be removed")
        assert serving.ingest.taken == []
        assert serving.app.desk.uploads == 0


def test_what_an_earlier_process_left_in_the_spool_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "spool"
    folder.mkdir(parents=True)
    (folder / "0123.upload").write_bytes(b"half")
    (folder / "not-ours").write_bytes(b"whole")
    with Serving(tmp_path / "data") as serving:
        assert [p.name for p in spool(serving)] == ["not-ours"]
