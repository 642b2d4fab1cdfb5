"""The terminal UI: asks the service through one client, posts what came back, draws it. It computes nothing and owns no data.

In: frozen values from a ``Client`` (``client.py``), keys and the terminal's size. Out: text on the terminal, exported files. The
service never needs it and never imports it; of the service it knows the plain values of ``appliance.observe.status`` and
``appliance.observe.alerts`` only.

Textual reads two settings once, when it is imported, so they are made here, before any module of this package can import it:
fifteen frames a second are plenty for figures that change four times, and animations cost bytes over SSH.
"""

from __future__ import annotations

import os

os.environ.setdefault("TEXTUAL_FPS", "15")
os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
