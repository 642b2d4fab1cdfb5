"""A language model for llama.cpp of 200 KB that says one sentence, whatever it is asked: real weights in a real file, made here.

Each token's vector is one of random signs, attention and feed-forward layers add nothing, and the output's row of a token is the vector
of the token before it in the sentence: so the most likely token after the prompt's last one is the sentence's first, and so on to its end.
The file's format is GGUF version 3 as llama.cpp reads it: header, metadata, tensors by 32 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

WIDTH: Final = 64
_I32, _U32, _F32, _BOOL, _STRING, _ARRAY = 5, 4, 6, 7, 8, 9
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_NUMBERS: Final = {_U32: "<I", _I32: "<i", _F32: "<f", _BOOL: "<?"}
_SPECIAL: Final = ("<unk>", "<s>", "</s>", "<|turn|>", "<|answers|>")
_END, _ANSWERS = 2, 4
TEMPLATE: Final = "{% for m in messages %}<|turn|>{{ m['role'] }} {{ m['content'] }}{% endfor %}<|answers|>"


def write_model(file: Path, sentence: str) -> None:
    """``sentence`` in pieces of a word or, where a word comes twice, of several: each piece must be there once."""
    pieces = _pieces(sentence)
    tokens = [*_SPECIAL, *(f"<0x{n:02X}>" for n in range(256)), *pieces]
    types = [_UNKNOWN, *[_CONTROL] * 4, *[_BYTE] * 256, *[_NORMAL] * len(pieces)]
    vectors = np.random.default_rng(7).choice([-1.0, 1.0], size=(len(tokens), WIDTH)).astype("<f4")
    output = np.zeros_like(vectors)
    chain = [_ANSWERS, *range(len(tokens) - len(pieces), len(tokens)), _END]
    for before, after in pairwise(chain):
        output[after] = vectors[before]
    square, ones = np.zeros((WIDTH, WIDTH), "<f4"), np.ones(WIDTH, "<f4")
    tensors = {"token_embd.weight": vectors, "output_norm.weight": ones, "output.weight": output}
    tensors |= {f"blk.0.{name}_norm.weight": ones for name in ("attn", "ffn")}
    tensors |= {f"blk.0.{name}.weight": square for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
    file.write_bytes(_gguf(_metadata(tokens, types), tensors))


def _pieces(sentence: str) -> Sequence[str]:
    found: list[str] = []
    for word in sentence.split(" "):
        piece = f"▁{word}" if found else word
        while piece in found:
            piece = found.pop() + piece
        found.append(piece)
    return found


def _metadata(tokens: Sequence[str], types: Sequence[int]) -> Sequence[tuple[str, int, Any]]:
    return (
        ("general.architecture", _STRING, "llama"),
        ("general.name", _STRING, "chain"),
        ("llama.context_length", _U32, 32_768),
        ("llama.embedding_length", _U32, WIDTH),
        ("llama.block_count", _U32, 1),
        ("llama.feed_forward_length", _U32, WIDTH),
        ("llama.attention.head_count", _U32, 2),
        ("llama.attention.head_count_kv", _U32, 2),
        ("llama.attention.layer_norm_rms_epsilon", _F32, 1e-5),
        ("llama.rope.dimension_count", _U32, WIDTH // 2),
        ("llama.vocab_size", _U32, len(tokens)),
        ("tokenizer.ggml.model", _STRING, "llama"),
        ("tokenizer.ggml.tokens", _ARRAY, (_STRING, tokens)),
        ("tokenizer.ggml.scores", _ARRAY, (_F32, [0.0] * len(tokens))),
        ("tokenizer.ggml.token_type", _ARRAY, (_I32, types)),
        ("tokenizer.ggml.bos_token_id", _U32, 1),
        ("tokenizer.ggml.eos_token_id", _U32, _END),
        ("tokenizer.ggml.unknown_token_id", _U32, 0),
        ("tokenizer.ggml.add_space_prefix", _BOOL, False),
        ("tokenizer.chat_template", _STRING, TEMPLATE),
    )


def _gguf(metadata: Sequence[tuple[str, int, Any]], tensors: dict[str, Any]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(name) + struct.pack("<I", kind) + _value(kind, value) for name, kind, value in metadata)
    body = b""
    for name, values in tensors.items():
        shape = struct.pack(f"<I{values.ndim}Q", values.ndim, *reversed(values.shape))
        head += _text(name) + shape + struct.pack("<IQ", 0, len(body))
        body += values.tobytes()
        body += bytes(-len(body) % 32)
    return head + bytes(-len(head) % 32) + body


def _value(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _text(value)
    if kind == _ARRAY:
        of, items = value
        return struct.pack("<IQ", of, len(items)) + b"".join(_value(of, item) for item in items)
    return struct.pack(_NUMBERS[kind], value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
