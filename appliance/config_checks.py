"""What no class of options can see alone: limits that fit each other, names that stand for something, things that are made once.

Pure, but for the places in the file, which the ``Reading`` knows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from appliance.batch_options import AuditOptions, JobOptions, ReportOptions, TrainingOptions, ViewOptions
from appliance.config_reading import Reading, dotted, nearest_of
from appliance.config_value import Config
from appliance.errors import ConfigRefused
from appliance.hybrid_options import AnalysisOptions
from appliance.option_values import shown
from appliance.options import DropSource, HostSource, LineProtocolSource, MqttSource, Options, SourceOptions
from appliance.panel_options import PanelOptions
from appliance.toml_places import Path as KeyPath
from appliance.units import parse_address, show_size
from appliance.workload_options import AlertOptions, SessionOptions

_NO_CHANNEL: Final = "channel: there is no [notify.{}]"


def check_together(config: Config, reading: Reading) -> None:
    """What no class of options can see alone. Raises ``ConfigRefused`` with file, line and key."""
    inflight, body = config.hot.inflight_bytes_max, config.http.body_bytes_max
    if inflight < body:
        at = ("http", "body_max") if reading.origins["hot.inflight_max"] == "default" else ("hot", "inflight_max")
        raise reading.refused(at, f"doesn't fit: http.body_max ({show_size(body)}) is above hot.inflight_max ({show_size(inflight)})")
    taken: dict[str, str] = {}
    for index, source in enumerate(config.sources):
        here = dotted(("source", index))
        for claim, phrase in _claims(source, config).items():
            first = taken.setdefault(claim, here)
            if first != here:
                raise reading.refused(("source", index), f"takes {phrase}, which {first} takes already")
    for name, workload in config.workloads.items():
        match workload:
            case AlertOptions():
                _check_named(config, reading, name, workload)
            case PanelOptions():
                _check_panel(config, reading, name)
            case JobOptions() | ReportOptions() | TrainingOptions() | AuditOptions():
                _check_batch(config, reading, name, workload)
            case AnalysisOptions():
                _check_known(reading, ("workload", name, "notify"), workload.notify, tuple(config.channels), _NO_CHANNEL)
    _check_known(reading, ("alerts", "budgets_notify"), config.alerts.budgets_notify or (), tuple(config.channels), _NO_CHANNEL)
    _check_inhibition(config, reading)


def _check_inhibition(config: Config, reading: Reading) -> None:
    """No rule inhibits itself by way of others: all of them would fire, and nobody would be told of any."""
    by = {name: w.inhibited_by for name, w in config.workloads.items() if isinstance(w, AlertOptions)}
    done: set[str] = set()
    for first in by:
        path: list[str] = []
        stack = [(first, 0)]
        while stack:
            name, depth = stack.pop()
            del path[depth:]
            if name in path:
                cycle = [*path[path.index(name) :], name]
                at = ("workload", cycle[0], "inhibited_by")
                ring = " by ".join(shown(n) for n in cycle)
                reason = f"{dotted(at)} makes a ring ({ring}): when all of them fire nobody is told of any; take one out"
                raise ConfigRefused(reason, file=reading.place(at), key=dotted(at))
            if name not in done:
                path.append(name)
                done.add(name)
                stack += [(other, depth + 1) for other in by.get(name, ())]


def _check_named(config: Config, reading: Reading, name: str, rule: AlertOptions) -> None:
    """A rule names channels and other rules that there are."""
    rules = tuple(n for n, w in config.workloads.items() if isinstance(w, AlertOptions) and n != name)
    for option, named, known, what in (
        ("notify", rule.notify, tuple(config.channels), _NO_CHANNEL),
        ("escalate", rule.escalate, tuple(config.channels), _NO_CHANNEL),
        ("inhibited_by", rule.inhibited_by, rules, "other rule: there is no [workload.{}] of kind alert"),
    ):
        _check_known(reading, ("workload", name, option), named, known, what)


def _check_batch(
    config: Config, reading: Reading, name: str, workload: JobOptions | ReportOptions | TrainingOptions | AuditOptions
) -> None:
    """Batch work names channels and other batch work that there are, and none follows itself."""
    batch = {n: w for n, w in config.workloads.items() if not isinstance(w, AlertOptions | SessionOptions | AnalysisOptions)}
    _check_target(config, reading, name, workload)
    _check_known(reading, ("workload", name, "notify"), workload.notify, tuple(config.channels), _NO_CHANNEL)
    seen, other = {name}, getattr(workload, "after", None)
    at = ("workload", name, "after")
    while other is not None:
        _check_known(reading, at, (other,), tuple(n for n in batch if n != name), "other batch work: there is no such [workload.{}]")
        if other in seen:
            raise reading.refused(at, f"makes a circle: {shown(other)} follows itself in the end")
        seen.add(other)
        other = getattr(batch[other], "after", None)


def _check_target(config: Config, reading: Reading, name: str, workload: Options) -> None:
    """A table, a file or a folder is made by one workload, and a table's name stands for nothing else."""
    for option in ("table", "file", "folder"):
        target = _target(name, workload, option)
        if target is None:
            continue
        at = ("workload", name, option)
        others = {n: _target(n, w, option) for n, w in config.workloads.items() if n != name}
        same = next((n for n, t in others.items() if t is not None and t.lower() == target.lower()), None)
        if same is not None:
            raise reading.refused(at, f"is made by {shown(same)} already")
        taken = [*(n for n, w in config.workloads.items() if isinstance(w, ViewOptions)), *config.streams]
        if option == "table" and (target.startswith("_") or target.lower() in {n.lower() for n in taken}):
            raise reading.refused(at, f"can't be {shown(target)}: that is the name of something else")


def _check_panel(config: Config, reading: Reading, name: str) -> None:
    """A panel's name is that of a table, and stands for nothing else."""
    tables = {str(_target(n, w, "table")).lower() for n, w in config.workloads.items() if _target(n, w, "table") is not None}
    at = ("workload", name)
    if name.startswith("_") or name.lower() in {*tables, *(n.lower() for n in config.streams)}:
        raise reading.refused(at, "can't be a panel: that is the name of something else")


def _target(name: str, workload: Options, option: str) -> str | None:
    """What a workload makes; the folder of an audit is called after it unless it says otherwise."""
    target: str | None = getattr(workload, option, None)
    return name if target is None and option == "folder" and isinstance(workload, AuditOptions) else target


def _check_known(reading: Reading, at: KeyPath, named: Sequence[str], known: tuple[str, ...], what: str) -> None:
    for other in named:
        if other not in known:
            reason = f"{dotted(at)} names {shown(other)}, which is no {what.format(other)}"
            raise ConfigRefused(reason, file=reading.place(at), key=dotted(at), nearest=nearest_of(other, known))


def _claims(source: SourceOptions, config: Config) -> dict[str, str]:
    """What only one source can have -> the same in words."""
    match source:
        case HostSource():
            return {"host": "this machine's metrics"}
        case DropSource(folder=folder):
            return {f"folder {os.path.normpath(config.data_dir / folder)}": f"the folder {folder!r}"}
        case LineProtocolSource(udp=udp, tcp=tcp):
            fixed = [f"{kind} {text}" for kind, text in (("UDP", udp), ("TCP", tcp)) if text and parse_address(text).port]
            return {claim: claim for claim in fixed}
        case MqttSource(url=url, client_id=client_id):
            session = f"the session {client_id or 'of this node'} at {url}"
            return {session: session}
