"""How each column of a segment is encoded: what is smallest on a sample of its values, among what all readers know.

Sizes in bytes a value, zstd level 3, 100,000 values: a percentage with one decimal 1.28 as dictionary, 2.30 plain, 2.36
split; noise of full precision 9.25, 7.30 and 6.51; HTTP codes as integers 0.19 as dictionary, 0.39 as deltas; a byte
counter 4.87 and 2.16. No one encoding is right, and trying them costs some milliseconds a file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DICTIONARY = "DICTIONARY"
_TIMES = "DELTA_BINARY_PACKED"
_CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "double": (DICTIONARY, "BYTE_STREAM_SPLIT", "PLAIN"),
    "int64": ("DELTA_BINARY_PACKED", DICTIONARY, "BYTE_STREAM_SPLIT"),
    "string": (DICTIONARY, "DELTA_BYTE_ARRAY", "PLAIN"),
}
"""By Arrow type; on a tie the first wins."""
_SAMPLE_ROWS = 16_384
_SAMPLE_BYTES = 4 << 20
_BLOOM_FPP = 0.01
_BLOOM_VALUES_MIN = 64
_BLOOM_ROWS_A_VALUE = 16
"""Measured on 2 M records of 40,000 devices in 16 sites, sorted by both: one device 4.9 ms instead of 31, one that isn't there 3.1
instead of 22, for 0.4 % more bytes and no time. Statistics alone can't skip a row group, since each holds devices from all over."""
KNOWS_BLOOM = "bloom_filter_options" in signature(pq.ParquetWriter.__init__).parameters
"""PyArrow writes them from some version on; without them a file is as good, only slower to search."""
_GAIN_MIN = 0.97
"""Another than the first candidate must be this much smaller: a sample is only a sample."""


@dataclass(frozen=True, slots=True)
class Encodings:
    """What the Parquet writer is told."""

    dictionary: tuple[str, ...]
    """Columns that are dictionary-encoded (and fall back to plain when they turn out to be all different)."""
    plain: Mapping[str, str]
    """Column -> encoding, for the others. Booleans have the format's own run lengths."""
    bloom: Mapping[str, int] = field(default_factory=dict)
    """Tag with a Bloom filter -> how many values a row group has of it."""


def choose_encodings(sample: pa.Table, *, zstd_level: int) -> Encodings:
    """The encodings for rows that look like ``sample`` (``ts``, tags as dictionary, fields, ``_seq``).

    Tags are always dictionaries, ``ts`` and ``_seq`` always deltas. Looks at no more than 16,384 rows or 4 MiB, in one
    piece, since order is what most encodings live on.
    """
    part = _piece(sample)
    open_columns = {f.name: _CANDIDATES[str(f.type)] for f in part.schema if str(f.type) in _CANDIDATES and f.name != "_seq"}
    sizes: dict[str, dict[str, int]] = {name: {} for name in open_columns}
    for turn in range(max((len(c) for c in open_columns.values()), default=0)):
        trial = {name: candidates[turn] for name, candidates in open_columns.items() if turn < len(candidates)}
        for name, size in _sizes(part.select(list(trial)), trial, zstd_level).items():
            sizes[name][trial[name]] = size
    chosen = {name: _smallest(sizes[name]) for name in open_columns}
    tags = [f.name for f in sample.schema if pa.types.is_dictionary(f.type)]
    bloom = {t: len(sample.column(t).chunk(0).dictionary) for t in tags if _pays(sample.column(t))} if KNOWS_BLOOM else {}
    fixed = {name: _TIMES for name in ("ts", "_seq") if name in sample.column_names}
    return Encodings(
        dictionary=(*tags, *(n for n, e in chosen.items() if e == DICTIONARY)),
        plain={**fixed, **{n: e for n, e in chosen.items() if e != DICTIONARY}},
        bloom=bloom,
    )


def writer_options(encodings: Encodings) -> dict[str, Any]:
    """The same as arguments of ``pq.ParquetWriter``."""
    options: dict[str, Any] = {"use_dictionary": list(encodings.dictionary), "column_encoding": dict(encodings.plain)}
    if encodings.bloom:
        options["bloom_filter_options"] = {tag: {"ndv": ndv, "fpp": _BLOOM_FPP} for tag, ndv in encodings.bloom.items()}
    return options


def _pays(tag: pa.ChunkedArray) -> bool:
    """Whether a Bloom filter is worth its bytes: with few values the statistics do as well, with very many it takes too much."""
    return bool(tag.num_chunks) and _BLOOM_VALUES_MIN <= len(tag.chunk(0).dictionary) <= len(tag) // _BLOOM_ROWS_A_VALUE


def _piece(sample: pa.Table) -> pa.Table:
    rows = min(sample.num_rows, _SAMPLE_ROWS)
    if sample.nbytes > _SAMPLE_BYTES:
        rows = max(1, min(rows, sample.num_rows * _SAMPLE_BYTES // sample.nbytes))
    return sample.slice((sample.num_rows - rows) // 2, rows)


def _sizes(part: pa.Table, trial: Mapping[str, str], zstd_level: int) -> dict[str, int]:
    plain = {n: e for n, e in trial.items() if e != DICTIONARY}
    options = writer_options(Encodings(tuple(n for n in trial if n not in plain), plain))
    sink = io.BytesIO()
    pq.write_table(part, sink, compression="zstd", compression_level=zstd_level, store_schema=False, write_statistics=False, **options)
    group = pq.ParquetFile(sink).metadata.row_group(0)
    return {part.column_names[i]: group.column(i).total_compressed_size for i in range(group.num_columns)}


def _smallest(sizes: Mapping[str, int]) -> str:
    first, *others = sizes
    best = min(others, key=lambda e: sizes[e], default=first)
    return best if sizes[best] < sizes[first] * _GAIN_MIN else first
