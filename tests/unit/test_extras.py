"""The README's table of extras is that of pyproject.toml, and every requirement of an extra has a lower bound."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def in_all() -> set[str]:
    (line,) = EXTRAS["all"]
    return Requirement(line).extras


def table() -> dict[str, bool]:
    """Each extra of the README's table, and whether ``all`` is said to hold it."""
    section = re.search(
        r"^## Extras\n(.*?)^## ",
        (ROOT / "README.md").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert section is not None
    rows = [line.strip("|").split("|") for line in section[1].splitlines() if line.startswith("| `")]
    return {name: row[-1].strip().startswith("yes") for row in rows for name in re.findall(r"`([\w-]+)`", row[0])}


def test_the_readme_names_every_extra_and_what_is_in_all() -> None:
    assert table() == {name: name in in_all() for name in EXTRAS if name != "all"}


def test_every_requirement_has_a_lower_bound() -> None:
    lines = [line for name, lines in EXTRAS.items() if name != "all" for line in lines]
    lines = [line for line in lines if not line.startswith("langgraph-rlm[")]
    assert [line for line in lines if not any(one.operator == ">=" for one in Requirement(line).specifier)] == []


def test_extras_that_bring_much_are_not_in_all() -> None:
    """`all` stays quick to install; these bring SDKs of other providers, or servers."""
    assert in_all() & {"deepagents", "langserve", "server"} == set()
