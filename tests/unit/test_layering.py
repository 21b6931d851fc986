"""The floors of the house: an import points neither upwards nor in a circle, and heavy packages are loaded only when used."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = [
    {
        "types",
        "errors",
        "prices",
        "limits",
        "budget",
        "shared_budget",
        "threads",
        "options",
        "twins",
        "fanout",
        "sqlite",
    }
    | {"waiters", "redaction", "shortening"},
    {"text"},
    {"corpus", "repl"},
    {"runs"},
    {"calls"},
    {"graphs"},
    {"tools"},
    {"middleware"},
    {"specs"},
    {"evaluation"},
    {"server"},
]
TOP = len(FLOORS)  # cli, offline, testing, integrations, and what they keep to themselves
SEPARATE = {"corpus", "repl"}  # on one floor, and yet they do not know each other
VECTOR_CLIENTS = {"chromadb", "qdrant_client", "pinecone"}
HEAVY = VECTOR_CLIENTS | {"langchain", "langchain_openai"}
BASE_CLASS_IN_LANGCHAIN = "langgraph_rlm.middleware.rlm_middleware"  # a class statement needs its base at once
WITH_BASE_CLASS = ("langgraph_rlm.middleware", "langgraph_rlm.integrations.deepagents")


class Import(NamedTuple):
    """One import statement: what it names, where, and whether it runs when the module is imported."""

    target: str
    line: int
    eager: bool


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, the integrations from their own folder."""
    found: dict[str, Path] = {}
    for folder, package in (
        (ROOT / "langgraph_rlm", "langgraph_rlm"),
        (ROOT / "integrations", "langgraph_rlm.integrations"),
    ):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def part_of(name: str) -> str:
    """The part of the house that a module belongs to: ``langgraph_rlm.text.lines`` → ``text``."""
    return name.removeprefix("langgraph_rlm").removeprefix(".").split(".")[0]


def floor_of(name: str) -> int:
    """0 for the lowest; the package's own face and every unnamed part are on top."""
    return next((number for number, parts in enumerate(FLOORS) if part_of(name) in parts), TOP)


def imports_of(name: str, source: str, is_package: bool) -> Iterator[Import]:
    package = name if is_package else name.rpartition(".")[0]

    def walk(node: ast.AST, eager: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, eager) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                base = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    yield Import(whole if whole in MODULES else base, child.lineno, eager)
            else:
                lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, eager and not lazy and not for_types)

    yield from walk(ast.parse(source), True)


@functools.cache
def imports(name: str) -> list[Import]:
    path = MODULES[name]
    return list(imports_of(name, path.read_text("utf-8"), path.name == "__init__.py"))


@pytest.mark.parametrize("name", [name for name in MODULES if name != "langgraph_rlm"])
def test_imports_never_point_upwards(name: str) -> None:
    inside = [found for found in imports(name) if found.target.split(".")[0] == "langgraph_rlm"]
    upwards = [found for found in inside if floor_of(found.target) > floor_of(name)]
    across = [found for found in inside if {part_of(name), part_of(found.target)} == SEPARATE]
    assert [f"{MODULES[name]}:{found.line} imports {found.target}" for found in upwards + across] == []


def arrows(package: str) -> dict[str, set[str]]:
    """Who imports whom inside a package, its sub-packages taken as one each; lazy imports and those for types count."""
    inside = f"{package}."

    def part(name: str) -> str | None:
        """The module or sub-package right below the package; the package itself for its ``__init__``."""
        if name.startswith(inside):
            return inside + name.removeprefix(inside).split(".")[0]
        return name if name == package else None

    found: dict[str, set[str]] = {}
    for name in MODULES:
        if (source := part(name)) is not None:
            targets = {part(one.target) for one in imports(name) if one.target in MODULES}
            found.setdefault(source, set()).update(target for target in targets if target not in (None, source))
    return found


