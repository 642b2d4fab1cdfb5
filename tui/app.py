"""The app: one timer asks for one snapshot at a time in a worker, and the screen in front draws it.

``run_app`` is the way in, for ``appliance tui`` and for ``run --tui`` alike. The app holds the last snapshot, the freeze, the refresh
rate and the theme; everything that is about one screen lives there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from typing import Any, ClassVar, TextIO

from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerState, get_current_worker

from appliance.clock import Clock, SystemClock
from appliance.errors import ApplianceError, UsageRefused
from tui import figures
from tui.actions import EVERYWHERE, bindings
from tui.client import Client
from tui.driver import LossyDriver
from tui.look import Look
from tui.palette import ActionCommands
from tui.screens import SCREENS, ScreenEntry
from tui.screens.base import LiveScreen
from tui.snapshot import Question, Snapshot
from tui.symbols import ALPHABETS, Symbols, choose_symbols
from tui.terminal import Terminal
from tui.theme import PALETTES, Paint, paint_of, themes, variables

PERIODS_S = (10.0, 5.0, 2.0, 1.0, 0.5, 0.25, 0.1)
USUAL_PERIOD_S = 0.25
_STALE_US = 2_000_000
_FOLDER_EVERY_NS = 2_000_000_000


class ApplianceApp(App[None]):
    """The UI over one client. ``period_s`` None leaves the asking to the caller (``refresh_now``)."""

    TITLE = "appliance"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[Any]] = {ActionCommands}
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(EVERYWHERE),
        *((e.key, f"show('{e.name}')", e.title) for e in SCREENS if e.key.isdigit()),
    ]

    class Arrived(Message):
        """An answer, good or bad, to the question of ``screen``."""

        def __init__(self, snapshot: Snapshot, screen: LiveScreen | None) -> None:
            super().__init__()
            self.snapshot = snapshot
            self.screen = screen

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        period_s: float | None = USUAL_PERIOD_S,
        symbols: Symbols | None = None,
        terminal: Terminal | None = None,
        driver: type[Driver] | None = None,
    ) -> None:
        self.client = client
        self._clock = clock or SystemClock()
        self.symbols = symbols or choose_symbols(os.environ)
        self._colour = "NO_COLOR" not in os.environ
        super().__init__(driver_class=driver, ansi_color=None if self._colour else True)
        self.picture = Snapshot(None)
        """What the screens draw: the last snapshot, or that of the freeze."""
        self._newest = self.picture
        self._frozen_us: int | None = None
        self._period_s = period_s
        self._timer: Timer | None = None
        self._asking = False
        self._asked_ns = 0
        self._screens: dict[str, LiveScreen] = {}
        self._terminal = terminal
        for theme in themes():
            self.register_theme(theme)
        self.theme = "dark"
        self.paint: Paint = paint_of(PALETTES["dark"], colour=self._colour)
        self.animation_level = "none"

    @property
    def look(self) -> Look:
        """How to draw at this moment."""
        status = self.picture.status
        now = self._frozen_us or self._clock.now_us()
        as_of = status.as_of_us if status else now
        stale = now - as_of > (2 if self._reads_folder else 1) * _STALE_US + int((self._period_s or 0) * 1_000_000)
        return Look(self.paint, self.symbols, now_us=now, as_of_us=as_of, stale=stale)

    @property
    def clock(self) -> Clock:
        """The time of this UI."""
        return self._clock

    @property
    def is_frozen(self) -> bool:
        """Whether the picture stands still: nothing is asked for meanwhile."""
        return self._frozen_us is not None

    @property
    def rate_words(self) -> str:
        """The refresh rate for the title bar."""
        if self._period_s is None:
            return "by hand"
        if self._reads_folder and self._period_s < 2:
            return "every 2 s"
        return f"{1 / self._period_s:.0f}/s" if self._period_s <= 1 else f"every {self._period_s:.0f} s"

    @property
    def _reads_folder(self) -> bool:
        status = self._newest.status
        return status is not None and status.state == "offline"

    @property
    def banner(self) -> str | None:
        """What is out of the ordinary, in one line that is safe; None when all is as usual."""
        newest, dot = self._newest, self.symbols.dot
        if self._frozen_us is not None:
            new = _records(newest) - _records(self.picture)
            at = figures.clock_time(self._frozen_us // 1_000_000)
            lost = f" {dot} no answer" if newest.lost else ""
            return f"FROZEN at {at} {dot} +{figures.count(max(0, new))} new{lost} {dot} space goes on"
        if newest.lost is not None:
            age = newest.age_us(self._clock.now_us())
            last = "no data yet" if age is None else f"last data {figures.age(age)} old"
            return f"NO ANSWER {dot} {last} {dot} asking again {dot} {self.look.safe(newest.lost)}"
        ladder = newest.status.ladder if newest.status is not None else None
        if ladder is not None and ladder.step:
            return f"DEGRADED to step {ladder.step} {dot} {self.look.safe(ladder.name)} {dot} {self.look.safe(ladder.why)}"
        return None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The names that app.tcss uses, for themes that have none of their own."""
        return variables(PALETTES["dark"])

    def get_default_screen(self) -> Screen[Any]:
        """The first screen."""
        return self._screen_of(SCREENS[0])

    def on_mount(self) -> None:
        """Starts asking, and listens for the end of the terminal."""
        self._use_borders()
        if self._terminal is not None:
            self._terminal.watch(asyncio.get_running_loop(), self.exit)
            self.set_interval(1.0, self._leave_a_dead_terminal)
        self._start_timer()
        self.refresh_now()

    def _leave_a_dead_terminal(self) -> None:
        if self._terminal is not None and self._terminal.is_gone():
            self.exit()

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._period_s is not None:
            self._timer = self.set_interval(self._period_s, self.refresh_now)

    def refresh_now(self) -> None:
        """Asks once; while an answer is on its way it asks nothing. A folder without a service hardly changes and is read seldom."""
        now_ns = self._clock.monotonic_ns()
        if self._asking or (self._period_s is not None and self._reads_folder and now_ns - self._asked_ns < _FOLDER_EVERY_NS):
            return
        self._asking, self._asked_ns = True, now_ns
        screen = self.live_screen
        question = screen.question() if screen is not None and self._frozen_us is None else None
        last = self._newest.status
        self.run_worker(lambda: self._ask(question, screen, last), thread=True, exit_on_error=False, group="status", name="ask")

    def _ask(self, question: Question | None, screen: LiveScreen | None, last: Any) -> None:
        """In a worker thread: asks and posts one message, whatever happens."""
        snapshot = ask(self.client, question, last=last)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Arrived(snapshot, screen))

    def on_appliance_app_arrived(self, event: Arrived) -> None:
        """Takes the newest snapshot; a frozen picture stays, and only its banner counts on."""
        self._asking = False
        self._newest = event.snapshot
        screen = self.live_screen
        if self._frozen_us is None:
            self.picture = event.snapshot if event.screen is screen else Snapshot(event.snapshot.status, event.snapshot.lost)
        if screen is not None:
            screen.show_current()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A question that broke in an unforeseen way counts as no answer, so that the next one is asked."""
        if event.worker.group == "status" and event.state is WorkerState.ERROR:
            last = self._newest.status
            self.post_message(self.Arrived(Snapshot(last, lost=f"a defect in the UI: {event.worker.error!r}"), self.live_screen))

    @property
    def live_screen(self) -> LiveScreen | None:
        """The screen that draws snapshots: the one in front, or the one behind a dialog."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, LiveScreen)), None) if self._screen_stack else None

    def _screen_of(self, entry: ScreenEntry) -> LiveScreen:
        if entry.name not in self._screens:
            self._screens[entry.name] = entry.make()
            self.install_screen(self._screens[entry.name], entry.name)  # or it would be gone when another one is shown
        return self._screens[entry.name]

    async def perform(self, action: str) -> None:
        """Does what a key would do: the focused widget's action, else the screen's, else the app's."""
        screen = self.screen
        for node in (screen.focused, screen, self):
            if node is not None and hasattr(node, f"action_{action}"):
                await self.run_action(action, default_namespace=node)
                return

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual calls it so
        """Over a dialog only leaving is possible; its own keys are the dialog's."""
        return action in ("leave", "notify") or not self.screen.is_modal

    async def action_show(self, name: str) -> None:
        if name == "sql":
            await self.action_sql()
            return
        self.unfreeze()
        target = self._screen_of(next(e for e in SCREENS if e.name == name))
        while self.screen is not target and len(self.screen_stack) > 1:
            self.pop_screen()
        if self.screen is not target:  # over the first screen, which Textual can't switch away from
            await self.push_screen(target)

    async def action_sql(self) -> None:
        self.unfreeze()
        target = self._screen_of(next(e for e in SCREENS if e.name == "sql"))
        if target not in self.screen_stack:
            await self.push_screen(target)
            target.arrive()

    def open_stream(self, name: str) -> None:
        """Looks into one stream."""
        from tui.screens.stream import StreamScreen  # loaded when first shown

        self.unfreeze()
        self.push_screen(StreamScreen(name))

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen  # loaded when first shown

        screen = self.live_screen
        if screen is not None and not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(screen.TITLE_IN_BAR, (EVERYWHERE, *screen.ACTIONS)))

    def action_freeze(self) -> None:
        if self._frozen_us is None:
            self._frozen_us = self._clock.now_us()
        else:
            self.unfreeze()
        screen = self.live_screen
        if screen is not None:
            screen.show_current()

    def unfreeze(self) -> None:
        """The picture moves again; so it does on the way to another screen, as a freeze is of one view."""
        if self._frozen_us is not None:
            self._frozen_us = None
            self.picture = self._newest

    def action_faster(self) -> None:
        self._step_period(1)

    def action_slower(self) -> None:
        self._step_period(-1)

    def _step_period(self, step: int) -> None:
        if self._period_s is None:
            return
        at = max(0, min(len(PERIODS_S) - 1, PERIODS_S.index(self._period_s) + step))
        self._period_s = PERIODS_S[at]
        self._start_timer()
        self.refresh_now()

    def action_export(self) -> None:
        from tui.screens.export import ExportScreen  # loaded when first shown

        screen = self.live_screen
        view = screen.view_table() if screen is not None else None
        if view is None:
            self.say("There is nothing to export in this view.", severity="warning")
        else:
            self.push_screen(ExportScreen(view, now_us=self.look.now_us))

    def action_copy(self) -> None:
        screen = self.live_screen
        text = screen.copy_text() if screen is not None else None
        if text is None:
            self.say("There is nothing to copy here.", severity="warning")
        else:
            self.copy_to_clipboard(text)
            self.say("Copied to the clipboard of your terminal.")

    def action_maximise(self) -> None:
        screen = self.live_screen
        if screen is not None and screen is self.screen:
            screen.toggle_enlarged()

    def action_next_theme(self) -> None:
        names = list(PALETTES)
        self.set_palette(names[(names.index(self.theme) + 1) % len(names)])

    def set_palette(self, name: str) -> None:
        """Draws in another theme."""
        self.theme = name
        self.paint = paint_of(PALETTES[name], colour=self._colour)
        self._redraw()

    def set_symbols(self, name: str) -> None:
        """Draws with another alphabet."""
        self.symbols = ALPHABETS[name]
        self._use_borders()
        self._redraw()

    def _use_borders(self) -> None:
        """Borders that the terminal can show, by a class of app.tcss."""
        for name in ("ascii", "solid"):
            self.set_class(self.symbols.border == name, f"-{name}")

    def _redraw(self) -> None:
        screen = self.live_screen
        if screen is not None:
            screen.call_after_refresh(screen.show_current)

    def action_leave(self) -> None:
        self.exit()

    def say(self, text: str, *, severity: Any = "information") -> None:
        """A short word in the corner; foreign text is made harmless."""
        self.notify(self.look.safe(text), severity=severity, markup=False, timeout=4)

    def palette_streams(self) -> Iterable[str]:
        """Names of the streams, for the palette."""
        status = self.picture.status
        return [s.name for s in status.streams] if status else []


