"""The palette finds actions, screens, streams, themes and symbols by name; the actions come from the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.actions import EVERYWHERE
from tui.screens import SCREENS
from tui.symbols import ALPHABETS
from tui.theme import PALETTES

if TYPE_CHECKING:
    from tui.app import ApplianceApp

Command = tuple[str, str, Callable[[], object]]
_STREAMS_AT_FIRST = 12


class ActionCommands(Provider):
    """Everything that can be chosen by name on the screen in front."""

    async def discover(self) -> Hits:
        for title, help_text, run in self._commands(streams_max=_STREAMS_AT_FIRST):
            yield DiscoveryHit(Content(title), run, text=title, help=help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, help_text, run in self._commands(streams_max=None):
            score = max(matcher.match(title), matcher.match(help_text) / 2)
            if score > 0:
                yield Hit(score, Content(title), run, text=title, help=help_text)

    def _commands(self, *, streams_max: int | None) -> Iterator[Command]:
        from tui.screens.base import LiveScreen  # the screens import the registry

        app = cast("ApplianceApp", self.app)
        screen = self.screen
        groups = (EVERYWHERE, *(screen.ACTIONS if isinstance(screen, LiveScreen) else ()))
        seen: set[str] = set()
        for action in (a for g in groups for a in g.actions):
            if action.palette and action.run not in seen:
                seen.add(action.run)
                title = action.title.capitalize() if action.title.islower() else action.title
                yield title, f"{action.help} ({action.shown})", partial(app.perform, action.run)
        for entry in SCREENS:
            yield f"Screen: {entry.title}", entry.help, partial(app.action_show, entry.name)
        for name in PALETTES:
            yield f"Theme: {name}", "colours", partial(app.set_palette, name)
        for name in ALPHABETS:
            yield f"Symbols: {name}", "characters for charts and gauges", partial(app.set_symbols, name)
        for name in list(app.palette_streams())[:streams_max]:
            yield f"Stream: {app.look.safe(name)}", "look into it", partial(app.open_stream, name)
