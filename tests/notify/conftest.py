"""What several tests of this folder need."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed certificate of ``localhost`` and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    crt, key, both = folder / "crt", folder / "key", folder / "both"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(crt)]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    both.write_bytes(crt.read_bytes() + key.read_bytes())
    return both
