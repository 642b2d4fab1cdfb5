"""Makes the sources of a config: what a kind needs is imported only where it is used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from appliance.clock import Clock
from appliance.config import Config, DropSource, HostSource, LineProtocolSource, MqttSource, SourceOptions
from appliance.door.door import Door
from appliance.sources.files import FileTaker
from appliance.sources.source import Source


def make_source(
    options: SourceOptions,
    *,
    door: Door,
    taker: FileTaker,
    config: Config,
    clock: Clock,
    inherited: Callable[[str, socket.SocketKind], Sequence[socket.socket]],
) -> Source:
    """One ``[[source]]``, not started; ``inherited`` are the sockets of an address and a kind that systemd has handed over."""
    match options:
        case HostSource():
            from appliance.sources.host import HostReader

            host = HostReader(options, door=door, clock=clock, node=config.node.name)
            return Source(host.start, host.stop, lambda: (host.status(),))
        case DropSource():
            from appliance.sources.drop.source import DropFolder

            drop = DropFolder(options, taker=taker, data_dir=config.data_dir, clock=clock)
            return Source(drop.start, drop.stop, lambda: (drop.status(),))
        case LineProtocolSource():
            from appliance.sources.line_protocol import LineProtocolListener

            own = [*inherited(options.tcp, socket.SOCK_STREAM), *inherited(options.udp, socket.SOCK_DGRAM)]
            lines = LineProtocolListener(options, door=door, clock=clock, limits=config.limits, inherited=own)

            async def start() -> None:
                lines.start()
                await lines.listening()

            return Source(start, lines.stop, lambda: (lines.status(),))
        case MqttSource():
            from appliance.sources.mqtt import MqttSubscriber

            mqtt = MqttSubscriber(options, door=door, clock=clock, config=config)
            return Source(mqtt.start, mqtt.stop, lambda: (mqtt.status(),))
