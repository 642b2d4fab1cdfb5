"""The entry point: finds the command, and turns errors into one line and an exit status.

Exit status: 0 done, 1 failed, 2 wrong usage or config, 3 found something wrong, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import click

from appliance import __version__
from appliance.cli.common import LazyGroup
from appliance.errors import ApplianceError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("appliance.cli.run", "Run the service; --tui shows the terminal UI too."),
    "tui": ("appliance.cli.run", "Show the terminal UI of a running service, or of the folder."),
    "query": ("appliance.cli.query", "Ask SQL over hot and cold as one table."),
    "ingest": ("appliance.cli.ingest", "Load files, each content once."),
    "streams": ("appliance.cli.streams", "List what there is."),
    "tail": ("appliance.cli.streams", "Follow a stream's records as they come."),
    "latest": ("appliance.cli.streams", "Show the last value of each series of a stream."),
    "alerts": ("appliance.cli.alerts", "Show what fires; acknowledge, silence, look back."),
    "report": ("appliance.cli.report", "Make a report and show it, issue it, or list what was issued."),
    "sessions": ("appliance.cli.sessions", "Show open sessions, and the newest that are over."),
    "jobs": ("appliance.cli.jobs", "Show batch work; run it, cancel it, look back."),
    "views": ("appliance.cli.views", "Show how fresh the views are; refresh one."),
    "search": ("appliance.cli.search", "Find records and names by their words."),
    "paths": ("appliance.cli.paths", "Show which path each workload runs on, and why."),
    "cost": ("appliance.cli.cost", "Show what the paths and their workloads cost; try one on another path."),
    "status": ("appliance.cli.status", "Show how the box is."),
    "verify": ("appliance.cli.verify", "Check that every file is what was written."),
    "reconcile": ("appliance.cli.reconcile", "Check that books, hot store and lake agree; mend what can be proven."),
    "delete": ("appliance.cli.delete", "Delete records of a time or a series."),
    "audit": ("appliance.cli.audit", "Write an evidence bundle of a time range, or check one."),
    "analysis": ("appliance.cli.analysis", "Look at what is unusual; try the analysis on files."),
    "cache": ("appliance.cli.cache", "Show which answers are kept for whoever asks again."),
    "models": ("appliance.cli.models", "Show trained models; go back to another version."),
    "deadletter": ("appliance.cli.deadletter", "List and replay what was refused."),
    "reload": ("appliance.cli.config", "Have the running service read its config again."),
    "check-config": ("appliance.cli.config", "Check a config and show where each value comes from."),
    "init": ("appliance.cli.config", "Write a commented config to start from."),
}
"""Command -> its module and its one line; the module is imported when the command is called."""


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="appliance")
def group() -> None:
    """One box that takes in records, keeps them in open files and answers over all of them as one table.

    Every command takes --data-dir DIR (default: $STATE_DIRECTORY, else ./data) and --config FILE.

    \b
    Example:
      appliance run --tui
      curl --data-binary 'room,sensor=a temperature=21.5' 'http://127.0.0.1:8086/write?db=x'
      appliance query "SELECT * FROM room"
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs a command line (default: that of the process) and exits."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit status of a command line."""
    try:
        result: Any = group.main(arguments, prog_name="appliance", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as e:
        e.show()
        return 2
    except KeyboardInterrupt:
        return 130
    except ApplianceError as e:
        click.echo(f"appliance: {e}", err=True)
        return e.exit_status
    except BrokenPipeError:
        _silence_stdout()
        return 1
    return result if isinstance(result, int) else 0


def _silence_stdout() -> None:
    """The reader of our output has gone: what is still buffered must not raise again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
