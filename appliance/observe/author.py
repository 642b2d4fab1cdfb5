"""Who acts, where nobody says it: the login name and the machine's."""

from __future__ import annotations

import getpass
import os
import socket


def author() -> str:
    """``user@host``; a user without a name is shown by number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
