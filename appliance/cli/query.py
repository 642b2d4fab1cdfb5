"""``query``: SQL over hot and cold as one table, asked of the running service, else answered from the folder.

Data goes to standard output or the file of ``-o``; progress, notes and errors to standard error.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import secrets
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click

from appliance.cli.common import config_option, visible
from appliance.cli.local import UnixConnection, connect, get_json, refusal
from appliance.cli.moments import as_moment
from appliance.clock import Clock, SystemClock
from appliance.config import Config
from appliance.errors import ApplianceError, NotRunning, QueryHeavy, QueryRefused, UsageRefused
from appliance.names import RESULT_FORMATS
from appliance.serving.question import FORMATS, PATHS, Question

READ_BYTES = 1 << 18
TICK_S = 0.5
QUIET_S = 1.0
"""A query that is done by then shows no progress."""
Write = Callable[[bytes], None]


@click.command()
@click.argument("sql")
@click.option("-f", "--format", "format_", type=click.Choice(FORMATS), help="Default: table on a terminal, else csv.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file; it appears when it is whole.")
@click.option("--since", help='Only records from then on: "1h" (ago), "2026-11-22 10:00" (in the node\'s zone), "…Z".')
@click.option("--until", help="Only records before then.")
@click.option("--path", type=click.Choice(PATHS), default="merged", show_default=True, help="The side to read.")
@click.option("--explain", is_flag=True, help="Run it, and show how it was answered instead of its rows.")
@click.option("--no-views", is_flag=True, help="Read the records also where a view holds the answer ready.")
@click.option("--no-cache", is_flag=True, help="Find the answer anew also where it is kept.")
@click.option("--background", is_flag=True, help="Queue it with the service and keep its result; with -o also wait and fetch it.")
@click.option("--unattended", is_flag=True, help="Nobody waits: a heavy question is queued like --background, another one answered.")
@click.option("--notify", multiple=True, metavar="CHANNEL", help="With --background: told when it is over.")
@config_option
def query(
    sql: str,
    *,
    config: Config,
    format_: str | None,
    output: Path | None,
    since: str | None,
    until: str | None,
    path: str,
    explain: bool,
    no_views: bool,
    no_cache: bool,
    background: bool,
    unattended: bool,
    notify: tuple[str, ...],
) -> None:
    """Ask SQL (DuckDB's dialect) over hot and cold as one table. SQL "-" reads it from standard input.

    Each stream is a table: ts (UTC), its tags, its fields, _seq. STREAM_hot and STREAM_cold are one side of it, STREAM_latest
    the last record of each series; _streams, _segments and _deadletters are the appliance's own.

    \b
    Example:
      appliance query "SELECT time_bucket(INTERVAL '1 minute', ts) AS minute, avg(usage) FROM host_cpu GROUP BY ALL" --since 1h
      appliance query "SHOW TABLES"
      appliance query "SELECT * FROM room" --format parquet -o room.parquet
      appliance query "SELECT device, count(*) FROM room GROUP BY ALL" --background --notify ops
    """
    clock = SystemClock()
    on_terminal = output is None and sys.stdout.isatty()
    question = Question(
        sql=sys.stdin.read() if sql == "-" else sql,
        id=secrets.token_hex(8),
        since_us=as_moment(since, "--since", config, clock),
        until_us=as_moment(until, "--until", config, clock),
        path=path,
        format=format_ or ("table" if on_terminal else _format_of(output) if unattended else "csv"),
        explain=explain,
        views=not no_views,
        cache=not no_cache,
        waiting=not unattended,
    )
    if (background or unattended) and (explain or path != "merged" or no_views):
        raise UsageRefused(f"--{'background' if background else 'unattended'} can't go with --explain, --path and --no-views")
    if background:
        in_background(question, config.data_dir, output, format_=format_, notify=notify)
        return
    if notify:
        raise UsageRefused("--notify goes with --background")
    if on_terminal and question.format in ("parquet", "arrow") and not explain:
        raise UsageRefused(f"{question.format} is no format for a terminal: name a file with -o, or redirect the output")
    try:
        notes = _answered(question, config, output, clock, on_terminal=on_terminal, as_json=format_ == "json")
    except QueryHeavy as e:
        wait_for_result(int(str(e)), config.data_dir, output)
        return
    for note in notes:
        click.echo(f"appliance: note: {visible(note)}", err=True)


def _answered(question: Question, config: Config, output: Path | None, clock: Clock, *, on_terminal: bool, as_json: bool) -> list[str]:
    """Writes the answer and returns what it lacks. Raises ``QueryHeavy`` with the number of the run that it has become."""
    progress = ProgressLine(clock)
    with _sink(output, on_terminal=on_terminal) as write:
        try:
            return ask_service(question, config.data_dir, write, progress, as_json=as_json)
        except NotRunning:
            asked = replace(question, waiting=True)  # there is no queue
            return ask_folder(asked, config, write, progress, clock, as_json=as_json)
        finally:
            progress.clear()


def _format_of(output: Path | None) -> str:
    """The format that a result may be kept in."""
    return "csv" if output is None else RESULT_FORMATS.get(output.suffix.lower(), "csv")


def in_background(question: Question, data_dir: Path, output: Path | None, *, format_: str | None, notify: tuple[str, ...]) -> None:
    """Queues a query with the service; with an output it is waited for, and goes on without whoever stops waiting."""
    from appliance.cli.fetching import queue_query

    known = RESULT_FORMATS.get(output.suffix.lower(), "parquet") if output is not None else "parquet"
    asked: dict[str, object] = {"sql": question.sql, "format": format_ or known, "since": question.since_us, "until": question.until_us}
    try:
        run_id = queue_query(data_dir, {**asked, "notify": notify})
    except NotRunning as e:
        raise NotRunning(f"--background needs a running service, which keeps the result; without it the query can be asked: {e}") from None
    wait_for_result(run_id, data_dir, output)


def wait_for_result(run_id: int, data_dir: Path, output: Path | None) -> None:
    """Tells of a query that is queued, and with an output waits for it and fetches what it has found."""
    from appliance.cli.fetching import fetch
    from appliance.cli.jobs import finish, follow

    click.echo(f"run {run_id} is queued; appliance jobs show {run_id}", err=True)
    if output is None:
        click.echo(str(run_id))
        return
    try:
        row = follow(data_dir, run_id)
    except KeyboardInterrupt:
        click.echo(f"it goes on in the background; then: appliance jobs result {run_id} -o {output}", err=True)
        raise
    finish(row)
    fetch(data_dir, run_id, output)


def ask_service(question: Question, data_dir: Path, write: Write, progress: ProgressLine, *, as_json: bool) -> list[str]:
    """Writes the service's answer and returns what it lacks. Raises ``NotRunning`` or the service's refusal."""
    connection = connect(data_dir, timeout_s=None)
    asked = {
        "sql": question.sql,
        "since": question.since_us,
        "until": question.until_us,
        "path": question.path,
        "format": question.format,
        "explain": question.explain,
        "views": question.views,
        "cache": question.cache,
        "waiting": question.waiting,
        "id": question.id,
    }
    try:
        connection.request("POST", "/api/query", body=json.dumps(asked).encode(), headers={"Content-Type": "application/json"})
        while not select.select([connection.sock], [], [], TICK_S)[0]:
            progress.show(_status(data_dir, question.id))
        pieces = _pieces(connection, question, data_dir)
        if question.explain:
            _write_explain(json.loads(b"".join(pieces)), write, as_json=as_json)
        else:
            for piece in pieces:
                write(piece)
    except KeyboardInterrupt:
        _cancel(data_dir, question.id)
        raise
    finally:
        connection.close()
    return list((_status(data_dir, question.id) or {}).get("notes", ()))


def ask_folder(question: Question, config: Config, write: Write, progress: ProgressLine, clock: Clock, *, as_json: bool) -> list[str]:
    """Writes the answer of the folder alone and returns what it lacks."""
    from appliance.serving.alone import NotStopped, answer_alone

    try:
        explain = answer_alone(
            question,
            folder=config.data_dir,
            memory_max=config.query.memory_max,
            threads=len(os.sched_getaffinity(0)),
            clock=clock,
            write=write,
            on_tick=lambda share: progress.show({"share": share}),
        )
    except NotStopped:
        sys.stdout.flush()
        os._exit(130)  # a query that doesn't let itself be interrupted ends with its process
    if question.explain:
        import msgspec

        _write_explain(msgspec.to_builtins(explain), write, as_json=as_json)
    return list(explain.notes) if not question.explain else []


class Harmless:
    """Makes text fit for a terminal: what could move it becomes visible. Pieces may end in the middle of a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, piece: bytes) -> bytes:
        return "\n".join(visible(line) for line in self._decoder.decode(piece).split("\n")).encode("utf-8", "replace")


