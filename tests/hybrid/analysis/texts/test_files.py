from __future__ import annotations

import csv
from pathlib import Path

import pytest

from appliance.cli.main import run


def templates_of(tmp_path: Path, name: str, content: bytes) -> list[tuple[str, str]]:
    (tmp_path / name).write_bytes(content)
    assert run(["analysis", "templates", str(tmp_path / name), "-o", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as f:
        return [(row["LineId"], row["template"]) for row in csv.DictReader(f)]


def test_each_line_gets_the_template_that_is_known_in_the_end(tmp_path: Path) -> None:
    lines = [f"the keeper feeds {name} at {i}:00" for i, name in enumerate(("ape", "bee", "cat", "dog", "eel"))]
    found = templates_of(tmp_path, "plain.log", "\r\n".join(lines).encode())
    assert found == [(str(i), "the keeper feeds <*> at <*>") for i in range(1, 6)]


def test_csv_is_read_by_its_columns(tmp_path: Path) -> None:
    content = '\ufeffLineId,Level,Content\n7,x,"fan 1, ""left"", failed"\n9,x,"fan 2, ""left"", failed"\n'
    assert templates_of(tmp_path, "lines.csv", content.encode()) == [(n, 'fan <*>, "left", failed') for n in ("7", "9")]


def test_bytes_that_are_no_text_are_lines_all_the_same(tmp_path: Path) -> None:
    assert len(templates_of(tmp_path, "binary", bytes(range(256)) + b"\n\n" + b"\xff" * 9 + b"\n")) == 4


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert templates_of(tmp_path, "empty", b"") == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", b"a,b\n1,2\n", "no column Content; it has: a, b"),
        ("e.csv", b"", "it has: none"),
        ("gone.log", None, "can't be read or written: No such"),
    ],
)
def test_what_cant_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert run(["analysis", "templates", str(tmp_path / name), "-o", str(tmp_path / "out.csv")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
