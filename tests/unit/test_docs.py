"""What the documentation says can be held against the code: links, anchors, tables of limits and errors, names of files."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from langgraph_rlm import errors
from langgraph_rlm.limits import Limits, named
from langgraph_rlm.server.errors import status_of
from tests.unit.test_layering import FLOORS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def prose_of(page: Path) -> str:
    """Without blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows_of(page: str, heading: str) -> dict[str, list[str]]:
    """The cells of the table below a heading, by the name in the first one."""
    (text,) = re.findall(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {re.sub(r"`(\w+)`.*", r"\1", row[0]): row[1:] for row in rows}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_anchors_are_there(page: Path) -> None:
    for link in LINK.findall(prose_of(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_the_files_that_contributing_names_are_there() -> None:
    text = prose_of(ROOT / "CONTRIBUTING.md")
    table = text[text.index("| you look for |") : text.index("`import langgraph_rlm` loads")]
    names = re.findall(r"`([\w/]+(?:\.py|/))`", table)
    assert len(names) > 20
    missing = [n for n in names if not ((ROOT / "langgraph_rlm" / n).exists() or (ROOT / n).exists())]
    assert missing == []


def test_contributing_draws_every_floor() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    drawn = re.findall(r"^    (\w+(?:, \w+)*)", text[: text.index("| you look for |")], re.MULTILINE)
    floors = [{*line.split(", ")} for line in reversed(drawn)]
    assert floors[: len(FLOORS)] == FLOORS


def test_the_table_of_limits_is_that_of_the_code() -> None:
    rows = rows_of("errors-and-limits.md", "Limits")
    assert {name: row[0] for name, row in rows.items()} == {name: str(value) for name, value in named(Limits()).items()}
    for limit in fields(Limits):
        optional = "None" in str(limit.type)
        assert (rows[limit.name][3] == "yes") == optional, limit.name


def test_the_table_of_errors_is_the_tree() -> None:
    rows = rows_of("errors-and-limits.md", "Errors")
    tree = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.RLMError) and kind is not errors.RLMError
    }
    assert set(rows) == set(tree)
    for name, kind in tree.items():
        parents = [base.__name__ for base in kind.__bases__ if base is not errors.RLMError]
        assert rows[name][0].split(", ") == (parents or [""]), name
        assert rows[name][3] == str(status_of(kind("x"))), name
