"""The UTF-8 of a text, without a copy where there is one already."""

from __future__ import annotations

import ctypes
from typing import Any

from langgraph_rlm.text.lines import Data

_utf8_of: Any = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
_utf8_of.argtypes = [ctypes.py_object, ctypes.c_void_p]
_utf8_of.restype = ctypes.c_void_p

_COPIED = 1 << 12
"""Characters up to which a copy is as fast."""


def utf8(text: str) -> Data:
    """The UTF-8 of a text. Of a longer ASCII text it is a view of the ``str`` itself, which lives as long as the view.

    CPython holds an ASCII ``str`` as just these bytes, and a copy costs more than all that is done with it: each of its
    pages is new to the process.

    Raises:
        UnicodeEncodeError: a lone surrogate.

    Example:
        >>> bytes(utf8("é"))
        b'\\xc3\\xa9'
    """
    if len(text) <= _COPIED or not text.isascii():
        return text.encode()
    array = (ctypes.c_ubyte * len(text)).from_address(_utf8_of(text, None))
    array.text = text  # type: ignore[attr-defined]  # the view holds the array, the array holds the text
    return memoryview(array).cast("B").toreadonly()
