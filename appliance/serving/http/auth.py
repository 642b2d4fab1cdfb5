"""Who may ask: a client on TCP shows one of the configured tokens, in any of the ways that InfluxDB's clients have.

The unix socket needs none (its file's mode says who may connect), the probes need none, and without configured tokens the
address is a loopback one (``HttpOptions`` sees to that) and everybody on the machine may ask.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from hmac import compare_digest
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams

from appliance.serving.http.answers import Dialect, HttpRefused

OPEN_PATHS = frozenset({"/ping", "/health", "/ready"})
"""Probes: watchers and load balancers ask them without a token."""


class Gate:
    """Lets a request in or raises. It compares in constant time and remembers nothing, so a flood of bad tokens costs nothing."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = tuple(t.encode() for t in tokens)

    def check(self, path: str, headers: Headers, query: bytes, *, dialect: Dialect) -> None:
        """Raises ``HttpRefused`` with 401 (no right token) or 403 (sent by a page of another site); ``query`` is the string as it came."""
        if path in OPEN_PATHS:
            return
        if not self._tokens:
            _check_origin(headers)
            return
        shown = token_of(headers, query)
        if shown is None or not self._knows(shown):
            message = "unauthorized access" if dialect is Dialect.V2 else "authorization failed"
            raise HttpRefused(401, message, headers={"WWW-Authenticate": 'Basic realm="InfluxDB"'})

    def _knows(self, shown: str) -> bool:
        given = shown.encode("utf-8", "surrogatepass")
        found = False
        for token in self._tokens:  # all of them, so that the time says nothing about which
            found |= compare_digest(token, given)
        return found


def token_of(headers: Headers, query: bytes) -> str | None:
    """The token a client shows: ``Token``, ``Bearer``, the password of ``Basic``, or ``p`` of the query; None when it shows none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "token" | "bearer":
            return value.strip()
        case "basic":
            try:
                return b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return None
        case _:
            return QueryParams(query).get("p")


def _check_origin(headers: Headers) -> None:
    """A browser names the page's origin with each POST; a page of another site has no business with a box that has no tokens."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise HttpRefused(403, "requests from pages of another origin need http.tokens to be configured")
