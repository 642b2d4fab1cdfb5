"""What every screen shares: the bars, the notice for a terminal that is too small, and the way a snapshot reaches its widgets.

A screen says with ``question`` what it needs besides the status; the app asks it in a worker and hands the answer back in
``show_snapshot``. A screen asks nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from tui.actions import EVERYWHERE, Group, foot_keys
from tui.look import Look
from tui.pace import Pace
from tui.screens import SCREENS
from tui.snapshot import Question, Snapshot
from tui.widgets.bars import Banner, KeyBar, ScreenBar, TitleBar
from tui.widgets.lines import LinesWidget

if TYPE_CHECKING:
    from tui.app import ApplianceApp

WIDTH_MIN, HEIGHT_MIN = 60, 20
_WIDTHS = [(0, "-tiny"), (WIDTH_MIN, "-narrow"), (112, "-normal"), (168, "-broad")]
_HEIGHTS = [(0, "-flat"), (HEIGHT_MIN, "-low"), (34, "-tall")]
"""From how many columns and rows on a screen has which class; app.tcss lays it out by these."""


@dataclass(frozen=True, slots=True)
class ViewTable:
    """What a screen shows, as values: for export and for copying."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class TooSmall(LinesWidget):
    """Shown alone below 60x20."""

    def on_resize(self) -> None:
        """Says what there is and what is needed."""
        width, height = self.app.size
        look = cast("ApplianceApp", self.app).look
        words = (f"{width}x{height} is too small;", f"{WIDTH_MIN}x{HEIGHT_MIN} is needed.", "q leaves")
        self.show_lines([((look.fit(text, width), look.paint.text),) for text in words])


_BARS = (TitleBar, ScreenBar, Banner, KeyBar, TooSmall)
"""They stay when one panel has the room of all."""


class LiveScreen(Screen[None]):
    """A screen that is drawn anew from each snapshot."""

    TITLE_IN_BAR: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[Group, ...]] = ()
    """Groups of actions besides those that work everywhere."""
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS

    def __init__(self) -> None:
        super().__init__()
        self.enlarged: Widget | None = None
        """The panel that has the room of all."""
        self.pace = Pace()
        """When its question is asked again."""

    @property
    def ui(self) -> ApplianceApp:
        """The app, by its type."""
        return cast("ApplianceApp", self.app)

    @property
    def look(self) -> Look:
        """How to draw at this moment."""
        return self.ui.look

    @property
    def is_offline(self) -> bool:
        """Whether what is shown was read from a folder that nobody serves."""
        status = self.ui.picture.status
        return status is not None and status.state == "offline"

    @property
    def subject(self) -> str:
        """What the screen is about, for the title bar; empty is the whole box. Foreign text."""
        return ""

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield ScreenBar()
        yield Banner()
        yield from self.compose_body()
        yield Input(id="filter", placeholder="letters of a name; Enter keeps, Esc clears", select_on_focus=False)
        yield KeyBar()
        yield TooSmall()

    def compose_body(self) -> Iterable[Widget]:
        """The screen's own widgets."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Draws the last snapshot, so that no screen starts blank."""
        self.query_one("#filter", Input).cursor_blink = False
        self.call_after_refresh(self.show_current)

    def on_screen_resume(self) -> None:
        """Is shown again: draws what has come meanwhile."""
        self.call_after_refresh(self.show_current)

    def on_resize(self) -> None:
        """Draws the lines around anew for the width."""
        self.call_after_refresh(self.show_current)

    def arrive(self) -> None:
        """Is in front from now on: puts the focus where the next key belongs."""

    def question(self) -> Question | None:
        """What this screen needs besides the status, as a function to be called in a worker; None asks nothing."""
        return None

    def show_current(self) -> None:
        """Draws the app's present snapshot."""
        if self.is_mounted:
            self.draw(self.ui.picture)

    def draw(self, snapshot: Snapshot) -> None:
        """Draws bars and body."""
        look = self.look
        self.query_one(TitleBar).show_title(snapshot, look, rate=self.ui.rate_words, subject=self.subject)
        entries = [(e.key, e.title) for e in SCREENS]
        where = f"{self.ui.client.where}" + (f" {look.symbols.dot} {snapshot.status.version}" if snapshot.status else "")
        self.query_one(ScreenBar).show_screens(entries, self.TITLE_IN_BAR, where, look)
        self.query_one(Banner).show_banner(self.ui.banner, look)
        keys = [(key, title) for key, title in foot_keys((EVERYWHERE, *self.ACTIONS)) if title != self.TITLE_IN_BAR]
        self.query_one(KeyBar).show_keys(keys, look)
        self.show_snapshot(snapshot, look)

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        """Draws the body."""
        raise NotImplementedError

    def view_table(self) -> ViewTable | None:
        """What the screen shows, as values; None when there is nothing to export."""
        return None

    def copy_text(self) -> str | None:
        """What ``y`` copies; None when there is nothing."""
        return None

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A question that broke in an unforeseen way is said, and the screen goes on."""
        if event.state is WorkerState.ERROR:
            self.question_broke(event.worker.group, f"a defect in the UI: {event.worker.error!r}")

    def question_broke(self, _group: str, why: str) -> None:
        """A worker of this screen, of that group, has failed; ``why`` is foreign text."""
        self.ui.say(why, severity="error")

    def toggle_enlarged(self) -> None:
        """The focused panel gets the room of all, and back."""
        wanted = self.focused if self.enlarged is None and self.focused is not None and self.focused.has_class("panel") else None
        for node in self.query(".-away, .-kept"):
            node.remove_class("-away", "-kept")
        self.enlarged = wanted
        inside = () if wanted is None else [n for n in wanted.ancestors_with_self if isinstance(n, Widget) and not isinstance(n, Screen)]
        for node in inside:
            node.add_class("-kept")
            node.styles.inline.clear_rule("height")
            for other in node.siblings:
                if not isinstance(other, _BARS) and other.id != "filter":
                    other.add_class("-away")
        self.call_after_refresh(self.show_current)
