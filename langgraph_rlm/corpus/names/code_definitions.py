"""What a file of code defines: classes, functions, types and constants, by patterns of five languages.

Patterns find what stands at the beginning of a line, in texts whose strings and comments were blanked out; a grammar
would find the same names, ten times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from langgraph_rlm.corpus.names.naming import Name, key_of
from langgraph_rlm.text.identifiers import taken_apart

_PYTHON_TEXTS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|#[^\n]*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.DOTALL
)
_BRACE_TEXTS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)\'', re.DOTALL)
_NEWLINE_OR_ANY = re.compile(r"[^\n]+")

_PYTHON = re.compile(
    r"^(?P<indent>[ \t]*)(?:(?:async[ \t]+)?def[ \t]+(?P<function>\w+)|class[ \t]+(?P<type>\w+)"
    r"|(?P<constant>[A-Z][A-Z0-9_]{2,})[ \t]*(?:=(?!=)|:[^=\n]+=))",
    re.MULTILINE,
)
_JAVASCRIPT = re.compile(
    r"^(?P<indent>[ \t]*)(?:export[ \t]+)?(?:default[ \t]+)?(?:declare[ \t]+)?(?:abstract[ \t]+)?"
    r"(?:(?:async[ \t]+)?function[ \t]*\*?[ \t]*(?P<function>[\w$]+)|(?:class|interface|enum|namespace)[ \t]+(?P<type>[\w$]+)"
    r"|type[ \t]+(?P<alias>[\w$]+)[^\n=]*=|(?:const|let|var)[ \t]+(?P<constant>[\w$]+)[^\n=]*=(?!=)"
    r"|(?:(?:public|private|protected|static|async|get|set|readonly)[ \t]+)*(?!(?:if|for|while|switch|catch|return|function)\b)"
    r"(?P<method>[\w$]+)[ \t]*\([^;{}]*\)[^;{}()=]*\{)",
    re.MULTILINE,
)
_GO = re.compile(
    r"^(?P<indent>[ \t]*)(?:func[ \t]+(?:\([^()\n]*\)[ \t]*)?(?P<function>\w+)|type[ \t]+(?P<type>\w+)"
    r"|(?:const|var)[ \t]+(?P<constant>\w+))",
    re.MULTILINE,
)
_RUST = re.compile(
    r"^(?P<indent>[ \t]*)(?:pub(?:\([^()\n]*\))?[ \t]+)?(?:default[ \t]+|const[ \t]+|async[ \t]+|unsafe[ \t]+|extern[ \t]+)*"
    r"(?:fn[ \t]+(?P<function>\w+)|(?:struct|enum|trait|union|type|mod)[ \t]+(?P<type>\w+)"
    r"|macro_rules![ \t]*(?P<macro>\w+)|(?:static[ \t]+(?:mut[ \t]+)?)?(?P<constant>[A-Z][A-Z0-9_]{2,})[ \t]*:)",
    re.MULTILINE,
)
_JAVA = re.compile(
    r"^(?P<indent>[ \t]*)(?:(?:public|private|protected|static|final|abstract|sealed|synchronized|native|default|strictfp)[ \t]+)*"
    r"(?:(?:class|interface|enum|record|@interface)[ \t]+(?P<type>\w+)"
    r"|(?!(?:return|new|else|throw|case|assert)\b)(?:<[^<>\n]*>[ \t]*)?[\w.]+(?:<[^\n()]*>)?(?:\[\])*[ \t]+"
    r"(?P<function>\w+)[ \t]*\([^;{}]*\)[^;{}=]*\{)",
    re.MULTILINE,
)
_PATTERNS = {
    "python": (_PYTHON, _PYTHON_TEXTS), "js": (_JAVASCRIPT, _BRACE_TEXTS), "ts": (_JAVASCRIPT, _BRACE_TEXTS),
    "go": (_GO, _BRACE_TEXTS), "rust": (_RUST, _BRACE_TEXTS), "java": (_JAVA, _BRACE_TEXTS),
}  # fmt: skip

CODE = frozenset(
    {*_PATTERNS, "c", "cpp", "csharp", "elixir", "haskell", "kotlin", "lua", "perl", "php", "powershell", "ruby", "scala",
     "swift", "sol", "proto"}
)  # fmt: skip
"""Languages whose texts are no prose."""

_KEYWORDS = """
abstract alias and any args array assert async await base bool boolean break byte case catch char class const
constructor continue crate data dataclass def default defer del delete dict double elif else enum err error except
export extends extern false final finally float fmt for from func function get global goto id impl implements import
in index init instanceof int int64 integer interface is item iter key kwargs lambda len let list long loop main map
match mod module mut name namespace native new nil none nonlocal not null number object option or override package
pass path print println private property protected ptr pub public raise range readonly ref result return self set
short sizeof slice some static str string struct super switch synchronized test this throw throws trait transient true
try tuple type typeof uint undefined union unsafe use usize val value var vec void volatile where while with yield
"""
KEYWORDS = frozenset(_KEYWORDS.split())
"""Words that code is full of, in one language or another."""


def code_definitions(text: str, language: str | None) -> Iterator[Name]:
    """The names that a file of code defines, each with what belongs to it: the lines that are indented deeper.

    An identifier of several parts is named by them as well: ``SessionInterface`` is the *session interface*.

    Args:
        text: the code.
        language: a name of :func:`langgraph_rlm.corpus.languages.language_of`; others define nothing.

    Example:
        >>> [name.key for name in code_definitions("class Box:\\n    def put_in(self): ...\\n", "python")]
        ['box', 'put_in', 'put in', 'box put_in']
    """
    if language not in _PATTERNS:
        return
    pattern, texts = _PATTERNS[language]
    plain = texts.sub(_blanked, text)
    open_: list[tuple[int, str, bool]] = []
    found = [
        (match.start("indent"), len(match["indent"].expandtabs(4)), identifier, bool(match.groupdict().get("type")))
        for match in pattern.finditer(plain)
        if (identifier := next(filter(None, list(match.groups())[1:]), None)) is not None
    ]
    ends = _ends([(start, indent) for start, indent, _, _ in found], len(text))
    for (start, indent, identifier, is_type), end in zip(found, ends, strict=True):
        while open_ and open_[-1][0] >= indent:
            open_.pop()
        owner = open_[-1][1] if open_ and open_[-1][2] else None
        open_.append((indent, identifier, is_type))
        if identifier.startswith("__") and identifier.endswith("__"):
            continue
        for name in _forms(identifier, owner):
            if (key := key_of(name)) is not None and key not in KEYWORDS:
                yield Name(key, identifier if owner is None else f"{owner}.{identifier}", "definition", start, end)


def _forms(identifier: str, owner: str | None) -> Iterator[str]:
    yield identifier
    apart = taken_apart(identifier.strip("_"))
    if apart is not None:
        yield " ".join(part.text for part in apart.parts())
    if owner is not None:
        yield f"{owner}.{identifier}"


def _ends(places: list[tuple[int, int]], end: int) -> list[int]:
    """What a definition holds ends where the next one begins that is not indented deeper."""
    open_: list[int] = []
    ends = [end] * len(places)
    for number, (start, indent) in enumerate(places):
        while open_ and places[open_[-1]][1] >= indent:
            ends[open_.pop()] = start
        open_.append(number)
    return ends


def _blanked(match: re.Match[str]) -> str:
    """Blanks in the place of a string or comment, so that all places stay."""
    text = match[0]
    return " " * len(text) if "\n" not in text else _NEWLINE_OR_ANY.sub(lambda part: " " * len(part[0]), text)
