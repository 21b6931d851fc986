"""LangChain's own suites on every tool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langgraph_rlm import ContextStore, create_rlm_tools
from langgraph_rlm.repl import Shell
from langgraph_rlm.tools.toolkit import _NEEDS
from tests.support import by_role, cell, make_corpus, scripted

EXAMPLES: dict[str, dict[str, Any]] = {
    "materialize_context": {"field_name": "documents", "filename": "docs.txt"},
    "local_grep": {"pattern": "leave", "file": "*.md", "max_matches": 5},
    "local_search": {"pattern": "leave is"},
    "count": {"pattern": r"\bweeks\b"},
    "read_context": {"doc_id": "leave.md", "start": 0, "end": 10},
    "list_documents": {},
    "bm25_search": {"query": "parental leave"},
    "vector_retrieve": {"query": "parental leave", "k": 2},
    "hybrid_search": {"query": ["parental leave", "trains"]},
    "hop_search": {"query": "parental leave", "hops": 2},
    "planned_search": {"question": "How long is the leave of each team?"},
    "plan_queries": {"question": "How long is the leave of each team?"},
    "query_lm": {"prompt": "Which number? 16"},
    "ask_rlm": {"question": "How long is parental leave?", "file": "leave.md"},
    "codex_exec": {"command": "echo hello"},
}


def test_every_tool_has_an_example() -> None:
    assert list(EXAMPLES) == list(_NEEDS)


@pytest.mark.parametrize("example", EXAMPLES, scope="class")
class OnEveryTool:
    """One class for all tools."""

    name: str

    @pytest.fixture(autouse=True)
    def _made(self, example: str, tmp_path: Path) -> Iterator[None]:
        self.name = example
        corpus = make_corpus(
            tmp_path,
            {"leave.md": "Parental leave is 16 weeks.\n", "travel.md": "Trains first; flights need approval.\n"},
        )
        model = scripted(
            by_role(
                root=lambda prompt, number: cell("FINAL('16 weeks')"), sub="16", reader="16 weeks [1]", grader="yes"
            )
        )
        shell = Shell() if example == "codex_exec" else None
        (self.made,) = create_rlm_tools(
            model=model, corpus=corpus, contexts=ContextStore(), shell=shell, include=[example],
            limits={"max_cost_usd": None},
        )  # fmt: skip
        yield
        corpus.close()

    @pytest.fixture
    def tool(self) -> Any:
        return self.made

    @property
    def tool_constructor(self) -> Any:
        return self.made

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return EXAMPLES[self.name]


class TestUnit(OnEveryTool, ToolsUnitTests):
    """What a definition must have."""


class TestIntegration(OnEveryTool, ToolsIntegrationTests):
    """What a call must give."""
