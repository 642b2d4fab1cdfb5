"""The format of an evidence bundle: its files, its manifest, and the README that tells an auditor how to check it by hand. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

FORMAT: Final = 1
CHAIN: Final = "chain.jsonl"
SEGMENTS: Final = "segments.jsonl"
GAPS: Final = "gaps.jsonl"
REFUSED: Final = "refused.jsonl"
REMOVED: Final = "removed.jsonl"
CONFIG: Final = "config.jsonl"
PEOPLE: Final = "people.jsonl"
CLOCK: Final = "clock.jsonl"
HASHES: Final = "segments.sha256"
MANIFEST: Final = "manifest.json"
README: Final = "README.md"
SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.hmac"
SUMMED: Final = (README, MANIFEST, CHAIN, SEGMENTS, GAPS, REFUSED, REMOVED, CONFIG, PEOPLE, CLOCK, HASHES)
"""What ``SUMS`` names, in its order."""

README_TEXT: Final = """\
# Evidence bundle

What one box had taken in, kept, changed and removed, and proof that none of it was changed later. Format 1. Every `.jsonl` file has one
JSON object a line; times are UTC, microseconds in names that end in `_us` or begin with `ts_`, else ISO 8601.

| file | what |
|---|---|
| `manifest.json` | which box, which time range, when the bundle was made, by whom; the newest entry of the chain; each stream's account |
| `chain.jsonl` | the chain of evidence: every change of manifest, config, clock and silences; an unbroken run of it |
| `segments.jsonl` | every data file with records of the time range: SHA-256, records, sequences, times, and what was found |
| `gaps.jsonl` | sequences that are nowhere or were set aside or removed; stretches in which a stream was silent |
| `refused.jsonl` | records that were refused, with the reason; `raw_sha256` is of the original bytes |
| `removed.jsonl` | what retention and people have removed: what, when, who, why |
| `config.jsonl`, `people.jsonl`, `clock.jsonl` | of the chain: config and starts; silences, acknowledgements, deletions; clock jumps |
| `segments.sha256` | the live data files, as `sha256sum` reads it |
| `SHA256SUMS` | all files of this bundle. Its own SHA-256 is the bundle's **seal**: note it where the box's owner can't change it |
| `SHA256SUMS.hmac` | with a key: HMAC-SHA256 of `SHA256SUMS` |

## Checking it by hand

1. The bundle is whole, and is the one whose seal was noted:

       cd BUNDLE && sha256sum -c SHA256SUMS && sha256sum SHA256SUMS

2. The data files are the ones that were there (files that were replaced or removed since are missing: the box's own chain says why):

       cd DATA && sha256sum -c BUNDLE/segments.sha256

3. The chain is unbroken. Each entry's `before` is the SHA-256 of the line before it, without its line end; the SHA-256 of the last line is
   `chain.head` in the manifest:

       before=; while IFS= read -r line; do
         case "$line" in *"\\"before\\":\\"$before"*) ;; *) echo "broken before: $line" ;; esac
         before=$(printf %s "$line" | sha256sum | cut -d' ' -f1)
       done < chain.jsonl; echo "$before"

4. The box has the same chain: `sqlite3 hot.sqlite "SELECT entry FROM chain ORDER BY id"` gives the same lines, and more behind them.

An entry with `added` registers data files, one with `ended` takes them out (`replaced`: their records are in the files that the same entry
adds; `expired`: removed by retention; `damaged`, `missing`: set aside). `mark` says up to which sequence records are in data files: a
roll from mark 10 to 30 adds the records with the sequences 11 to 30, each once.

With the package: `appliance audit verify BUNDLE --data-dir DATA`.

## What it does not prove

Who holds the box and has noted no seal could make a whole new chain. Note the seal, or the head that `appliance audit` prints, elsewhere.
"""


def manifest_text(fields: Mapping[str, Any]) -> str:
    """The manifest as its file has it."""
    return json.dumps({"format": FORMAT, **fields}, indent=2, ensure_ascii=False) + "\n"


def line(fields: Mapping[str, Any]) -> str:
    """One object of a ``.jsonl`` file, with its line end."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"
