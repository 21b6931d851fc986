"""Names that cells use without importing them, and the import that brings each: `json`, `re`, `Counter`, `np`, …"""

from __future__ import annotations

from types import CodeType
from typing import Any

_MODULES = (
    *("array", "ast", "base64", "bisect", "calendar", "cmath", "collections", "copy", "csv", "dataclasses", "datetime"),
    *("decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "html", "inspect", "io", "itertools"),
    *(
        "json",
        "logging",
        "math",
        "numbers",
        "operator",
        "os",
        "pathlib",
        "pprint",
        "random",
        "re",
        "shlex",
        "statistics",
    ),
    *(
        "string",
        "struct",
        "sys",
        "textwrap",
        "threading",
        "time",
        "traceback",
        "types",
        "typing",
        "unicodedata",
        "uuid",
    ),
    *("zlib", "zoneinfo", "numpy", "pandas", "sympy", "scipy"),
)
_FROM = {
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"),
    "concurrent.futures": ("ThreadPoolExecutor", "as_completed"),
    "dataclasses": ("dataclass",),
    "datetime": ("timedelta",),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "pathlib": ("Path",),
    "typing": ("Any", "Dict", "List", "Literal", "NamedTuple", "Optional", "Tuple", "TypedDict", "Union"),
}

IMPORTS: dict[str, str] = {
    **{name: f"import {name}" for name in _MODULES},
    **{name: f"from {module} import {name}" for module, names in _FROM.items() for name in names},
    "concurrent": "import concurrent.futures",
    "urllib": "import urllib.parse",
    "xml": "import xml.etree.ElementTree",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
}
"""Name → the statement that brings it. No built-in is among the names, and nothing that cells often call a variable."""
_NAMES = frozenset(IMPORTS)


def supply(code: CodeType, space: dict[str, Any]) -> None:
    """Import what a cell uses and nobody has defined, as far as it is there.

    Args:
        code: of the cell, before it runs.
        space: its namespace.
    """
    if not _NAMES.isdisjoint(code.co_names):
        for name in _NAMES.intersection(code.co_names):
            if name not in space:
                try:
                    exec(IMPORTS[name], space)
                except ImportError:  # the cell gets its NameError
                    continue
    for constant in code.co_consts:
        if type(constant) is CodeType:
            supply(constant, space)
