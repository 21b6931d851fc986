"""The wheel: everything is in it, and it works away from the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "langgraph_rlm", "integrations")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run to the end; what it printed on stdout. Its stderr is shown when it fails."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that nothing is left in the repository; no package index is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, copy = ROOT / name, folder / "source" / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(source, copy)
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", folder / "source")
    run(sys.executable, *build, cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


def expected_files() -> set[str]:
    """Where each source file belongs in the wheel."""
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "langgraph_rlm").rglob("*.py")}
    mapped = {f"langgraph_rlm/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "integrations").rglob("*.py")}
    return package | mapped | {"langgraph_rlm/py.typed"}


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected_files()


def test_the_wheel_names_its_licence_command_and_indexes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {name.split(".dist-info/")[1]: name for name in archive.namelist() if ".dist-info/" in name}
        entry_points = archive.read(info["entry_points.txt"]).decode()
        metadata = archive.read(info["METADATA"]).decode()
    assert "licenses/LICENSE" in info
    assert "langgraph-rlm = langgraph_rlm.cli:main" in entry_points
    assert "[langgraph_rlm.indexes]" in entry_points
    assert "License-Expression: MIT" in metadata
    assert "Provides-Extra: chroma" in metadata


def test_every_module_of_the_installed_wheel_can_be_imported_elsewhere(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip"] if find_spec("pip") else ["uv", "pip"]  # environments of uv have no pip
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel, cwd=tmp_path)
    modules = sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in expected_files())
    modules.remove("langgraph_rlm.py.typed")
    code = (
        "import importlib, pathlib, sys\n"
        f"target = pathlib.Path({str(target)!r})\n"
        f"for name in {modules!r}:\n"
        "    file = importlib.import_module(name).__file__\n"
        "    assert pathlib.Path(file).is_relative_to(target), f'{name} came from {file}'\n"
        "print('all')\n"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(target)).strip() == "all"
