"""The one tree of errors, named by what the caller should do.

Each carries one line that says what happened, where, and what to do next. A library's exception is wrapped once, where it
enters. Whatever is not in this tree is a defect of the appliance and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path


class ApplianceError(Exception):
    """What a person or a program outside can cause; shown as one line, never as a traceback."""

    exit_status = 1


class RejectRecord(ApplianceError):
    """This record alone can't be taken: put it to the dead letters with this reason."""


class RejectPayload(ApplianceError):
    """The whole request, file or message can't be taken and will not be on a retry: refuse it for good."""


class PayloadTooLarge(RejectPayload):
    """The payload is over a limit; a smaller one would be taken."""


class RetryLater(ApplianceError):
    """Nothing was taken, and the same again will work later: back off for ``after_s`` seconds."""

    def __init__(self, message: str, *, after_s: int = 1) -> None:
        super().__init__(message)
        self.after_s = after_s


class OutcomeUnknown(RetryLater):
    """The disk failed in the middle of a commit: it may or may not be there. Undo nothing; the process ends and recovers."""


class ConfigRefused(ApplianceError):
    """The config can't be used; nothing was changed."""

    exit_status = 2

    def __init__(self, message: str, *, file: str | None = None, key: str | None = None, nearest: str | None = None) -> None:
        where = f"{file}: " if file else ""
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        super().__init__(f"{where}{message}{hint}")
        self.file = file
        self.key = key
        self.nearest = nearest


class UsageRefused(ApplianceError):
    """The command line's words can't be used as they are."""

    exit_status = 2


class QueryRefused(ApplianceError):
    """The SQL can't be run; the text says what is wrong with it."""


class QueryHeavy(ApplianceError):
    """The query would read more than one that nobody waits for should at once: queue it as batch work."""


class QueryCancelled(ApplianceError):
    """The query was ended before it was done, by the person who asked or by a limit."""


class StoreDamaged(ApplianceError):
    """A file of the data folder is not what was written: set it aside and tell a person.

    ``path`` is the file, ``offset`` the byte where it was noticed (None: the whole file), ``hint`` the next step.
    """

    def __init__(self, message: str, *, path: Path, offset: int | None = None, hint: str = "") -> None:
        place = f"{path}" if offset is None else f"{path} at byte {offset}"
        super().__init__(f"{place}: {message}" + (f"; {hint}" if hint else ""))
        self.path = path
        self.offset = offset
        self.hint = hint


class StoreBusy(ApplianceError):
    """Another process holds the data folder."""


class StoreTooNew(ApplianceError):
    """The folder was written by a later version; nothing was touched."""


class NotRunning(ApplianceError):
    """No service answers where one was expected."""


class FoundWrong(ApplianceError):
    """A check ran to its end and found something wrong."""

    exit_status = 3


class JobFailed(ApplianceError):
    """A run of batch work could not be done; the text says why. ``may_retry``: the same again may go well."""

    def __init__(self, message: str, *, may_retry: bool = True) -> None:
        super().__init__(message)
        self.may_retry = may_retry
