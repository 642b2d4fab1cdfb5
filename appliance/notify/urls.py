"""A channel's URL in apprise's notation, cut into its parts. Pure; no refusal repeats any part that could be secret.

``scheme://[user:password@]host[:port]/path?name=value``: everything percent-encoded, ``+`` is a plus. Names with a prefix belong to the
other side, as in apprise: ``+Name=value`` is a header, ``-name=value`` goes into the address that is called.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from appliance.notify.channel import refused

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?")
_YES: Final = {"yes": True, "true": True, "1": True, "on": True, "no": False, "false": False, "0": False, "off": False}


@dataclass(frozen=True, slots=True)
class ChannelUrl:
    """The parts of a URL, decoded, but for ``path``, which stays encoded."""

    channel: str
    scheme: str
    host: str
    """Without the brackets of IPv6."""
    port: int | None
    user: str | None
    password: str | None
    path: str
    """As it stands, encoded; "" or beginning with "/"."""
    parameters: dict[str, str]
    headers: dict[str, str]
    """Of ``+Name=value``."""
    query: tuple[tuple[str, str], ...]
    """Of ``-name=value``."""

    @property
    def shown(self) -> str:
        """For people: scheme, host and port. Paths are left out, since those of webhooks are often the secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port is not None else "")

    def flag(self, name: str, *, default: bool) -> bool:
        """A parameter that is yes or no."""
        text = self.parameters.get(name)
        if text is None:
            return default
        if text.lower() not in _YES:
            raise refused(self.channel, f"has {name}=, which must be yes or no")
        return _YES[text.lower()]

    def choice(self, name: str, allowed: Collection[str], *, default: str) -> str:
        """A parameter out of a few."""
        text = self.parameters.get(name, default)
        found = next((one for one in allowed if one.lower() == text.lower()), None)
        if found is None:
            raise refused(self.channel, f"has {name}=, which must be one of {', '.join(allowed)}")
        return found


def scheme_of(channel: str, url: str) -> str:
    """The scheme, in small letters."""
    match = _SCHEME.match(url)
    if match is None:
        raise refused(
            channel, "must begin with a scheme: json://HOST/PATH, exec:COMMAND, mailto://…, file:PATH, journal:, mqtt://HOST/TOPIC"
        )
    return match[1].lower()


def parse_url(
    channel: str, url: str, *, known: Collection[str], headers: bool = False, has_user: bool = True, has_host: bool = True
) -> ChannelUrl:
    """The parts of a URL with a host. ``known``: the parameters that there are; ``headers``: whether ``+Name`` and ``-name`` are.

    Raises ``ConfigRefused``.
    """
    if not url.isprintable() or " " in url:
        raise refused(channel, "holds a blank or a control character: write it percent-encoded (a blank is %20)")
    scheme = scheme_of(channel, url)
    rest = url[len(scheme) + 1 :]
    if not rest.startswith("//"):
        raise refused(channel, f"must be {scheme}://HOST…")
    if "#" in rest:
        raise refused(channel, "holds a #: write it as %23")
    place, _, parameters = rest[2:].partition("?")
    authority, slash, path = place.partition("/")
    user, password, authority = _user(authority)
    if not has_user and user is not None:
        raise refused(channel, "can't have a user")
    host, port = _host(channel, authority, needed=has_host)
    named, own, query = _parameters(channel, parameters, known=known, headers=headers)
    return ChannelUrl(
        channel, scheme, host, port, user, password, quote(slash + path, safe="/%:@!$&'()*+,;=~-._"), named, own, tuple(query)
    )


def _user(authority: str) -> tuple[str | None, str | None, str]:
    before, at, host = authority.rpartition("@")
    if not at:
        return None, None, host
    user, colon, password = before.partition(":")
    return unquote(user), unquote(password) if colon else None, host


def _host(channel: str, authority: str, *, needed: bool) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        is_right = bool(bracket) and _IPV6.fullmatch(host) is not None and (not rest or rest.startswith(":"))
        port = rest[1:] if rest else None
    else:
        host, colon, after = authority.partition(":")
        port = after if colon else None
        is_right = _HOST.fullmatch(host) is not None
    if not authority and not needed:
        return "", None
    if not is_right:
        raise refused(channel, "names no host that can be read (in a password @ is written %40, / as %2F, : as %3A)")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65_535):
        raise refused(channel, "has a port that is no number from 1 to 65535 (in a password / is written %2F, : as %3A)")
    return host, None if port is None else int(port)


def _parameters(
    channel: str, text: str, *, known: Collection[str], headers: bool
) -> tuple[dict[str, str], dict[str, str], list[tuple[str, str]]]:
    named: dict[str, str] = {}
    own: dict[str, str] = {}
    query: list[tuple[str, str]] = []
    for part in text.split("&") if text else ():
        raw, _, raw_value = part.partition("=")
        name, value = unquote(raw), unquote(raw_value)
        if headers and name.startswith("+"):
            own[name[1:]] = value
        elif headers and name.startswith("-"):
            query.append((name[1:], value))
        elif name.lower() in known:
            if name.lower() in named:
                raise refused(channel, f"has {name.lower()}= twice")
            named[name.lower()] = value
        else:
            there = f"known are {', '.join(known)}" if known else "there are none"
            wanted = " (a header is written +Name=value, a parameter of the address -name=value)" if headers else ""
            raise refused(channel, f"has a parameter that this version doesn't know: {there}{wanted}")
    return named, own, query
