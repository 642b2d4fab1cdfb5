"""Search: words above, hits below as they are typed, the chosen one with its words marked; Enter leads to the record in its stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import get_current_worker

from appliance.errors import ApplianceError
from appliance.observe.search import Found, Hit
from tui import figures
from tui.actions import HITS, OPEN, SEARCH, TABLE, Group, bindings
from tui.client import Client, Stop
from tui.history import quoted
from tui.look import Line, Look
from tui.pace import Pace
from tui.screens.base import LiveScreen, ViewTable
from tui.screens.result import Result, read_answer
from tui.snapshot import Question, Snapshot
from tui.widgets.hits import HIT_COLUMNS, Placed, hit_lines
from tui.widgets.lines import LinesWidget
from tui.widgets.panels import Panel
from tui.widgets.table import FastTable

HITS_SHOWN: Final = 200
AROUND: Final = 20
"""Records before and after the one that a hit leads to."""
_ASK_EVERY_US: Final = 2_000_000
"""How often the same words are asked again, as records come in."""


class WordsField(Input):
    """The words. Enter and down lead to the hits."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(SEARCH)

    class Left(Message):
        """The hits are wanted."""

    def action_to_hits(self) -> None:
        self.post_message(self.Left())


class SearchScreen(LiveScreen):
    """One search at a time; the newest words win."""

    TITLE_IN_BAR: ClassVar[str] = "Search"
    ACTIONS: ClassVar[tuple[Group, ...]] = (SEARCH, OPEN, HITS, TABLE)
    BINDINGS: ClassVar[list[BindingType]] = bindings(HITS)
    AUTO_FOCUS: ClassVar[str | None] = "#words"

    class Read(Message):
        """The records around a hit, or why there are none."""

        def __init__(self, hit: Hit, result: Result | None, error: str | None) -> None:
            super().__init__()
            self.hit = hit
            self.result = result
            self.error = error

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self._order = "time"
        self._found: tuple[tuple[str, str], Found] | None = None
        """What was asked, and the answer."""
        self.pace = Pace(_ASK_EVERY_US)
        self._why: str | None = None
        self._around: tuple[Hit, Result] | None = None

    @property
    def table(self) -> FastTable[Placed]:
        """The hits."""
        return self.query_one("#hits", FastTable)

    @property
    def chosen(self) -> Hit | None:
        """The hit under the cursor; None: there is none."""
        row = self.table.cursor_row
        return None if row is None else row.hit

    def compose_body(self) -> Iterable[Widget]:
        with Vertical(id="search"):
            yield WordsField(id="words", placeholder='words, "phrases", begin*, AND OR NOT', select_on_focus=False)
            yield LinesWidget(id="search-line")
            table: FastTable[Placed] = FastTable(HIT_COLUMNS, key=lambda p: _key(p.hit), empty="no hits", id="hits", classes="panel")
            table.border_title = "Hits"
            yield table
            yield Panel("The hit", id="hit-detail", lines_min=1, counts=True)

    def on_mount(self) -> None:
        """Typing goes into the field at once."""
        self.query_one(WordsField).cursor_blink = False

    def arrive(self) -> None:
        self.set_focus(self.query_one(WordsField))

    def question(self) -> Question | None:
        """The words that stand there: at once where they are others than before, again as records come in."""
        text, order = self._words.strip(), self._order
        if not text or not self.pace.is_due((text, order), now_us=self.ui.clock.now_us()):
            return None
        return lambda client: ((text, order), client.search(text, order=order, limit=HITS_SHOWN))

    def show_snapshot(self, snapshot: Snapshot, look: Look) -> None:
        if isinstance(snapshot.extra, tuple) and isinstance(snapshot.extra[1], Found):
            self._found, self._why = snapshot.extra, None
        if snapshot.extra_error is not None:
            self._why = snapshot.extra_error
        hits = self._found[1].hits if self._found is not None and self._words.strip() else ()
        self.query_one("#search-line", LinesWidget).show_lines([self._said(look)])
        self.table.show_rows([Placed(place, hit) for place, hit in enumerate(hits)], look)
        self._show_chosen(look)
        if self._words.strip() and self.pace.subject != (self._words.strip(), self._order):
            self.ui.refresh_now()

    def _said(self, look: Look) -> Line:
        paint, dot = look.paint, look.symbols.dot
        if not self._words.strip():
            return ((" found as you type: words of records; names of streams, tags, alerts, incidents", paint.dim),)
        if self._why is not None:
            return ((f" {look.symbols.state('WARN')} {look.safe(self._why)}", paint.warn),)
        if self._found is None or self._found[0] != (self._words.strip(), self._order):
            return ((" searching", paint.accent),)
        found = self._found[1]
        total = f"{figures.count(found.total)}{'' if found.is_whole else ' or more'} {'hit' if found.total == 1 else 'hits'}"
        shown = f" {dot} the first {len(found.hits)}" if len(found.hits) < found.total else ""
        order = "newest first" if self._order == "time" else "best first"
        notes = f" {dot} {look.safe(found.notes[0])}" if found.notes else ""
        mark = look.symbols.state("WARN" if found.notes else "OK")
        return (
            (f" {mark} {total}", paint.warn if found.notes else paint.ok),
            (f"{shown} {dot} {order} {dot} {figures.millis(found.took_ms)}{notes}", paint.dim),
        )

    def _show_chosen(self, look: Look) -> None:
        panel, hit = self.query_one("#hit-detail", Panel), self.chosen
        lines = hit_lines(hit, look, panel.inner_width)
        if hit is not None and self._around is not None and _key(self._around[0]) == _key(hit):
            lines = [*lines[:1], *_around_lines(self._around[1], hit, look)]
        panel.show_panel(lines, look)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Asks for what stands there now; while an answer is on its way, as soon as that is there."""
        if event.input.id == "words":
            event.stop()
            self._words, self._around = event.value, None
            self.ui.refresh_now()
            self.show_current()

    def on_words_field_left(self, event: WordsField.Left) -> None:
        """To the hits."""
        event.stop()
        self.set_focus(self.table)

    def action_field(self) -> None:
        self.set_focus(self.query_one(WordsField))

    def action_order(self) -> None:
        self._order = "rank" if self._order == "time" else "time"
        self.ui.refresh_now()
        self.show_current()

    def on_fast_table_moved(self, event: FastTable.Moved) -> None:
        """The hit under the cursor."""
        event.stop()
        self._show_chosen(self.look)

    def on_fast_table_chosen(self, event: FastTable.Chosen) -> None:
        """To the record among those of its stream; to a stream that was found by its name; to the records of a template."""
        event.stop()
        hit = self.chosen
        if hit is None:
            return
        if hit.kind == "stream":
            self.ui.open_stream(hit.name)
        elif hit.again:
            self.query_one(WordsField).value = hit.again
        elif hit.seq is not None:
            client, clean = self.ui.client, self.look.safe
            self.run_worker(lambda: self._read(client, hit, clean), thread=True, exit_on_error=False, group="around", name="around")

    def _read(self, client: Client, hit: Hit, clean: Any) -> None:
        """In a worker thread: the records around it, in the order in which they came."""
        assert hit.seq is not None
        sql = f"SELECT * FROM {quoted(hit.stream)} WHERE _seq BETWEEN {hit.seq - AROUND} AND {hit.seq + AROUND} ORDER BY _seq"
        result, error = None, None
        try:
            result = read_answer(client.query(sql, rows_max=2 * AROUND + 1, stop=Stop()), elapsed_ms=0.0, clean=clean)
        except ApplianceError as refusal:
            error = str(refusal)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Read(hit, result, error))

    def on_search_screen_read(self, event: Read) -> None:
        """Shows them with the room of all, the one that was found marked."""
        event.stop()
        if event.error is not None or event.result is None:
            self.ui.say(event.error or "the record is gone", severity="error")
            return
        self._around = (event.hit, event.result)
        if self.enlarged is None:
            self.set_focus(self.query_one("#hit-detail", Panel))
            self.toggle_enlarged()
        self.show_current()

    def action_back(self) -> None:
        """Esc: from the records to the hits, from the hits to the words, and out of an empty field to the first screen."""
        if self.enlarged is not None:
            self.toggle_enlarged()
            self._around = None
            self.set_focus(self.table)
        elif self.focused is not self.query_one(WordsField):
            self.action_field()
        elif self._words:
            self.query_one(WordsField).value = ""
        else:
            self.app.pop_screen()

    def view_table(self) -> ViewTable | None:
        rows = [(h.kind, h.stream, h.name, h.ts_us, h.seq, h.snippet, h.rank) for h in (p.hit for p in self.table.rows)]
        return ViewTable("search", ["kind", "stream", "name", "ts_us", "seq", "snippet", "rank"], rows) if rows else None

    def copy_text(self) -> str | None:
        hit = self.chosen
        return None if hit is None else hit.snippet or hit.name


def _key(hit: Hit) -> str:
    return f"{hit.kind} {hit.stream} {hit.name} {hit.seq}"


def _around_lines(result: Result, hit: Hit, look: Look) -> list[Line]:
    """A line a record: what it says besides what all have alike; the one that was found first in the eye."""
    names = [c.name for c in result.columns]
    at = names.index("_seq") if "_seq" in names else None
    lines: list[Line] = []
    for values, texts in zip(result.rows, result.texts, strict=True):
        is_it = at is not None and str(values[at]) == str(hit.seq)
        told = "  ".join(text for name, text in zip(names, texts, strict=True) if text and name != "_seq")
        mark = look.symbols.sides[0] if is_it else " "
        lines.append(((f"{mark} ", look.paint.accent), (told, look.paint.bold if is_it else look.paint.text)))
    return lines
