r"""Fenced blocks of a model's reply, as real models write them: glued to a sentence, closed badly, nested, or not closed.

CommonMark would lose one reply in fourteen. Where the text leaves a choice, what follows from the language decides: a line
that begins with three backticks cannot be Python, unless it stands in a string. All of it takes time linear in the text.
"""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from langgraph_rlm.calls.python_source import parsed

_PYTHON = re.compile(r"(?:i?python|py|pyrepl|repl|tool_code)[\d.]*(?:[-_](?:repl|code|cell))?")
_OTHERS = frozenset(
    [
        "bash",
        "c",
        "console",
        "cpp",
        "csharp",
        "css",
        "csv",
        "diff",
        "go",
        "html",
        "java",
        "javascript",
        "js",
        "json",
        "json5",
        "jsonl",
        "latex",
        "log",
        "markdown",
        "md",
        "mermaid",
        "output",
        "plain",
        "plaintext",
        "powershell",
        "result",
        "results",
        "rust",
        "sh",
        "shell",
        "sql",
        "stderr",
        "stdout",
        "stdin",
        "tex",
        "text",
        "toml",
        "ts",
        "tsv",
        "txt",
        "typescript",
        "xml",
        "yaml",
        "yml",
        "zsh",
    ]
)
_QUOTING = frozenset(("", "markdown", "md", "text", "txt", "plain", "plaintext", "output", "stdout", "result", "results", "console", "log"))  # fmt: skip
"""Languages of blocks that may hold any text, fences among it."""

_MARK = re.compile(r"`{3,}+|~{3,}+")
_OPENING = re.compile(r"([ \t]{0,100}+(?:(?:[-*+•]|\d{1,3}+[.)])[ \t]{1,100}+)?+)(`{3,}+|~{3,}+)([^`\n]*+)(?=\n|\Z)")
_FENCE_LINE = re.compile(r"^([ \t]*+)(`{3,}+|~{3,}+)([^`\n]*+)$", re.MULTILINE)
_GLUED_LINE = re.compile(
    r"^[ \t]*+(?![>\s])(?!```)(?:[^`\n]|`{1,2}(?!`))++(```)[ \t]*+([A-Za-z][\w+.-]*+)[ \t]*+$", re.MULTILINE
)
_LANGUAGE = re.compile(r"[ \t]*+\{?+\.?+([A-Za-z][\w+#.-]*+)?+")
_CODE = re.compile(
    r"[ \t]{0,100}+(?:import\s|from\s[\w.]{1,100}+\simport\s|(?:def|for|while|if|with|try|class)\b|#|[A-Za-z_][\w.]{0,100}+\(|[A-Za-z_]\w{0,100}+ = )"
)
_TOKEN = re.compile(
    r"'''|\"\"\"|`{3,}+|#[^\n]*+|\"(?:[^\"\\\n]|\\.)*+\"?+|'(?:[^'\\\n]|\\.)*+'?+", re.DOTALL
)  # strings of one line end with the line
_NESTED_LINES = 50
"""Lines with fences that are looked at to tell whether a block holds others or was never closed."""


class Fence(NamedTuple):
    """One fenced block."""

    start: int
    """Of its opening marks in the text, in characters."""
    end: int
    """Behind its closing marks."""
    language: str
    """Lower case; empty when none was given."""
    body: str
    """What it holds, without the indentation of the fence."""
    closed: bool

    @property
    def is_python(self) -> bool:
        """Whether its language says that it is a cell."""
        return bool(_PYTHON.fullmatch(self.language))


def fences(text: str, start: int = 0) -> Iterator[Fence]:
    r"""The blocks of a text from ``start`` on, in order; line ends are ``\n``.

    Example:
        >>> [(fence.language, fence.body) for fence in fences("The value is 800.```python\nprint(1)\n``` done")]
        [('python', 'print(1)')]
    """
    return FencedText(text).fences(start)


class _Opening(NamedTuple):
    start: int
    marks: str
    indent: int
    language: str
    code: str
    """Code on the line of the fence."""
    body: int
    """Where the next line begins."""
    blank_below: bool


