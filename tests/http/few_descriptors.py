"""``python -m tests.http.few_descriptors N …``: the appliance with at most N open files, for the test of that name."""

from __future__ import annotations

import resource
import sys

from appliance.cli.main import main

if __name__ == "__main__":
    most = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    main()
