"""The MCP server on the other version of the SDK than the one that is installed: its tests, in an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHER = "mcp<2" if int(version("mcp").partition(".")[0]) >= 2 else "mcp>=2"


@pytest.mark.slow
def test_the_server_and_its_clients_work_on_the_other_version_of_the_sdk(tmp_path: Path) -> None:
    installed = subprocess.run(
        [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--target", str(tmp_path), OTHER],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if installed.returncode:
        pytest.skip(f"{OTHER} cannot be installed here: {installed.stderr.strip()[-200:]}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/test_mcp.py"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:]
