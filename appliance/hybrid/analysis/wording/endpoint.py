"""One question to an OpenAI-compatible endpoint (``POST …/chat/completions``), bounded in time and size, to the config's host alone.

Redirects are not followed and proxies of the environment not used. No failure repeats the key, not even in words of the endpoint.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.clock import Clock
from appliance.errors import ApplianceError
from appliance.hybrid_options import LanguageModelOptions
from appliance.notify.channel import one_line
from appliance.notify.connection import Connection
from appliance.notify.deadline import Deadline
from appliance.notify.wire import Resolver, Wire, failure, tls_context

ANSWER_BYTES_MAX: Final = 256 * 1024
"""A body that is larger is refused; two thousand words are 20 KiB."""
KEY_BYTES_MAX: Final = 8 * 1024
SAID_CHARACTERS_MAX: Final = 120
"""What is kept of an error's body."""
TOKENS_A_WORD: Final = 4
TOKENS_BESIDES: Final = 128
"""An English word is 1.3 tokens, figures and names are several; what is above is cut off by the server, and such an answer not taken."""
_KEY = re.compile(r"[\x21-\x7e]+")
Message = Mapping[str, str]
"""``role`` and ``content``."""


class Unanswered(ApplianceError):
    """The endpoint gave no usable answer; the text is one line and says why."""


class Endpoint:
    """One model behind one URL. Each question is a connection of its own; one at a time is the caller's duty."""

    def __init__(self, options: LanguageModelOptions, *, clock: Clock) -> None:
        """``options`` with a URL. Opens nothing."""
        parts = urlsplit(options.url)
        assert parts.hostname is not None
        self.model = options.model
        self._options = options
        self._clock = clock
        self._host = parts.hostname
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._target = parts.path.rstrip("/") + "/chat/completions"
        self._resolver = Resolver()
        self._tls: ssl.SSLContext | None = None
        self._busy: Connection | None = None

    def ask(self, messages: Sequence[Message], *, deadline: Deadline) -> str:
        """What the model says, as it came, not checked. Raises ``Unanswered``."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "edge-appliance", "Connection": "close"}
        key = credential(self._options.key, os.environ) if self._options.key else ""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps(
            {
                "model": self.model,
                "messages": list(messages),
                "max_tokens": self._options.words_max * TOKENS_A_WORD + TOKENS_BESIDES,
                "temperature": 0,
                "stream": False,
            }
        )
        try:
            return _said(*self._exchange(body.encode(), headers, deadline), key)
        except OSError as error:
            raise Unanswered(failure(error)) from error
        except http.client.HTTPException as error:
            raise Unanswered(f"the answer is no HTTP ({type(error).__name__})") from error

    def interrupt(self) -> None:
        """End a question that is under way, from any thread."""
        connection = self._busy
        if connection is not None:
            connection.interrupt()

    def _exchange(self, body: bytes, headers: dict[str, str], deadline: Deadline) -> tuple[int, bytes]:
        wire = Wire(self._resolver.connect(self._host, self._port, deadline), deadline)
        connection = self._busy = Connection(self._host, self._port, wire, is_tls=self._is_tls)
        try:
            if self._is_tls:
                self._tls = self._tls or tls_context(verify=True)
                wire.secure(self._tls, self._host)
            connection.request("POST", self._target, body=body, headers=headers)
            with connection.getresponse() as answer:
                return answer.status, answer.read(ANSWER_BYTES_MAX + 1)
        finally:
            self._busy = None
            connection.close()


def credential(name: str, environ: Mapping[str, str]) -> str:
    """The secret of that name: systemd's credential where there is one, else the environment variable. Raises ``Unanswered``."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    try:
        found = (Path(folder) / name).read_bytes()[: KEY_BYTES_MAX + 1] if folder else None
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise Unanswered(f"the credential {name} can't be read: {error.strerror}") from error
    text = environ.get(name, "") if found is None else found.decode("utf-8", "replace")
    text = text.strip()
    if not text:
        raise Unanswered(f"there is no credential and no environment variable {name}")
    if len(text) > KEY_BYTES_MAX or not _KEY.fullmatch(text):
        raise Unanswered(f"the credential {name} can't stand in a header")
    return text


def _said(status: int, body: bytes, key: str) -> str:
    if 300 <= status < 400:
        raise Unanswered(f"HTTP {status}: redirects are not followed; put the final address into the config")
    if status != 200:
        text = body.decode("utf-8", "replace")
        said = one_line(text.replace(key, "…") if key else text, SAID_CHARACTERS_MAX)
        raise Unanswered(f"HTTP {status}" + (f": {said}" if said else ""))
    if len(body) > ANSWER_BYTES_MAX:
        raise Unanswered(f"the answer is larger than {ANSWER_BYTES_MAX // 1024} KiB")
    try:
        choice = json.loads(body)["choices"][0]
        content, finished = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Unanswered("the answer is no chat completion") from error
    return _whole(content, finished)


def _whole(content: Any, finished: Any) -> str:
    if not isinstance(content, str):
        raise Unanswered("the answer holds no text")
    if finished not in (None, "stop"):
        raise Unanswered("the answer was cut off" if finished == "length" else "the model did not finish its answer")
    return content
