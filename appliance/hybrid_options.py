"""The options of hybrid work: ``[workload.NAME]`` of kind ``analysis``, ``[search]``, ``[cache]``, ``[language_model]``.

Frozen values as in ``appliance.options``. Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from appliance.need_options import NeedsOptions
from appliance.options import Duration, OptionRefused, Options, Size

Share = Annotated[float, Meta(gt=0, lt=1)]
"""A part of one, without its ends."""
MIB: Final = 1024 * 1024
CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}|")
"""A name that is a file's in systemd's folder of credentials, or an environment variable's; or none."""
WATCH: Final = "watch"
"""The analysis that comes without any workload of that kind."""


class AnalysisOptions(NeedsOptions, frozen=True, kw_only=True, tag="analysis", tag_field="kind"):
    """What is looked at for the unusual: each number and each text as it arrives, and again by batch when it knows more."""

    streams: tuple[str, ...] = ("*",)
    """Streams by name, `*` standing for any text: each of their numeric fields is scored by series, each text field by template."""
    except_streams: tuple[str, ...] = ()
    """Streams that are left out all the same."""
    columns: tuple[str, ...] = ("*",)
    """Fields by name, `*` standing for any text. A total is left out where its rate, of the same name with `_per_s`, is among them."""
    except_columns: tuple[str, ...] = ()
    """Fields that are left out all the same."""
    sensitivity: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """How little is taken for unusual: 1 opens an incident for anything odd, 0.1 only for what has never been."""
    series_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Series that are followed (64 KiB of memory each at most); further ones take the place of those that have ended, else they are not
    looked at, which its state says."""
    deep: bool = True
    """Whether batch looks at each incident again, with what came before and after."""
    nightly: str = "30 3 * * *"
    """When batch looks at everything of the day before, and for what was missed, as cron has it, in the zone of the node; "": never."""
    severity: Literal["info", "warning", "critical"] = "warning"
    """How grave the alert is that an incident raises."""
    labels: Mapping[str, str] = {}
    """Further labels of that alert."""
    notify: tuple[str, ...] = ()
    """The channels that are told, by name. Without any, incidents are stored and shown only."""


class WatchOptions(Options, frozen=True, kw_only=True):
    """Analysis that comes without any workload of that kind."""

    default: bool = True
    """Whether all streams are analysed by the workload `watch` where the config has no workload of kind `analysis`."""
    incidents_max: Annotated[int, Meta(ge=10, le=1_000_000)] = 10_000
    """Incidents that are kept; the oldest closed ones go first."""
    open_max: Annotated[int, Meta(ge=1, le=1_000)] = 50
    """Incidents open at once; what is unusual besides joins the nearest one."""
    queue_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000
    """Records that wait to be scored, above which the oldest are passed over, which is counted and said."""


def analyses(workloads: Mapping[str, Options], watch: WatchOptions) -> dict[str, AnalysisOptions]:
    """Every analysis by name: the workloads of that kind, else the built-in one (`_watch` where a workload of another kind is `watch`)."""
    found = {name: options for name, options in workloads.items() if isinstance(options, AnalysisOptions)}
    if found or not watch.default:
        return found
    return {WATCH if WATCH not in workloads else f"_{WATCH}": AnalysisOptions()}


class SearchOptions(Options, frozen=True, kw_only=True):
    """Full text over records and names."""

    enabled: bool = True
    """Whether text fields are indexed. The fields of a stream: `[stream.NAME] search`."""
    memory_bytes_max: Annotated[int, Meta(ge=16 * MIB, lt=2**40, extra={"unit": "size"})] = 256 * MIB
    """Memory that packing an index in batch may take, besides that of its process; at least 16MiB. With less, runs of rows are shorter and
    the index is a little larger."""


class CacheOptions(Options, frozen=True, kw_only=True):
    """Answers that are kept for whoever asks again."""

    memory_bytes_max: Annotated[int, Meta(ge=0, extra={"unit": "size"})] = 32 * MIB
    """Memory of all kept answers and parts together; 0 keeps none."""
    answer_bytes_max: Size = 8 * MIB
    """The largest answer that is kept."""
    warm: bool = True
    """Whether what is asked regularly is computed again in batch after what it depends on has changed."""


class LanguageModelOptions(Options, frozen=True, kw_only=True):
    """A language model that writes summaries and says why. Off without a URL; nothing leaves the box then."""

    url: str = ""
    """The base of an OpenAI-compatible interface: `http://127.0.0.1:8080/v1`."""
    model: str = ""
    """The model's name as that server knows it."""
    key: str = ""
    """The name of a credential (systemd) or environment variable that holds the key; "": none is sent."""
    timeout_s: Duration = 10.0
    """Time in which an answer must be there; without one the built-in summary stands."""
    words_max: Annotated[int, Meta(ge=10, le=2_000)] = 120
    """Length of an answer that is taken."""

    def __post_init__(self) -> None:
        if self.url:
            _check_url(self.url)
        if self.url and not self.model:
            raise OptionRefused("model", "is missing: the server must be told which model")
        if not CREDENTIAL.fullmatch(self.key):
            raise OptionRefused(
                "key", "must be the name of a credential or environment variable, not the key itself (letters, digits, ._-)"
            )


def _check_url(url: str) -> None:
    """What can be secret (user, query) has no place in it. No refusal repeats the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OptionRefused("url", "is no URL") from error
    if parts.scheme not in ("http", "https") or not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise OptionRefused("url", "must be http://HOST[:PORT]/PATH or https://…, in plain ASCII")
    if parts.username is not None or parts.query or parts.fragment:
        raise OptionRefused("url", "must have no user, query or fragment; the key is named by `key`")
