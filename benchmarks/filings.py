"""How many of the numbers of an answer over quarterly reports are among the pages that are read, by how these are chosen.

``flat`` the best pages of all reports · ``planned`` the best of each part of the question's plan, within its scope · ``map`` the
twelve best pages of each report in that scope, as a recursive run reads them with a sub-model for each. ``flat`` and ``planned``
also with as many pages as ``map`` took for the same question. By words, no model; chunks of 3,000 characters stand for pages.
The data is looked for where ``retrieval.py`` looks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1]))

from _questions import QuestionSet, Span, load
from _report import save
from langchain_core.documents import Document

from langgraph_rlm import Corpus
from langgraph_rlm.corpus.planning.scope import all_of
from langgraph_rlm.types import Hit

SETS = ("sec10q_chunk", "sec10q_chunks", "sec10q_docs")
PAGES, PAGES_EACH = 20, 12
WAYS = ("flat, 20 pages", "planned, 20 pages", "map", "flat, pages of map", "planned, pages of map")


def mapped(corpus: Corpus, question: str) -> list[Hit]:
    """The best pages of each report in the scope of each part of the question."""
    found: dict[Span, Hit] = {}
    for part in corpus.plan(question).parts:
        for one in corpus.list_documents(part.where):
            scope = all_of(part.where, {"report": one["doc_id"]})
            for hit in corpus.retrieve(part.query, PAGES_EACH, "bm25", scope):
                found.setdefault((hit["doc_id"], hit["start"], hit["end"]), hit)
    return list(found.values())


def chosen(corpus: Corpus, question: str) -> dict[str, list[Hit]]:
    """The pages by each way."""
    read = mapped(corpus, question)
    most = min(1_000, max(1, len(read)))
    return dict(
        zip(
            WAYS,
            (
                corpus.retrieve(question, PAGES, "bm25"),
                corpus.retrieve(question, PAGES, "bm25", plan=True),
                read,
                corpus.retrieve(question, most, "bm25"),
                corpus.retrieve(question, most, "bm25", plan=True),
            ),
            strict=True,
        )
    )


def measure(questions: QuestionSet) -> dict[str, tuple[float, float]]:
    """Percent of the numbers that were found, and pages read, as means over the questions."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    pages: dict[str, list[int]] = {way: [] for way in WAYS}
    documents = [
        Document(one.page_content, id=one.id, metadata={**one.metadata, "report": one.id})
        for one in questions.documents
    ]
    with (
        tempfile.TemporaryDirectory() as directory,
        Corpus.open(
            f"chroma:{directory}/index", chunk_size=questions.chunk_size, chunk_overlap=questions.chunk_overlap
        ) as corpus,
    ):
        corpus.add(documents)
        for asked in questions.questions:
            for way, hits in chosen(corpus, asked.text).items():
                places = [(hit["doc_id"], hit["start"], hit["end"]) for hit in hits]
                found[way].append(100 * questions.metrics[0].measure(places, asked.gold))
                pages[way].append(len(places))
    return {way: (fmean(found[way]), fmean(pages[way])) for way in WAYS}


def main(names: Sequence[str] = SETS) -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    rows = []
    for name in names:
        questions = load(name)
        measured = measure(questions)
        flat, _ = measured[WAYS[0]]
        for way, (found, pages) in measured.items():
            rows.append(
                {
                    "set": questions.name,
                    "questions": len(questions.questions),
                    "way": way,
                    "found": found,
                    "pages": pages,
                }
            )
            ratio = f"{found / flat:.1f} × flat, 20 pages" if flat else ""
            print(
                f"{questions.name:<18} n={len(questions.questions):<4} {way:<24}{found:>7.1f} %{pages:>8.1f} pages   {ratio}",
                flush=True,
            )
    save("filings", rows)


if __name__ == "__main__":
    main()
