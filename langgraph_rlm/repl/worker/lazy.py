"""A context that is too large to be loaded, as a cell sees it: sequences whose content the host hands over on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import index
from typing import Any

CALL = "__context__"
"""The name under which a session asks the host for pieces of its context; no function of a host may have it."""
MOST_CHARS = 1 << 22
"""Of one answer of the host."""
MOST_SLICE = 1 << 26
"""Characters of one slice."""

Ask = Callable[..., Any]


class LazyText(Sequence[str]):
    """A text that is not loaded; slices of it are ordinary ``str``.

    Args:
        ask: the host.
        part: number of the part of the context.
    """

    __slots__ = ("_ask", "_chars", "_part")

    def __init__(self, ask: Ask, part: int) -> None:
        self._ask = ask
        self._part = part
        self._chars: int | None = None

    def __len__(self) -> int:
        if self._chars is None:
            self._chars = self._ask("chars", self._part)
        return self._chars

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            span = range(*key.indices(len(self)))
            if not span:
                return ""
            low, high = min(span[0], span[-1]), max(span[0], span[-1]) + 1
            if high - low > MOST_SLICE:
                raise ValueError(
                    f"a slice over {high - low:,} characters is more than the {MOST_SLICE:,} that one may have here: the "
                    "context is not loaded; go through it piece by piece"
                )
            text = "".join(self._pieces(low, high))
            return text if span.step == 1 else text[:: span.step]
        at = index(key)
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError("string index out of range")
        return self._ask("read", self._part, at, at + 1)

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces(0, len(self)):
            yield from piece

    def _pieces(self, low: int, high: int) -> Iterator[str]:
        for at in range(low, high, MOST_CHARS):
            yield self._ask("read", self._part, at, min(high, at + MOST_CHARS))

    def lines(self) -> Iterator[str]:
        """The lines, one after the other, without their ends."""
        rest = ""
        for piece in self._pieces(0, len(self)):
            *whole, rest = (rest + piece).split("\n")
            yield from whole
        if rest:
            yield rest

    def __contains__(self, text: object) -> bool:
        if not isinstance(text, str):
            raise TypeError(f"'in <string>' requires string as left operand, not {type(text).__name__}")
        return self.find(text) >= 0

    def find(self, sub: str, start: Any = None, end: Any = None, /) -> int:
        """As ``str.find``."""
        return self._found("find", sub, start, end)

    def rfind(self, sub: str, start: Any = None, end: Any = None, /) -> int:
        """As ``str.rfind``."""
        return self._found("rfind", sub, start, end)

    def index(self, sub: str, start: Any = None, end: Any = None, /) -> int:
        """As ``str.index``."""
        if (at := self.find(sub, start, end)) < 0:
            raise ValueError("substring not found")
        return at

    def count(self, sub: str, start: Any = None, end: Any = None, /) -> int:
        """As ``str.count``."""
        return self._found("count", sub, start, end)

    def _found(self, how: str, sub: str, start: Any, end: Any) -> int:
        if not isinstance(sub, str):
            raise TypeError(f"must be str, not {type(sub).__name__}")
        if len(sub) > MOST_CHARS:
            raise ValueError(f"at most {MOST_CHARS:,} characters can be looked for")
        if start is not None and index(start) > len(self):
            return 0 if how == "count" else -1
        low, high, _ = slice(start, end).indices(len(self))
        if high < low:
            return 0 if how == "count" else -1
        found: int = self._ask(how, self._part, sub, low, high)
        return found

    def __getattr__(self, name: str) -> Any:
        if hasattr(str, name):
            raise AttributeError(
                f"this text has {len(self):,} characters and is not loaded, so it has no {name}(); take pieces of it "
                "(context[a:b], for line in context.lines()), or use context.find(), context.count() or grep()"
            )
        raise AttributeError(f"'LazyText' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<a text of {len(self):,} characters that is not loaded; take slices of it>"

    __hash__ = None  # type: ignore[assignment]


class LazyList(Sequence[Any]):
    """A list of texts that is not loaded.

    Args:
        ask: the host.
        size: how many texts.
    """

    __slots__ = ("_ask", "_size")

    def __init__(self, ask: Ask, size: int) -> None:
        self._ask = ask
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            span = range(*key.indices(self._size))
            return [*self._between(span.start, span.stop)] if span.step == 1 else [self[at] for at in span]
        at = index(key)
        if at < 0:
            at += self._size
        if not 0 <= at < self._size:
            raise IndexError("list index out of range")
        [part] = self._page(at, at + 1)
        return part

    def __iter__(self) -> Iterator[Any]:
        return self._between(0, self._size)

    def _between(self, at: int, end: int) -> Iterator[Any]:
        while at < end:
            page = self._page(at, end)
            yield from page
            at += len(page)

    def _page(self, at: int, end: int) -> list[Any]:
        page = self._ask("parts", at, end)
        return [LazyText(self._ask, at + n) if part is None else part for n, part in enumerate(page)]

    def __repr__(self) -> str:
        return f"<a list of {self._size:,} texts that is not loaded; index it or iterate over it>"

    __hash__ = None  # type: ignore[assignment]


class LazyDict(Mapping[str, Any]):
    """Texts by name that are not loaded.

    Args:
        ask: the host.
        size: how many texts.
    """

    __slots__ = ("_ask", "_parts")

    def __init__(self, ask: Ask, size: int) -> None:
        self._ask = ask
        self._parts = LazyList(ask, size)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, name: str) -> Any:
        at = self._ask("place", name) if isinstance(name, str) else -1
        if at < 0:
            raise KeyError(name)
        return self._parts[at]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._ask("place", name) >= 0

    def __iter__(self) -> Iterator[str]:
        at = 0
        while at < len(self):
            names = self._ask("names", at)
            yield from names
            at += len(names)

    def values(self) -> Any:
        """The texts, in order."""
        return iter(self._parts)

    def items(self) -> Any:
        """Names with their texts, in order."""
        return zip(self, self._parts, strict=True)

    def __repr__(self) -> str:
        return f"<a dict of {len(self):,} texts that is not loaded; index it or iterate over its items()>"


def lazy_context(description: dict[str, Any], ask: Ask) -> Any:
    """The variable ``context`` for a context that is not loaded.

    Args:
        description: its ``kind`` and its number of ``parts``.
        ask: the host.
    """
    if description["kind"] == "text":
        return LazyText(ask, 0)
    return (LazyList if description["kind"] == "list" else LazyDict)(ask, description["parts"])