class _FenceLine(NamedTuple):
    """A line that begins with marks, or ends with the opening of a cell."""

    start: int
    marks_end: int
    end: int
    length: int
    bare: bool
    """Nothing stands behind the marks."""
    names_language: bool


class FencedText:
    r"""A text whose blocks may be asked for again from other places.

    Args:
        text: its line ends are ``\n``.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._last_triple = {quotes: text.rfind(quotes) for quotes in ("'''", '"""')}
        self._left = 4 * len(
            text
        )  # characters that may be read as Python: hostile text cannot make it read all of it often
        self._lines: dict[str, list[_FenceLine]] = {"`": [], "~": []}
        for line in _FENCE_LINE.finditer(text):
            info = line[3].strip().lower()
            found = _FenceLine(line.start(), line.end(2), line.end(), len(line[2]), not info, _names_language(info))
            self._lines[line[2][0]].append(found)
        for line in _GLUED_LINE.finditer(text):
            if _PYTHON.fullmatch(line[2].lower()):
                self._lines["`"].append(_FenceLine(line.start(), line.end(1), line.end(), 3, False, True))
        self._lines["`"].sort()

    def fences(self, start: int = 0) -> Iterator[Fence]:
        """The blocks from ``start`` on, in order."""
        at = start
        while (opening := self._opening(at)) is not None:
            fence, at = self._block(opening)
            if fence is not None:
                yield fence

    # --- openings ---

    def _opening(self, at: int) -> _Opening | None:
        """The next line from ``at`` on that opens a block."""
        text = self._text
        while (mark := _MARK.search(text, at)) is not None:
            first = max(at, text.rfind("\n", at, mark.start()) + 1)
            last = text.find("\n", mark.start())
            last = len(text) if last < 0 else last
            if (opening := self._opening_in(first, last, mark)) is not None:
                return opening
            at = last
        return None

    def _opening_in(self, first: int, last: int, mark: re.Match[str]) -> _Opening | None:
        text = self._text
        if (match := _OPENING.match(text, first)) is not None:
            return self._opened(match.start(2), match[2], len(match[1].expandtabs(4)), match[3], last)
        if len(mark[0]) != 3 or mark[0] != "```" or "`" in text[mark.end() : last]:
            return None
        info, before = text[mark.end() : last], text[first : mark.start()]
        if before.lstrip().startswith(">"):
            return None  # a quotation
        glued = _PYTHON.fullmatch(info.strip().lower()) or info.strip().lower() in _OTHERS
        if glued or (not info.strip() and before.rstrip().endswith(":")):
            return self._opened(mark.start(), mark[0], 0, info, last)
        return None

    def _opened(self, start: int, marks: str, indent: int, info: str, last: int) -> _Opening:
        language = ""
        if _CODE.match(info):
            code = info.strip()
        else:
            named = _LANGUAGE.match(info)
            assert named is not None  # everything in it is optional
            language = (named[1] or "").lower().rstrip(".-")
            rest = info[named.end() :]
            code = rest.strip() if _CODE.match(rest) else ""
        body = min(last + 1, len(self._text))
        below = self._text[body : body + 200].split("\n", 1)[0]
        return _Opening(start, marks, indent, language, code, body, not below.strip())

    # --- blocks ---

    def _block(self, opening: _Opening) -> tuple[Fence | None, int]:
        """The block that begins there, if there is one, and where to look for the next."""
        if _PYTHON.fullmatch(opening.language) and opening.marks[0] == "`":
            end, behind, closed = self._end_of_python(opening)
        else:
            end, behind, closed = self._end_of_other(opening)
        if end < 0:
            return None, opening.body
        body = _dedented(self._text[opening.body : end], opening.indent)
        if opening.code:
            body = f"{opening.code}\n{body}"
        return Fence(opening.start, behind, opening.language, body.strip("\n").rstrip(), closed), behind

    def _end_of_python(self, opening: _Opening) -> tuple[int, int, bool]:
        """Where the code ends: at marks that stand in none of its strings and comments."""
        text, length = self._text, len(opening.marks)
        first: _FenceLine | None = None
        at = opening.body
        while self._left > 0 and (token := _TOKEN.search(text, at)) is not None:
            self._left -= token.end() - at
            kind = token[0]
            if kind.startswith("```"):
                if len(kind) >= length:
                    if first is not None and parsed(text[opening.body : token.start()], dedent=True) is None:
                        break  # it has read over the end of the code in a string that was never closed
                    return self._closed(token.start(), len(kind), length)
                at = token.end()
            elif kind in ("'''", '"""'):
                close = text.find(kind, token.end()) if self._last_triple[kind] >= token.end() else -1
                if close < 0:
                    break
                first = first or self._plain_close(opening, token.end(), close)
                self._left -= close - token.end()
                at = close + 3
            else:
                at = token.end()
        else:
            if self._left > 0:
                return len(text), len(text), False
        if first is None:
            first = self._plain_close(opening, opening.body, len(text))
        return (len(text), len(text), False) if first is None else (first.start, first.end, True)

    def _closed(self, start: int, run: int, length: int) -> tuple[int, int, bool]:
        """The end at these marks. A language behind them opens the next block, which the closing marks were forgotten for."""
        text = self._text
        last = text.find("\n", start)
        info = text[start + run : len(text) if last < 0 else last].strip().lower()
        if info and _names_language(info):
            if run >= 2 * length:
                return start, start + length, True
            line = text.rfind("\n", 0, start) + 1
            if not text[line:start].strip():
                return start, start, False
        return start, start + run, True

    def _plain_close(self, opening: _Opening, start: int, end: int) -> _FenceLine | None:
        """The first line of nothing but closing marks; whatever has marks when too much was read already."""
        for line in self._fence_lines(opening, start):
            if line.start >= end:
                break
            if line.bare or self._left <= 0:
                return line
        return None

    def _fence_lines(self, opening: _Opening, start: int) -> Iterator[_FenceLine]:
        """The lines from ``start`` on that begin with marks like those of a block."""
        lines = self._lines[opening.marks[0]]
        for at in range(bisect_left(lines, start, key=lambda line: line.start), len(lines)):
            if lines[at].length >= len(opening.marks):
                yield lines[at]

    def _end_of_other(self, opening: _Opening) -> tuple[int, int, bool]:
        """Where a block ends whose content is not Python, or nobody knows what; -1 when the marks open nothing."""
        text = self._text
        holds_fences = opening.language in _QUOTING and self._holds_fences(opening)
        depth = 0
        for line in self._fence_lines(opening, opening.body):
            if line.bare:
                if not depth:
                    return line.start, line.end, True
                depth -= 1
            elif not line.names_language:
                if not depth:
                    return line.start, line.marks_end, True
            elif holds_fences:
                depth += 1
            elif opening.language:
                return line.start, line.start, False
            else:
                return -1, 0, False  # a stray end of an earlier block
        return (len(text), len(text), False) if opening.language else (-1, 0, False)

    def _holds_fences(self, opening: _Opening) -> bool:
        """Whether blocks inside are closed again before this one is: else the marks of one of them are missing."""
        if not opening.language and opening.blank_below:
            return False  # what opens a block stands next to its content, what closes one has nothing below
        depth = 1
        for line in islice(self._fence_lines(opening, opening.body), _NESTED_LINES):
            depth += 1 if line.names_language else -1
            if not depth:
                return True
        return False


def _names_language(info: str) -> bool:
    named = _LANGUAGE.match(info)
    word = named[1] if named else None
    return word is not None and (bool(_PYTHON.fullmatch(word)) or word in _OTHERS)


def _dedented(body: str, indent: int) -> str:
    if indent:
        body = re.sub(rf"^[ \t]{{1,{indent}}}", "", body, flags=re.MULTILINE)
    first = body.lstrip("\n")
    return textwrap.dedent(body) if first[:1] in (" ", "\t") else body
