"""The whole way over real files: documents in, question in, cells, an answer that another program agrees with."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langgraph_rlm import Corpus, create_smart_rag
from langgraph_rlm.graphs.rlm import create_rlm
from tests.support import Ask, cell, scripted

FOLDER = Path(asyncio.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Corpus.open(f"chroma:{tmp_path_factory.mktemp('asyncio') / 'index'}") as made:
        made.add(Document(path.read_text(), id=f"asyncio/{path.name}") for path in FILES)
        yield made


def classes_by_ast() -> int:
    """Classes of asyncio whose bases are exactly ``Exception``."""
    return sum(
        isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Exception" for b in node.bases)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
    )


PROBE = cell(
    "hits = grep(r'^[ \\t]*class \\w+\\(.*\\bException\\b.*\\):', in_='corpus', max_matches=1000)",
    "print(len(hits), hits.complete)",
)
COUNT = cell(
    "import ast",
    "found = []",
    "for doc_id in sorted({hit['doc_id'] for hit in hits}):",
    "    for node in ast.walk(ast.parse(read(doc_id))):",
    "        if isinstance(node, ast.ClassDef) and 'Exception' in [ast.unparse(b) for b in node.bases]:",
    "            found.append((doc_id, node.name))",
    "for hit in hits:",
    "    if any(hit['doc_id'] == doc_id and f'class {name}(' in hit['text'] for doc_id, name in found):",
    "        cite(hit)",
    "FINAL(len(found))",
)


@pytest.mark.parametrize("way", ["rlm", "smart_rag"])
async def test_a_scripted_root_counts_the_classes_that_ast_counts(way: str, corpus: Corpus, ask: Ask) -> None:
    model = scripted([PROBE, COUNT])
    graph: Any = create_rlm(model, corpus=corpus, sandbox="unsafe")
    if way == "smart_rag":
        graph = create_smart_rag(model, corpus=corpus, rlm=graph)
    done = await ask(graph, {"question": "How many classes in all files of asyncio derive directly from Exception?"})
    wanted = classes_by_ast()
    assert wanted > 1
    assert done["answer"] == str(wanted)
    assert len(done["citations"]) == wanted
    for cited in done["citations"]:
        text = (FOLDER / Path(cited["doc_id"]).name).read_text()
        assert text[cited["start"] : cited["end"]] == cited["quote"]
        assert cited["verified"]
        assert text.splitlines()[cited["line"] - 1].lstrip().startswith("class ")
