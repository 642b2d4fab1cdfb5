"""InfluxDB line protocol, from bytes to batches.

In: a body of lines, whole, as HTTP, a socket or a file brought it. Out: ``Parsed``: one batch for each measurement (more only when a
column changes its type within the body), and a reject for each line that can't be taken. A pure function of the body, the
precision, the time and the limits; it keeps nothing. It never raises for what a line holds, only ``PayloadTooLarge`` for a body
beyond ``bounds``. Any number of threads may call it.

Two routes. *Fast*: whole blocks by column, for lines that are like many others of the block. *Exact*: one line at a time,
for all the rest; it defines the meaning, and the tests hold the fast route to it.

What it decides where the protocol leaves room:

* Escapes are read left to right; a lone backslash is itself. A tag value with an unescaped ``=`` is refused.
* A field twice in a line, spelled the same: the last one counts, as in InfluxDB. Twice but for case, or a tag twice, or a tag and a
  field of one name: refused, as they would be one column. ``ts`` and ``_seq`` are the appliance's own.
* Unsigned integers are kept as ``int64``; one beyond it is refused, like NaN, infinities and integers beyond 64 bits.
* Skipped: a byte order mark at the start, blank lines, comments, spaces and tabs before a line, more than one space between its
  parts, a carriage return before a newline.
* A string may hold raw newlines when it is closed and the record is well formed as a whole; else its first physical line is refused
  and reading goes on at the next one.
* Nanoseconds are floored to microseconds. A timestamp is 64 bits wide and within the years 1 to 9999.
"""

from __future__ import annotations

from appliance.sources.codecs.line_protocol.body import parse, parse_exact
from appliance.sources.codecs.line_protocol.values import BodyLines, Parsed, Precision

__all__ = ["BodyLines", "Parsed", "Precision", "parse", "parse_exact"]