class ProgressLine:
    """One line on a terminal's standard error, written over and over; nothing where that is no terminal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ns = clock.monotonic_ns()
        self._shown = False
        self._wanted = sys.stderr.isatty()

    def show(self, status: dict[str, Any] | None) -> None:
        """``share`` (0 to 1, or None), ``state`` and ``rows`` are what is told."""
        seconds = (self._clock.monotonic_ns() - self._start_ns) / 1e9
        if status is None or not self._wanted or seconds < QUIET_S:
            return
        share = status.get("share")
        done = "waiting for a process" if status.get("state") == "waiting" else "" if share is None else f"{share:4.0%}"
        rows = f"{status['rows']:,} rows" if status.get("rows") else ""
        text = ", ".join(part for part in (f"{seconds:.0f} s", done.strip(), rows) if part)
        sys.stderr.write(f"\r\x1b[K{text}  (ctrl+c cancels)")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


@contextmanager
def _sink(output: Path | None, *, on_terminal: bool) -> Iterator[Write]:
    """Where the data goes: standard output, on a terminal made harmless, or a file that appears when it is whole."""
    if output is None:
        out = sys.stdout.buffer
        harmless = Harmless() if on_terminal else None
        yield lambda piece: _ignore(out.write(piece if harmless is None else harmless.text(piece)))
        out.flush()
        return
    whole = output.exists() and not output.is_file()
    place = output if whole else output.with_name(f".{output.name}.{os.getpid()}.part")  # a pipe or a device is written to as it is
    try:
        with place.open("wb") as file:
            yield lambda piece: _ignore(file.write(piece))
        if not whole:
            place.replace(output)
    except OSError as e:
        raise UsageRefused(f"{output}: can't be written: {e.strerror or e}") from e
    finally:
        if not whole:
            place.unlink(missing_ok=True)


def _pieces(connection: UnixConnection, question: Question, data_dir: Path) -> Iterator[bytes]:
    """The answer's bytes as they come. Raises the service's refusal, or ``QueryRefused`` where the answer breaks off."""
    try:
        answer = connection.getresponse()
        if answer.status == 202:
            raise QueryHeavy(str(json.loads(answer.read())["id"]))  # the number of the run that it has become
        if answer.status != 200:
            raise refusal(answer.status, answer.read(), answer.headers.get("Retry-After"))
        piece = answer.read(READ_BYTES)
    except (HTTPException, ConnectionError) as e:
        raise _broken(question, data_dir, e) from e
    while piece:
        yield piece
        try:
            piece = answer.read(READ_BYTES)
        except (HTTPException, ConnectionError) as e:
            raise _broken(question, data_dir, e) from e


def _broken(question: Question, data_dir: Path, error: Exception) -> QueryRefused:
    said = (_status(data_dir, question.id) or {}).get("error")
    return QueryRefused(said or f"the answer broke off ({type(error).__name__}); the service's log says why")


def _status(data_dir: Path, query_id: str) -> dict[str, Any] | None:
    """How far the query is; None where nobody knows."""
    try:
        found = get_json(data_dir, f"/api/queries/{query_id}")
    except (ApplianceError, OSError, HTTPException, ValueError):
        return None  # it is only told to the person who waits
    return found if isinstance(found, dict) else None


def _cancel(data_dir: Path, query_id: str) -> None:
    with contextlib.suppress(ApplianceError, OSError, HTTPException):  # the service may have gone, and the query with it
        connection = connect(data_dir)
        try:
            connection.request("DELETE", f"/api/queries/{query_id}")
            connection.getresponse().read()
        finally:
            connection.close()


def _write_explain(found: Any, write: Write, *, as_json: bool) -> None:
    import msgspec

    from appliance.serving.explain import Explain, lines

    explain = msgspec.convert(found, Explain)
    text = msgspec.json.encode(explain).decode() if as_json else "\n".join(visible(line) for line in lines(explain))
    write(f"{text}\n".encode())


def _ignore(_value: object) -> None:
    """For callbacks whose result means nothing."""
