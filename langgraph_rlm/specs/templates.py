"""Templates: ``{{step.field}}`` and nothing else. A path is looked up; there are no filters, attributes, calls or code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import re2

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.shortening import shortened

_SEGMENT = r"(?:[A-Za-z]\w{0,99}|\d{1,9})"
PATH = re.compile(r"\{\{\s*([A-Za-z]\w{0,99}(?:\." + _SEGMENT + r"){0,9})\s*\}\}", re.ASCII)
_OPENED = re.compile(r"\{\{")

Show = Callable[[str, Any], str]
"""What stands for a value inside of a text: ``(path, value)`` → text."""


def alone(text: Any) -> str | None:
    """The path of a text that is one template and nothing else; None for any other value.

    Example:
        >>> alone(" {{find.count}} "), alone("all {{find.count}}")
        ('find.count', None)
    """
    whole = PATH.fullmatch(text.strip()) if isinstance(text, str) else None
    return None if whole is None else whole[1]


def paths_in(value: Any) -> Iterator[str]:
    """Every path in a value: a text, or lists and mappings of values."""
    if isinstance(value, str):
        yield from (match[1] for match in PATH.finditer(value))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from paths_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from paths_in(inner)


def wrong_in(text: str) -> str | None:
    """What stands between braces in a text and is no path; None when all of it is.

    Example:
        >>> wrong_in("{{a.b}} and {{ a.b | upper }}")
        '{{ a.b | upper }}'
    """
    rest = PATH.sub("", text)
    opened = _OPENED.search(rest)
    if opened is None:
        return None
    end = rest.find("}}", opened.start())
    return shortened(rest[opened.start() : len(rest) if end < 0 else end + 2])


def look_up(path: str, values: Mapping[str, Any]) -> Any:
    """The value at a path. What was skipped, and whatever would stand in it, is None.

    Raises:
        InvalidInput: there is no such field; those that are there are named.
    """
    value: Any = values
    for part in path.split("."):
        if value is None:
            return None
        if isinstance(value, Mapping):
            if part not in value:
                known = ", ".join(map(str, list(value)[:20]))
                raise InvalidInput(f"{{{{{path}}}}}: there is no {part!r}; there are {shortened(known, 300)}")
            value = value[part]
        elif isinstance(value, list) and part.isdigit():
            if int(part) >= len(value):
                raise InvalidInput(f"{{{{{path}}}}}: the list has {len(value):,} entries, counted from 0")
            value = value[int(part)]
        elif part == "text" and isinstance(value, str | int | float):
            value = value if isinstance(value, str) else json.dumps(value)
        else:
            raise InvalidInput(f"{{{{{path}}}}}: a {type(value).__name__} has no field {part!r}")
    return value


def filled(value: Any, values: Mapping[str, Any], show: Show | None = None) -> Any:
    """A value with its templates filled in, once: what is filled in is not looked at again.

    A template that stands alone keeps the type of what it names. Inside of a text it becomes text, by ``show`` where that
    is given, else by :func:`shown`.

    Example:
        >>> filled({"n": "{{find.count}}", "t": "{{find.count}} found"}, {"find": {"count": 3}})
        {'n': 3, 't': '3 found'}
    """
    if isinstance(value, str):
        if (path := alone(value)) is not None and show is None:
            return look_up(path, values)

        def put(match: re.Match[str]) -> str:
            found = look_up(match[1], values)
            return shown(found) if show is None else show(match[1], found)

        return PATH.sub(put, value)
    if isinstance(value, Mapping):
        return {key: filled(inner, values, show) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, values, show) for inner in value]
    return value


def shown(value: Any) -> str:
    """A value as text, as prompts show it: hits with their places, texts one after the other, anything else as JSON.

    Example:
        >>> shown([{"doc_id": "a.txt", "line": 3, "text": "found"}])
        'a.txt:3: found'
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and "text" in one for one in value):
        return "\n".join(_line(one) for one in value)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    if isinstance(value, Mapping) and set(value) == {"text"}:
        return shown(value["text"])
    return json.dumps(value, ensure_ascii=False)


def literally(value: Any) -> str:
    r"""A value as an expression that matches it and nothing else.

    Example:
        >>> print(literally("a.b"))
        a\.b
    """
    return str(re2.escape(shown(value)))


def item_field(item: Any, path: str) -> Any:
    """A field of an item that is mapped over, as ``{{item.field}}`` has it."""
    return look_up(f"item.{path}", {"item": item})


def _line(one: Mapping[str, Any]) -> str:
    place = f"{one['doc_id']}:{one['line']}: " if "doc_id" in one and "line" in one else ""
    return f"{place}{shown(one['text'])}"
