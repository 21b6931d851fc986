"""The floors of the house: an import never points upwards, and heavy packages are loaded only when they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"types", "errors", "prices", "limits", "budget", "threads", "options", "twins", "fanout", "sqlite"},
    {"text"},
    {"corpus", "repl"},
    {"runs"},
    {"calls"},
    {"graphs"},
    {"evaluation"},
    {"server"},
]
TOP = len(FLOORS)  # cli, tools, middleware, offline, testing, integrations, and what they keep to themselves
SEPARATE = {"corpus", "repl"}  # on one floor, and yet they do not know each other
VECTOR_CLIENTS = {"chromadb", "qdrant_client", "pinecone"}
HEAVY = VECTOR_CLIENTS | {"langchain", "langchain_openai"}
BASE_CLASS_IN_LANGCHAIN = "langgraph_rlm.middleware"  # a class statement needs its base at once


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


def imports(name: str) -> list[Import]:
    path = MODULES[name]
    return list(imports_of(name, path.read_text("utf-8"), path.name == "__init__.py"))


@pytest.mark.parametrize("name", [name for name in MODULES if name != "langgraph_rlm"])
def test_imports_never_point_upwards(name: str) -> None:
    inside = [found for found in imports(name) if found.target.split(".")[0] == "langgraph_rlm"]
    upwards = [found for found in inside if floor_of(found.target) > floor_of(name)]
    across = [found for found in inside if {part_of(name), part_of(found.target)} == SEPARATE]
    assert [f"{MODULES[name]}:{found.line} imports {found.target}" for found in upwards + across] == []


def circles(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of nodes that reach each other."""
    reached = {name: set(targets) for name, targets in arrows.items()}
    for between in arrows:
        for name in arrows:
            if between in reached[name]:
                reached[name] |= reached[between]
    found: list[set[str]] = []
    for name, targets in reached.items():
        circle = {name} | {other for other in targets if name in reached.get(other, ())}
        if name in targets and circle not in found:
            found.append(circle)
    return found


def modules_by_module() -> dict[str, set[str]]:
    """What each module imports of the package, lazy imports included."""
    return {name: {found.target for found in imports(name) if found.target in MODULES} - {name} for name in MODULES}


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {"langgraph_rlm.text.ripgrep", "langgraph_rlm.text.stored"}
    assert [circle for circle in circles(modules_by_module()) if circle != known] == []


def test_the_folders_of_corpus_import_each_other_in_no_circle() -> None:
    """Each may import what lies flat in corpus/."""

    def folder(name: str) -> str:
        parts = name.removeprefix("langgraph_rlm.corpus").split(".")[1:]
        return parts[0] if len(parts) > 1 else ""

    arrows: dict[str, set[str]] = {}
    for name, targets in modules_by_module().items():
        if part_of(name) == "corpus" and folder(name):
            inside = {folder(target) for target in targets if part_of(target) == "corpus"}
            arrows.setdefault(folder(name), set()).update(inside - {"", folder(name)})
    assert sorted(arrows) == ["files", "finding", "ingest", "names", "planning"]
    assert circles(arrows) == []


def test_what_lies_flat_in_corpus_and_is_used_by_its_folders_imports_none_of_them() -> None:
    graph = {name: targets for name, targets in modules_by_module().items() if part_of(name) == "corpus"}
    flat = {name for name in graph if name.count(".") == 2 and MODULES[name].name != "__init__.py"}
    used = {target for name, targets in graph.items() if name not in flat for target in targets & flat}
    used -= graph["langgraph_rlm.corpus"]  # the face of the package
    up = {(name, target) for name in used for target in graph[name] if target in graph and target not in flat}
    assert up == set()


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


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
    [["langgraph_rlm"], [name for name in MODULES if name != BASE_CLASS_IN_LANGCHAIN]],
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
