"""A look again: what a query says is of a later instant than the picture that it is compared with, so a difference counts when it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.serving.folder import open_folder


def seen_twice(look: Look, check: Callable[[Look], Iterator[Finding]]) -> Iterator[Finding]:
    """What ``check`` finds now and in a picture that is taken after that, as it is in the second."""
    first = {f.name for f in check(look)}
    if not first:
        return
    with looked_again(look) as again:
        yield from (f for f in check(again) if f.name in first)


@contextmanager
def looked_again(look: Look) -> Iterator[Look]:
    """The same look over the folder as it is now; without the service's memory, which is of another instant."""
    with open_folder(look.folder) as (reader, state):
        yield replace(look, reader=reader, state=state, memory=None)
