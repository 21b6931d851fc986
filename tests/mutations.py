"""Mutations of bytes and of JSON values, by a generator with a seed: the same ones on every machine."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

_PIECES = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\r", b"\x1b[31m", b"\x85", "\u2028\u202e\u061c".encode(),
    b"<", b"<a ", b"<![foo[", b"<!--", b"</", b"<svg><title>", b"&#x110000;", b"[" * 200, b"{" * 200, b'{"a":' * 200, b"(" * 200,
    b"/*", b'"""', b"`" * 40, b"def a(", b"# ", b"| - " * 50, b'"', b",", b"\n" * 50, b"obj\n<<", b"endstream", b"/Kids [1 0 R]",
    b"/Length 99999999", b"1 0 R", b"stream\n", b"%PDF-1.7\n", b"9" * 400, b"-1", b"NaN", b"1e999",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1 << 70, -(1 << 70), 1.5, 1e308, 5e-324, "", " ", "\x00", "\ud800", "text", "x" * 20_000, "\u2028\u202e",
    [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, ["x"] * 300, "NaN", "null", "9" * 5_000,
)  # fmt: skip


def mutated(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four mutations of some bytes, at most some 200 KB."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(_OF_BYTES)(data, random, others)[:200_000]
    return data


def _place(data: bytes, random: Random) -> int:
    return random.randint(0, len(data))


def _flip(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(random.randint(1, 12) if out else 0):
        out[random.randrange(len(out))] = random.randrange(256)
    return bytes(out)


def _cut(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    at, to = sorted((_place(data, random), _place(data, random)))
    return data[:at] + data[to:]


def _truncate(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    return data[: _place(data, random)]


def _insert(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(_PIECES) * random.choice((1, 1, 1, 40, 2_000)) + data[at:]


def _repeat(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, random)
    piece = data[at : at + random.randint(1, 60)]
    return data[:at] + piece * random.choice((2, 50, 1_000)) + data[at:]


def _splice(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    other = random.choice(others) if others else data
    return data[: _place(data, random)] + other[_place(other, random) :]


def _recode(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    name = random.choice(("utf-16", "utf-32-be", "latin-1", "cp1252", "utf-7", "shift_jis", "utf-8-sig", "cp500"))
    return data.decode("utf-8", "replace").encode(name, "replace")


def _pack(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    return gzip.compress(data, mtime=0)


_OF_BYTES: tuple[Callable[[bytes, Random, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _cut, _truncate, _insert, _insert, _insert, _repeat, _repeat, _splice, _recode, _pack,
)  # fmt: skip


def mutated_value(value: Any, random: Random, odd: Sequence[Any] = ODD_VALUES) -> Any:
    """One to three mutations of a JSON value: parts that are replaced, left out, doubled, renamed or wrapped."""
    value = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        value = _change(value, random, odd)
    return value


def _change(value: Any, random: Random, odd: Sequence[Any]) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(list(value))
        match random.randrange(8):
            case 0:
                value.pop(key)
            case 1:
                value[random.choice(("", "\ud800", key.upper(), "$ref", "content", "x" * 500))] = value.pop(key)
            case 2:
                value[f"{key}2"] = copy.deepcopy(value)
            case _:
                value[key] = _change(value[key], random, odd)
        return value
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        match random.randrange(6):
            case 0:
                value.pop(at)
            case 1:
                value.extend(copy.deepcopy(value) * random.choice((1, 30)))
            case _:
                value[at] = _change(value[at], random, odd)
        return value
    match random.randrange(6):
        case 0:
            return [value]
        case 1:
            return {"value": value}
        case 2:
            return _wrapped(value, random.choice((3, 60, 101)))
        case _:
            return copy.deepcopy(random.choice(odd))


def _wrapped(value: Any, deep: int) -> Any:
    for level in range(deep):
        value = [value] if level % 2 else {"a": value}
    return value


def as_json(value: Any) -> bytes:
    """A value as a server might write it, lone surrogates as escapes."""
    return json.dumps(value).encode()
