"""``run`` and ``tui``: the service, and the screen that shows it."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.common import config_option, data_dir_option
from appliance.cli.local import SOCKET_NAME, is_running
from appliance.config import Config


@click.command("run")
@click.option("--tui", "with_tui", is_flag=True, help="Show the terminal UI in the same process.")
@config_option
def run(*, config: Config, with_tui: bool) -> int:
    """Run the service: take in, keep, roll, answer.

    \b
    Example:
      appliance run --tui
    """
    from appliance.serving.limits import with_little_memory, without_unused

    without_unused()
    with_little_memory()
    if not with_tui:
        from appliance.service import run_service

        return run_service(config)
    from appliance.cli.beside_tui import run_with_tui
    from tui.app import run_app
    from tui.socket_client import SocketClient

    return run_with_tui(config, show=lambda: run_app(SocketClient(config.data_dir / SOCKET_NAME), detach=True))


@click.command("tui")
@data_dir_option
def tui(*, data_dir: Path) -> None:
    """Show the terminal UI of a running service; with none running, the folder read-only.

    \b
    Example:
      appliance tui
    """
    from appliance.cli.offline import OfflineClient
    from tui.app import run_app
    from tui.socket_client import SocketClient

    run_app(SocketClient(data_dir / SOCKET_NAME) if is_running(data_dir) else OfflineClient(data_dir), detach=True)
