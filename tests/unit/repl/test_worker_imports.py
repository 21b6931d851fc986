"""`repl/worker` is what runs in the other process: the standard library and msgpack, and nothing of the host's."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

import langgraph_rlm.repl.worker

WORKER = Path(langgraph_rlm.repl.worker.__file__).parent
HOST = WORKER.parents[1]
FILES = sorted(WORKER.rglob("*.py"))
ALLOWED = sys.stdlib_module_names | {"msgpack"}
TAKEN_BY_THE_HOST = {
    # The files' places on the disk, and byte code that is cached for the worker's start; none of their functions.
    "langgraph_rlm.repl.worker": {"main"},
    "langgraph_rlm.repl.worker.jail": {"zygote"},
    # Numbers, names and sentences that both ends have to agree on.
    "langgraph_rlm.repl.worker.clock": {"MOST_TIMES"},
    "langgraph_rlm.repl.worker.lazy": {"CALL", "MOST_CHARS"},
    "langgraph_rlm.repl.worker.names": {
        "ANSWER_IS_NOT_READY",
        "CONTEXT_CHANGED",
        "EMPTY_ANSWER",
        "OVERWRITABLE",
        "RESERVED",
        "not_kept",
    },
    "langgraph_rlm.repl.worker.usual": {"IMPORTS"},
    "langgraph_rlm.repl.worker.wire": {"FAILED", "HITS"},
    # Helpers without state, for the REPLs that are no worker of ours: what they show must be the same.
    "langgraph_rlm.repl.worker.advice": {"advised"},
    "langgraph_rlm.repl.worker.output": {"Output", "clip"},
    "langgraph_rlm.repl.worker.values": {"submission"},
    "langgraph_rlm.repl.worker.context.views": {"pieces_of"},
    "langgraph_rlm.repl.worker.jail.seccomp": {"supported"},
}


def imports_of(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Level, module and names of each import statement of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def test_there_are_files() -> None:
    assert len(FILES) > 20 and {"jail", "context"} <= {path.parent.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(WORKER)))
def test_a_file_of_the_worker_imports_the_standard_library_msgpack_and_its_own_kind(path: Path) -> None:
    for level, module, _ in imports_of(path):
        if level:
            folder = path.parents[level - 1]
            assert folder == WORKER or WORKER in folder.parents, f"{'.' * level}{module} leaves the worker"
        else:
            assert module.partition(".")[0] in ALLOWED, module


@pytest.mark.parametrize("start", ["main", "jail.zygote"])
def test_a_started_worker_has_loaded_nothing_else(start: str) -> None:
    """As it is started: without site-packages, the folder under another name."""
    code = (
        "import sys\n"
        "for name in ('', '.jail', '.context'):\n"
        "    package = type(sys)('cellside' + name)\n"
        "    package.__path__ = [sys.argv[1] + name.replace('.', '/')]\n"
        "    sys.modules['cellside' + name] = package\n"
        "sys.path.append(sys.argv[2])\n"
        "import importlib\n"
        "importlib.import_module('cellside.' + sys.argv[3])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    packages = str(Path(msgpack.__file__).parents[1])
    shown = subprocess.run(
        [sys.executable, "-s", "-P", "-B", "-S", "-c", code, str(WORKER), packages, start],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout.split()  # fmt: skip
    loaded = {
        name for name in shown if not name.startswith(("_cython", "cython_runtime"))
    }  # what msgpack is written in
    assert loaded - sys.stdlib_module_names == {"__main__", "cellside", "msgpack"}


def test_the_host_takes_constants_and_helpers_only() -> None:
    taken: dict[str, set[str]] = {}
    for path in HOST.rglob("*.py"):
        if WORKER not in path.parents:
            for level, module, names in imports_of(path):
                assert not level or WORKER.parent not in path.parents, (
                    f"{path}: absolute imports only, beside the worker"
                )
                if module.startswith("langgraph_rlm.repl.worker"):
                    taken.setdefault(module, set()).update(names)
    assert taken == TAKEN_BY_THE_HOST