def ask(client: Client, question: Question | None, *, last: Any) -> Snapshot:
    """One round of questions. Blocks; never raises: a failure is part of the snapshot, with the ``last`` good status."""
    try:
        status = client.status()
    except ApplianceError as error:
        return Snapshot(last, lost=str(error))
    if question is None:
        return Snapshot(status)
    try:
        return Snapshot(status, extra=question(client))
    except ApplianceError as error:
        return Snapshot(status, extra_error=str(error))


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _records(snapshot: Snapshot) -> int:
    return sum(s.records for s in snapshot.status.streams) if snapshot.status is not None else 0


def run_app(client: Client, *, detach: bool) -> None:
    """Shows the UI until it is left or the terminal is lost; call it in the main thread.

    With ``detach`` (the service runs in this process) a lost terminal ends the UI and nothing else: from then on SIGHUP is ignored and
    standard input, output and error lead nowhere. Without it the process is meant to end. SIGTERM closes the UI first and is then
    delivered to whoever handled it before. Raises UsageRefused where there is no terminal.
    """
    if not (_is_terminal(sys.__stdin__) and _is_terminal(sys.__stderr__)):
        raise UsageRefused("the terminal UI needs a terminal; without one, use: appliance status")
    with Terminal(detach=detach) as terminal:
        try:
            ApplianceApp(client, terminal=terminal, driver=LossyDriver).run()
        finally:
            client.close()
