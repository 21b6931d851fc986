"""In which encoding a file is written: UTF-8, UTF-16, Shift-JIS or Windows-1252 (with Latin-1), or none that is known."""

from __future__ import annotations

import codecs
import re

from langgraph_rlm.errors import InvalidInput

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
LOOKED_AT = 1 << 16
"""Bytes that tell the encoding of a file."""
_HALF = 0.3
"""Of the bytes of a text in UTF-16 are 0, all on the same side: Latin letters are half 0, other scripts less."""
_FOREIGN = 0.35
"""Of the letters of a Western text are not ASCII at most: French and Vietnamese without marks below have some 10 %."""
_KANA = re.compile("[\u3040-\u30ff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


def encoding_of(data: bytes) -> str | None:
    """The name of the encoding, from the beginning of a file; None for what is no text, or in none that is known.

    Example:
        >>> encoding_of("Überfluß".encode("cp1252")), encoding_of("日本のお茶です".encode("shift_jis")), encoding_of(b"PK\\x03\\x04\\x00")
        ('cp1252', 'cp932', None)
    """
    head = data[:LOOKED_AT]
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if b"\x00" in head:
        return _utf_16(head)
    if _decoded(head, "utf-8") is not None:
        return "utf-8"
    japanese = _decoded(head, "cp932")
    if japanese is not None and _is_japanese(japanese):
        return "cp932"
    western = _decoded(head, "cp1252")
    return "cp1252" if western is not None and _is_western(western) else None


def check_encoding(name: object) -> str:
    """The name of an encoding that Python knows; InvalidInput for anything else."""
    try:
        return codecs.lookup(name).name if isinstance(name, str) else _unknown(name)
    except LookupError:
        return _unknown(name)


def _unknown(name: object) -> str:
    raise InvalidInput(f"encoding: Python knows no {name!r}; give a name such as 'utf-8', 'cp1251' or 'euc_kr'")


def _decoded(head: bytes, encoding: str) -> str | None:
    """Its text; a character that is cut at the end is left out."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head, final=len(head) < LOOKED_AT)
    except UnicodeDecodeError:
        return None


def _utf_16(head: bytes) -> str | None:
    even, odd = head[::2].count(0), head[1::2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    most, least = max(even, odd), min(even, odd)
    if least or most < len(head) * _HALF:
        return None
    text = _decoded(head, name)
    return None if text is None or _CONTROL.search(text) else name


def _is_japanese(text: str) -> bool:
    """Kana, and hardly anything but Japanese beside ASCII: bytes of Western letters make half-width kana and rare signs."""
    foreign = [sign for sign in text if sign > "\x7f"]
    usual = [sign for sign in foreign if "\u3000" <= sign <= "\u9fff" or "\uff01" <= sign <= "\uff5e"]
    return bool(_KANA.search(text)) and len(usual) >= 0.9 * len(foreign) and not _CONTROL.search(text)


def _is_western(text: str) -> bool:
    """No control characters, and mostly ASCII: Cyrillic or Greek would be gibberish, and is not read."""
    if _CONTROL.search(text):
        return False
    letters = [sign for sign in text if sign.isalpha()]
    return sum(sign > "\x7f" for sign in letters) <= _FOREIGN * max(1, len(letters))