def circles(arrows: Mapping[str, Iterable[str]]) -> list[frozenset[str]]:
    """All groups of two or more of which each reaches each other."""

    def reached(start: str) -> set[str]:
        seen, ahead = set[str](), [start]
        while ahead:
            new = set(arrows.get(ahead.pop(), ())) - seen
            seen |= new
            ahead += new
        return seen

    reach = {name: reached(name) for name in arrows}
    groups = {frozenset(other for other in reach[name] if name in reach.get(other, ())) for name in arrows}
    return sorted((group for group in groups if len(group) > 1), key=sorted)


def circles_of_the_house() -> list[frozenset[str]]:
    """Among modules, and among the parts of each package. The package's own face imports all by name, when asked."""
    single = {name: {found.target for found in imports(name)} - {name} for name in MODULES if name != "langgraph_rlm"}
    packages = [name for name, path in MODULES.items() if path.name == "__init__.py" and name != "langgraph_rlm"]
    return list(dict.fromkeys(circle for graph in [single, *map(arrows, packages)] for circle in circles(graph)))


def test_no_imports_go_in_a_circle() -> None:
    assert [sorted(circle) for circle in circles_of_the_house()] == []


def test_every_circle_is_found() -> None:
    graph = {"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": ["e"], "e": ["d"], "f": ["a"], "g": []}
    assert circles(graph) == [frozenset("bc"), frozenset("de")]
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"]}) == [frozenset("abc")]
    assert circles({"a": ["b", "outside"], "b": ["outside"]}) == []


def test_what_lies_flat_in_corpus_and_is_used_by_its_folders_imports_none_of_them() -> None:
    corpus = [name for name in MODULES if part_of(name) == "corpus"]
    graph = {name: {found.target for found in imports(name) if found.target in MODULES} - {name} for name in corpus}
    flat = {name for name in graph if name.count(".") == 2 and MODULES[name].name != "__init__.py"}
    used = {target for name, targets in graph.items() if name not in flat for target in targets & flat}
    used -= graph["langgraph_rlm.corpus"]  # the face of the package
    up = {(name, target) for name in used for target in graph[name] if target in graph and target not in flat}
    assert up == set()


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_not_imported_with_a_module(name: str) -> None:
    allowed = {"langchain"} if name == BASE_CLASS_IN_LANGCHAIN else set()
    eager = [found for found in imports(name) if found.eager and found.target.split(".")[0] in HEAVY - allowed]
    assert [f"{MODULES[name]}:{found.line} imports {found.target}" for found in eager] == []


@pytest.mark.parametrize("name", [name for name in MODULES if part_of(name) != "integrations"])
def test_vector_clients_are_known_to_the_integrations_alone(name: str) -> None:
    known = [found for found in imports(name) if found.target.split(".")[0] in VECTOR_CLIENTS]
    assert [f"{MODULES[name]}:{found.line} imports {found.target}" for found in known] == []


@pytest.mark.parametrize(
    "modules",
    [["langgraph_rlm"], [name for name in MODULES if not name.startswith(WITH_BASE_CLASS)]],
    ids=["package", "all"],
)
def test_importing_loads_no_heavy_package(modules: list[str]) -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("langgraph_rlm.text.store", "from langgraph_rlm.corpus import Corpus", ("langgraph_rlm.corpus", True)),
        ("langgraph_rlm.text.store", "from ..limits import Limits", ("langgraph_rlm.limits", True)),
        ("langgraph_rlm.text.store", "from .. import limits", ("langgraph_rlm.limits", True)),
        ("langgraph_rlm.text.store", "from langgraph_rlm import Corpus", ("langgraph_rlm", True)),
        ("langgraph_rlm.text.store", "def f():\n    import chromadb.api", ("chromadb.api", False)),
        ("langgraph_rlm.text.store", "if TYPE_CHECKING:\n    import langchain", ("langchain", False)),
        ("langgraph_rlm.text.store", "try:\n    import pinecone\nexcept ImportError: pass", ("pinecone", True)),
        ("langgraph_rlm.text.store", "class A:\n    import pinecone", ("pinecone", True)),
    ],
)
def test_every_form_of_import_is_seen(name: str, source: str, found: tuple[str, bool]) -> None:
    assert [(seen.target, seen.eager) for seen in imports_of(name, source, is_package=False)] == [found]
