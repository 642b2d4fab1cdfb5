"""``ingest``: files and standard input, by hand. The running service takes them, else this process opens the folder itself."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

import click

from appliance.cli.common import config_option, visible
from appliance.errors import ApplianceError, NotRunning, RejectPayload, RetryLater, UsageRefused

if TYPE_CHECKING:
    from appliance.config import Config

FORMATS = ("csv", "jsonl", "lp", "parquet")
TRIES_MAX = 30
"""How often a file is offered to a service that asks to come again."""
NAME_BYTES_MAX = 255


@click.command(short_help="Load files, each content once.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--stream", help="The stream that the records go to. Default: the file's name. Line protocol names its streams itself.")
@click.option("--format", "notation", type=click.Choice(FORMATS), help="Default: by the file's name, else by its content.")
@click.option("--again", is_flag=True, help="Take a content that was taken before once more.")
@config_option
def ingest(config: Config, files: tuple[str, ...], stream: str | None, notation: str | None, *, again: bool) -> int:
    """Load files into a stream, each content once; - is standard input. Compressed ones (.gz) too.

    A file that is given again, also after this command was killed halfway, changes nothing. Records that can't be read go to the
    dead letters.

    \b
    Example:
      appliance ingest readings.csv more.jsonl.gz --stream readings
      zcat old.csv.gz | appliance ingest - --stream readings --format csv
    """
    if "-" in files and stream is None and notation != "lp":
        raise UsageRefused("standard input has no name: say --stream NAME")
    failed = 0
    with _takers(config) as take:
        for name in files:
            try:
                with _opened(name, config.data_dir) as file:
                    found = take(file, _name(name), stream, notation, again)
            except (ApplianceError, OSError) as error:
                failed += 1
                click.echo(f"{visible(name)}: {visible(_reason(error))}", err=True)
            else:
                click.echo(f"{visible(name)}: {_said(found)}", err=True)
    return 1 if failed else 0


class _Taker(Protocol):
    """Takes a file, by whatever way there is to the door."""

    def __call__(self, file: IO[bytes], name: str, stream: str | None, notation: str | None, again: bool) -> dict[str, Any]:
        """With its name, stream, notation and whether to take it again; gives the summary."""


@contextmanager
def _takers(config: Config) -> Iterator[_Taker]:
    """The running service, or with none running the folder opened here."""
    from appliance.cli.local import connect

    try:
        connect(config.data_dir).close()
    except NotRunning:
        with _own_box(config) as take:
            yield take
    else:
        yield _Service(config.data_dir)


@contextmanager
def _own_box(config: Config) -> Iterator[_Taker]:
    from appliance.box import open_box
    from appliance.sources.files import FileTaker

    config.data_dir.mkdir(parents=True, exist_ok=True)
    with open_box(config) as box:
        yield _Here(FileTaker(box, clock=box.clock))


class _Here(_Taker):
    """Takes files in this process."""

    def __init__(self, taker: Any) -> None:
        self._taker = taker

    def __call__(self, file: IO[bytes], name: str, stream: str | None, notation: str | None, again: bool) -> dict[str, Any]:
        from appliance.records import Format
        from appliance.sources.file_names import printable
        from appliance.sources.files import FileTask, summary

        label = printable(name)
        task = FileTask(label, f"ingest:{label}", stream=stream, format=Format(notation) if notation else None, again=again)
        return summary(self._taker.take(file, task))


class _Service(_Taker):
    """Sends files to the running service, which may not be allowed to read them itself."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __call__(self, file: IO[bytes], name: str, stream: str | None, notation: str | None, again: bool) -> dict[str, Any]:
        asked = {"name": name, "stream": stream, "format": notation, "again": "true" if again else None}
        path = "/api/ingest?" + urlencode({key: value for key, value in asked.items() if value is not None}, quote_via=quote)
        pause = threading.Event()
        for left in reversed(range(TRIES_MAX)):
            file.seek(0)
            try:
                return self._send(path, file)
            except RetryLater as later:
                if not left:
                    raise
                pause.wait(later.after_s)
        raise AssertionError("the last try returns or raises")

    def _send(self, path: str, file: IO[bytes]) -> dict[str, Any]:
        from appliance.cli.local import connect, refusal

        connection = connect(self._data_dir, timeout_s=None)
        try:
            size = os.fstat(file.fileno()).st_size
            headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was read: the answer says why
                connection.request("POST", path, body=file, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise RetryLater(f"the service went away: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise refusal(answer.status, body, answer.headers.get("Retry-After"))
        found = json.loads(body)
        assert isinstance(found, dict)
        return found


@contextmanager
def _opened(name: str, data_dir: Path) -> Iterator[IO[bytes]]:
    """A seekable file; standard input is spooled first. Raises ``UsageRefused`` for what is none."""
    if name != "-":
        path = Path(name)
        if path.is_dir():
            raise RejectPayload("is a folder; name the files in it")
        with path.open("rb") as file:
            if not file.seekable():
                raise RejectPayload("is no regular file; send it through standard input: ingest -")
            yield file
        return
    source = sys.stdin.buffer
    with tempfile.TemporaryFile(dir=data_dir if data_dir.is_dir() else None) as spool:
        while data := source.read(io.DEFAULT_BUFFER_SIZE * 16):
            spool.write(data)
        spool.flush()
        spool.seek(0)
        yield spool


def _name(name: str) -> str:
    """What the service is told: the last part of the path, as text."""
    text = "stdin" if name == "-" else os.fsencode(Path(name).name).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in text)[:NAME_BYTES_MAX]


def _reason(error: ApplianceError | OSError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _said(found: dict[str, Any]) -> str:
    if found["outcome"] == "duplicate":
        return str(found["reason"])
    where = f" into {found['stream']}" if found["stream"] else ""
    refused = f", {found['rejected']} refused (see: appliance deadletter list)" if found["rejected"] else ""
    return f"{found['records']} records{where}{refused}"
