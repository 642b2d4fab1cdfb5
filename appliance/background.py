"""Work beside the flow of an event loop, and the ends of what goes on there: what fails is said in the log, never lost with its task."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """The tasks of one owner, on the event loop. One that fails ends alone and stands in the log with its name and its traceback."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Has ``work`` done from now on; ``name`` says in the log what has failed."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Waits for those under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def stop(self) -> None:
        """Cancels those under way, and waits for their ends."""
        for task in set(self._tasks):
            task.cancel()
        await self.finish()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s has failed", task.get_name(), exc_info=error)


async def end_all(ends: Iterable[Callable[[], Any]]) -> None:
    """Calls every one in this order, also after one that fails: nothing goes on that could be ended. Then raises the first error."""
    failed: Exception | None = None
    for end in ends:
        try:
            await called(end)
        except Exception as e:
            log.exception("an end has failed; the others follow")
            failed = failed or e
    if failed is not None:
        raise failed


async def called(function: Callable[[], Any]) -> None:
    """Awaits a coroutine function; runs a plain one in a thread, since it may block."""
    if inspect.iscoroutinefunction(function):
        await function()
    else:
        await asyncio.get_running_loop().run_in_executor(None, function)


def begin_from_thread(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], name: str) -> None:
    """Has ``work`` done on ``loop``, from any thread; returns at once. What fails is said in the log with its traceback."""
    said_if_failed(asyncio.run_coroutine_threadsafe(work, loop), name)


def said_if_failed(future: Future[Any], name: str) -> None:
    """Has the log say when ``future``, which nobody waits for any more, has failed."""
    future.add_done_callback(partial(_say, name))


def _say(name: str, future: Future[Any]) -> None:
    try:
        error = future.exception()
    except CancelledError:
        return  # whoever cancelled it knows
    if error is not None:
        log.error("%s has failed", name, exc_info=error)
