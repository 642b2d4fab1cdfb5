"""``appliance tail`` over a kill and another start of the service: each record once, in order, and it says what happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.running import ROOT, Running, environment, wait_for


def test_tail_goes_on_behind_what_it_has_shown_when_the_service_is_there_again(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", sources="source = []\n")
    service.start()
    assert service.write("m x=1 1000") == 204
    shown, said = tmp_path / "shown", tmp_path / "said"
    command = [sys.executable, "-m", "appliance", "tail", "m", "--data-dir", str(service.folder)]
    with shown.open("wb") as out, said.open("wb") as err:
        tail = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment())
    try:

        def seqs() -> list[int]:
            return [json.loads(line)["_seq"] for line in shown.read_text().splitlines()]

        wait_for(lambda: service.write("m x=1 1000") == 204 and seqs(), what="the first record shown")
        last = seqs()[-1]
        service.kill()
        wait_for(lambda: "the service has gone" in said.read_text(), what="tail to notice")
        service.start()
        assert service.write("\n".join(f"m x=2 {second}" for second in range(2000, 2005))) == 204
        wait_for(lambda: seqs()[-1] >= last + 5, what="the rest")
        assert seqs() == list(range(seqs()[0], seqs()[-1] + 1))
        assert said.read_text().splitlines()[1].startswith("the service is there again; following m behind record")
        assert tail.poll() is None
    finally:
        tail.kill()
        tail.wait(10)
        service.kill()
