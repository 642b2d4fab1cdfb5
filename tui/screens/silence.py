"""Asks for a silence: of what, for how long, and why. Nothing is made before Enter, and what is refused can be mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from appliance.errors import ApplianceError
from appliance.observe.alerts import SilenceRow
from tui import figures
from tui.client import Client
from tui.look import Line, Look, cut
from tui.widgets.lines import LinesWidget

if TYPE_CHECKING:
    from tui.app import ApplianceApp

USUAL = "2h"


@dataclass(frozen=True, slots=True)
class Cover:
    """What a silence may be about."""

    title: str
    matchers: tuple[str, ...]


def covers_of(rule: str, key: Mapping[str, str | None] | None) -> tuple[Cover, ...]:
    """The choices for an alert, the narrowest first; for a rule (no key) the rule alone."""
    of_rule = _matcher("rule", rule)
    columns = tuple(_matcher(column, value) for column, value in (key or {}).items() if value is not None)
    out = [Cover("this alert", (of_rule, *columns))] if columns else []
    out.append(Cover("this rule", (of_rule,)))
    return (*out, *(Cover("every rule", (text,)) for text in columns))


def _matcher(label: str, value: str) -> str:
    """As people write it, in quotes where the value would be read otherwise."""
    return f'{label}="{value}"' if value != value.strip(' "~') else f"{label}={value}"


class SilenceScreen(ModalScreen[None]):
    """Up and Down choose what, Tab goes from field to field, Enter makes the silence, Esc gives up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("up", "choose(-1)", show=False, priority=True),
        Binding("down", "choose(1)", show=False, priority=True),
    ]

    class Made(Message):
        """The silence is there, or why it is not."""

        def __init__(self, made: SilenceRow | None, error: str | None) -> None:
            super().__init__()
            self.made = made
            self.error = error

    def __init__(self, covers: Sequence[Cover], *, then: Callable[[], object]) -> None:
        """``then`` is called when the silence is there."""
        super().__init__()
        self._covers = covers
        self._then = then
        self._at = 0
        self._busy = False

    @property
    def look(self) -> Look:
        """How to draw at this moment."""
        return cast("ApplianceApp", self.app).look

    def compose(self) -> ComposeResult:
        with Vertical(id="silence") as box:
            box.border_title = "Silence"
            box.border_subtitle = "Enter makes it, Esc closes"
            yield LinesWidget(id="covers")
            with Horizontal():
                yield Label("for")
                yield Input(value=USUAL, id="for", select_on_focus=False)
            with Horizontal():
                yield Label("comment")
                yield Input(placeholder="why, for those who look later", id="comment", select_on_focus=False)
            yield Static("", id="told", markup=False)

    def on_mount(self) -> None:
        """The cursor stands still, and is where something is missing."""
        for field in self.query(Input):
            field.cursor_blink = False
        self.query_one("#covers").styles.height = len(self._covers)
        self.query_one("#comment").focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Draws the choices for the new width."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        look, box = self.look, self.query_one("#covers", LinesWidget)
        lines: list[Line] = []
        for place, cover in enumerate(self._covers):
            chosen = place == self._at
            mark = look.symbols.cursor if chosen else " "
            words = look.safe(" ".join(cover.matchers))
            style = look.paint.bold if chosen else look.paint.dim
            lines.append(cut(((f"{mark} ", look.paint.accent), (look.fit(cover.title, 11), style), (words, style)), box.size.width, "~"))
        box.show_lines(lines)
        more = "up, down: what is silenced" if len(self._covers) > 1 else ""
        self._tell(f"30min, 2h, 3d, or a time{f' {look.symbols.dot} {more}' if more else ''}")

    def _tell(self, text: str) -> None:
        self.query_one("#told", Static).update(Content(self.look.safe(text)))

    def action_choose(self, step: int) -> None:
        self._at = (self._at + step) % len(self._covers)
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Makes the silence, in a worker; without a comment it asks for one."""
        event.stop()
        until, comment = self.query_one("#for", Input).value.strip(), self.query_one("#comment", Input).value.strip()
        if self._busy:
            return
        if not comment:
            self._tell("a comment is needed: whoever wonders later why nothing was told will read it")
            self.query_one("#comment").focus()
            return
        self._busy = True
        client, matchers = cast("ApplianceApp", self.app).client, self._covers[self._at].matchers
        self.run_worker(
            lambda: self._make(client, matchers, until, comment), thread=True, exclusive=True, exit_on_error=False, group="silence"
        )

    def _make(self, client: Client, matchers: Sequence[str], until: str, comment: str) -> None:
        try:
            made, error = client.silence(matchers, until=until, comment=comment), None
        except ApplianceError as refusal:
            made, error = None, str(refusal)
        self.post_message(self.Made(made, error))

    def on_silence_screen_made(self, event: Made) -> None:
        """Says until when, or keeps asking."""
        event.stop()
        self._busy = False
        if event.made is None:
            self._tell(event.error or "")
            return
        left = figures.span(event.made.until_us - self.look.now_us)
        cast("ApplianceApp", self.app).say(f"Silenced for {left}: {' '.join(event.made.matchers)}")
        self._then()
        self.dismiss()

    def action_close(self) -> None:
        self.dismiss()
