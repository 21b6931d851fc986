"""The language in which a file is written, by its suffix."""

from __future__ import annotations

from langchain_text_splitters import Language

_BY_SUFFIX = {
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp", "cs": "csharp", "ex": "elixir",
    "exs": "elixir", "go": "go", "hs": "haskell", "htm": "html", "html": "html", "java": "java", "js": "js",
    "jsx": "js", "kt": "kotlin", "lua": "lua", "md": "markdown", "markdown": "markdown", "mjs": "js", "php": "php",
    "pl": "perl", "pm": "perl", "proto": "proto", "ps1": "powershell", "py": "python", "pyi": "python", "r": "r",
    "rb": "ruby", "rs": "rust", "rst": "rst", "scala": "scala", "sol": "sol", "swift": "swift", "tex": "latex",
    "ts": "ts", "tsx": "ts",
}  # fmt: skip
_KNOWN = frozenset(known.value for known in Language)  # not all, in every release of the splitter


def language_of(name: str) -> str | None:
    """The splitter's name for the language of a file, by its suffix; None for prose and unknown ones.

    Example:
        >>> language_of("src/app.py")
        'python'
    """
    language = _BY_SUFFIX.get(name.rpartition(".")[2].lower()) if "." in name.rpartition("/")[2] else None
    return language if language in _KNOWN else None
