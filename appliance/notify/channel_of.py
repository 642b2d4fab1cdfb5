"""From a channel's options to the channel: which kind it is, and refusing what can't be read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.clock import Clock, SystemClock
from appliance.notify.channel import Channel, Sender, refused
from appliance.notify.channels import command, journal, lines, mail, webhook
from appliance.notify.urls import scheme_of
from appliance.workload_options import NotifyOptions

_MQTT: Final = ("mqtt", "mqtts")


def channel_of(name: str, options: NotifyOptions, *, data_dir: Path, node: str, clock: Clock | None = None) -> Channel:
    """The channel ``[notify.NAME]``. Opens nothing, resolves nothing, sends nothing.

    ``clock`` bounds the attempts (None: the machine's). Raises ``ConfigRefused`` with the key ``notify.NAME.url`` for what can't be read,
    and for a kind whose extra is not installed; no part of the URL that could be secret is in it.
    """
    sender = Sender(node, name)
    time = clock or SystemClock()
    scheme = scheme_of(name, options.url)
    if scheme in webhook.SCHEMES:
        return webhook.Webhook(sender, options, clock=time)
    if scheme == command.SCHEME:
        return command.Command(sender, options, data_dir=data_dir, clock=time)
    if scheme in mail.SCHEMES:
        return mail.Mail(sender, options, clock=time, data_dir=data_dir)
    if scheme == lines.SCHEME:
        return lines.Lines(sender, options, data_dir=data_dir)
    if scheme == journal.SCHEME:
        return journal.Journal(sender, options)
    if scheme in _MQTT:
        return _mqtt(sender, options, time)
    return _other(sender, options, time, scheme)


def _mqtt(sender: Sender, options: NotifyOptions, clock: Clock) -> Channel:
    try:
        from appliance.notify.channels.mqtt import Mqtt
    except ImportError as error:
        raise refused(sender.channel, "needs the extra: pip install 'edge-appliance[mqtt]'") from error
    return Mqtt(sender, options, clock=clock)


def _other(sender: Sender, options: NotifyOptions, clock: Clock, scheme: str) -> Channel:
    try:
        from appliance.notify.channels.others import Other
    except ImportError as error:
        raise refused(
            sender.channel, f"has the scheme {scheme}, which is not built in and needs the extra: pip install 'edge-appliance[apprise]'"
        ) from error
    return Other(sender, options, clock=clock)
