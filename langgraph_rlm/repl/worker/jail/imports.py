"""What cells can import: modules that were loaded before the lock-down, because no file can be read after it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import tzinfo
from types import ModuleType
from typing import Any, NoReturn

STANDARD = (
    *("abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "bisect", "builtins", "bz2", "calendar"),
    *(
        "cmath",
        "codecs",
        "collections",
        "collections.abc",
        "colorsys",
        "concurrent.futures",
        "configparser",
        "contextlib",
    ),
    *("contextvars", "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal", "difflib", "dis", "email"),
    *("email.message", "email.parser", "email.policy", "email.utils", "enum", "errno", "fnmatch", "fractions"),
    *("functools", "gc", "getpass", "gettext", "glob", "graphlib", "gzip", "hashlib", "heapq", "hmac", "html"),
    *(
        "html.entities",
        "html.parser",
        "importlib",
        "importlib.metadata",
        "importlib.resources",
        "importlib.util",
        "inspect",
        "io",
        "ipaddress",
        "itertools",
    ),
    *("json", "keyword", "linecache", "locale", "logging", "lzma", "marshal", "math", "mimetypes", "mmap"),
    *("numbers", "operator", "os", "os.path", "pathlib", "pickle", "pkgutil", "platform", "posixpath", "pprint"),
    *("queue", "quopri", "random", "re", "reprlib", "resource", "secrets", "select", "selectors", "shlex"),
    *("shutil", "signal", "socket", "sqlite3", "stat", "statistics", "string", "stringprep", "struct"),
    *(
        "subprocess",
        "symtable",
        "sys",
        "sysconfig",
        "tarfile",
        "tempfile",
        "textwrap",
        "threading",
        "time",
        "timeit",
        "token",
        "tokenize",
    ),
    *(
        "tomllib",
        "traceback",
        "types",
        "typing",
        "unicodedata",
        "unittest",
        "urllib.parse",
        "urllib.request",
        "uuid",
        "warnings",
    ),
    *("weakref", "xml.etree.ElementTree", "xml.sax.saxutils", "zipfile", "zlib", "zoneinfo"),
)
"""The modules of the standard library that cells may import by default."""

_BEHIND = (
    *("_strptime", "concurrent.futures.thread", "xml.etree.ElementPath"),
    *("asyncio.runners", "asyncio.taskgroups", "asyncio.timeouts", "encodings.idna", "encodings.punycode"),
    *("encodings.aliases", "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "encodings.utf_8_sig"),
    *("encodings.utf_16", "encodings.utf_16_le", "encodings.utf_16_be", "encodings.utf_32", "encodings.utf_7"),
    *(f"encodings.cp{number}" for number in (437, 850, 866, 932, 936, 949, 950, *range(1250, 1259))),
    *(f"encodings.iso8859_{number}" for number in (1, 2, 5, 6, 7, 8, 9, 13, 15)),
    *("encodings.koi8_r", "encodings.koi8_u", "encodings.mac_roman", "encodings.gb2312", "encodings.gb18030"),
    *("encodings.unicode_escape", "encodings.raw_unicode_escape", "encodings.rot_13", "encodings.hex_codec"),
    *("encodings.base64_codec", "encodings.zlib_codec", "encodings.bz2_codec", "encodings.quopri_codec"),
    *("encodings.gbk", "encodings.big5", "encodings.shift_jis", "encodings.euc_jp", "encodings.euc_kr"),
)
"""What those import only when they are used."""


_ZONES = (
    *("UTC", "Europe/London", "Europe/Paris", "Europe/Berlin", "Europe/Madrid", "Europe/Rome", "Europe/Amsterdam"),
    *("Europe/Zurich", "Europe/Moscow", "Europe/Istanbul", "America/New_York", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "America/Toronto", "America/Sao_Paulo", "US/Eastern", "US/Pacific", "Asia/Tokyo"),
    *("Asia/Shanghai", "Asia/Hong_Kong", "Asia/Singapore", "Asia/Kolkata", "Asia/Dubai", "Australia/Sydney"),
    *("Africa/Johannesburg", "Africa/Lagos", "Pacific/Auckland"),
)
"""Time zones that cells can use, where the system has a database of them; others would have to be read."""


_NOT_FOR_CELLS = frozenset(
    (
        "__main__",
        "_precompute",
        "_pyinstaller",
        "benchmarks",
        "conftest",
        "distutils",
        "examples",
        "f2py",
        "setup",
        "tests",
    )
)
"""Submodules that build, test or document a package; some take long, some end the process that imports them."""


class Closed:
    """A finder that finds nothing, and says why."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> NoReturn:
        """Refuse the import of a module that is not loaded.

        Raises:
            ModuleNotFoundError: always.
        """
        raise ModuleNotFoundError(
            f"No module named {name!r} here: cells can import the usual modules of the standard library and what the "
            "host has loaded for them beforehand; opening files is not permitted, so do without it",
            name=name,
        )

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


def load(modules: Iterable[str], paths: Sequence[str]) -> list[str]:
    """Import what cells may import.

    Args:
        modules: names beside the standard ones. Of a package, and of the packages that it brings along, the submodules
            are loaded as well: many import theirs only when they are used (``np.random``, the printing of a frame).
        paths: where to look for them beside the standard library.

    Returns:
        One line for each of ``modules`` that could not be imported.
    """
    for name in (*STANDARD, *_BEHIND):
        try:
            __import__(name)
        except ImportError:  # an interpreter may have been built without it
            continue
    kept, before = list(sys.path), set(sys.modules)
    sys.path += paths
    missing = []
    with _in_silence():
        for name in modules:
            try:
                __import__(name)
            except Exception as error:  # noqa: BLE001 - a module may fail in any way; the host is told
                missing.append(f"{name}: {type(error).__name__}: {error}")
        if not missing:
            brought = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
            for name in sorted({*modules, *brought}):
                _load_submodules(name)
    sys.path[:] = kept
    return missing


def _load_submodules(package: str) -> None:
    """Import all submodules of a package that can be imported here; many need what is not installed."""
    from pkgutil import iter_modules

    waiting = [package]
    while waiting:
        module = sys.modules.get(waiting.pop())
        for found in iter_modules(getattr(module, "__path__", ()), f"{getattr(module, '__name__', '')}."):
            leaf = found.name.rpartition(".")[2]
            if leaf in _NOT_FOR_CELLS or leaf.startswith("test_") or leaf.endswith("_doc"):
                continue
            try:
                __import__(found.name)
            except BaseException:  # noqa: BLE001 - some even end their process; what was named is there
                continue
            if found.ispkg:
                waiting.append(found.name)


@contextmanager
def _in_silence() -> Iterator[None]:
    """Without what modules print and warn of: nobody reads the pipe before it is full."""
    import warnings
    from io import StringIO

    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield


def zones() -> list[tzinfo]:
    """The time zones that cells can use; ``zoneinfo`` finds them as long as somebody holds them."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    found: list[tzinfo] = []
    for name in _ZONES:
        with suppress(ZoneInfoNotFoundError):
            found.append(ZoneInfo(name))
    return found


def close(hidden: Iterable[str]) -> None:
    """From now on only loaded modules can be imported.

    Args:
        hidden: names of top-level packages of our own, which cells have no part in.
    """
    gone = set(hidden)
    for name in list(sys.modules):
        if name.partition(".")[0] in gone:
            del sys.modules[name]
    sys.executable, sys.orig_argv = "", [""]  # paths of the host, and its pid
    vars(sys)["_base_executable"] = ""
    finders: list[Any] = [Closed()]
    sys.meta_path[:] = finders
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.path.clear()
