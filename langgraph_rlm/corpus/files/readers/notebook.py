"""Notebooks (``.ipynb``): the cells in their order, code between fences, outputs as far as they are text."""

from __future__ import annotations

import json
import re
from typing import Any

_COLOURS = re.compile("\x1b\\[[0-9;]{0,20}m")
_OUTPUT_CHARS = 10_000
"""Of one output: what is longer is a log or a table that nobody reads to its end."""


def notebook_text(data: bytes) -> str:
    """The text of a notebook of version 4 or 3; pictures and other data are left out.

    Raises:
        ValueError: it is no notebook.
    """
    held = json.loads(data.decode("utf-8-sig"))
    if not isinstance(held, dict) or not isinstance(held.get("cells", held.get("worksheets")), list):
        raise ValueError("a notebook has cells")
    cells = held.get("cells") or [cell for sheet in held.get("worksheets", []) for cell in sheet.get("cells", [])]
    language = str((held.get("metadata") or {}).get("language_info", {}).get("name", "python"))
    return "\n\n".join(text for cell in cells if (text := _cell(cell, language))) + "\n"


def _cell(cell: Any, language: str) -> str:
    source = _joined(cell.get("source", cell.get("input", "")))
    if cell.get("cell_type") != "code":
        return source.strip("\n")
    parts = [f"```{language}\n{source}\n```"] if source.strip() else []
    for output in cell.get("outputs") or ():
        if text := _COLOURS.sub("", _output(output)).strip("\n"):
            parts.append(text if len(text) <= _OUTPUT_CHARS else f"{text[:_OUTPUT_CHARS]} …")
    return "\n\n".join(parts)


def _output(output: Any) -> str:
    if output.get("output_type") == "error":
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    data = output.get("data") or {}
    return _joined(output.get("text", data.get("text/markdown", data.get("text/plain", ""))))


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(map(str, text))
