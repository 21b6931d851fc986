"""The router on public questions: labels, evidence that each route finds, what it costs, and how long deciding takes.

python benchmarks/routing.py                              all of it; some minutes
python benchmarks/routing.py --parts labels               questions alone
python benchmarks/routing.py --parts speed --chunks 20000

No language model is used. The data is looked for as in ``retrieval.py``; a set that is not there is left out and the reason
printed. Published kinds of routers are trained in an environment of their own: ``ROUTING_PYTHON=/path/to/python`` of one that
has scikit-learn. Beside the JSON a drawing of both curves is written.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from _questions import DATA, folder
from _report import RESULTS, save
from _routing_data import EvidenceSet, evidence_sets, labelled, together
from _routing_labels import curve as label_curve
from _routing_labels import qualities
from _routing_labels import show as show_labels
from _routing_plot import Line, Panel, draw
from _routing_regret import RATIO, outcomes, trials
from _routing_regret import curve as regret_curve
from _routing_regret import show as show_outcomes
from _words_only import WordsOnly
from langchain_core.documents import Document
from words import CHUNKS_EACH, texts

from langgraph_rlm import Corpus, HashingEmbeddings, SmartRouter
from langgraph_rlm.errors import DataMissing
from langgraph_rlm.graphs.signals import signals_of

PARTS = ["labels", "evidence", "speed"]
K = 8
CHUNKS = 100_000
ASKED = (
    "What is the default timeout of urlopen?",
    "How many times does `retry` occur in all modules?",
    "Which class does the parser of the module that reads zip archives derive from?",
    "Compare the error handling of http.client and urllib.request across all modules.",
    "Who calls the function that returns the encoding of a file, and why does each of them need it?",
)
REPEATS = 40
DOCUMENTS_AT_ONCE = 1_000
QUESTION_MS, CORPUS_MS = 2.0, 30.0


def labels() -> tuple[list[dict[str, Any]], list[Panel]]:
    """Routers on labelled questions."""
    try:
        rows = labelled(folder())
    except DataMissing as error:
        print(f"labels: skipped, {error} ({DATA} names the folder; now {folder()})")
        return [], []
    found = qualities(rows)
    show_labels(found)
    shown = Line("as the threshold moves", label_curve(rows))
    panel = Panel(
        "Labels, mean of four groups", "simple questions sent to recursion, %", "complex ones sent there, %", 0, [shown]
    )
    return [one._asdict() for one in found], [panel]


def evidence(k: int) -> tuple[list[dict[str, Any]], list[Panel]]:
    """Routes on questions with known evidence."""
    sets: list[EvidenceSet] = []
    for name, load in evidence_sets(folder()).items():
        try:
            sets.append(load())
        except DataMissing as error:
            print(f"{name}: skipped, {error} ({DATA} names the folder; now {folder()})")
    if not sets:
        return [], []
    asked = [trial for one in sets for trial in trials(one, k)]
    found = outcomes(asked)
    show_outcomes(found, asked)
    mixed = trials(together(sets), k)
    in_one = outcomes(mixed)
    show_outcomes(in_one, mixed)
    by_name = {one.policy: one for one in found}
    rag, rlm, auto = (by_name[name] for name in ("always RAG", "always RLM", "auto"))
    lines = [
        Line("by question and corpus", regret_curve(asked, [one.score for one in asked])),
        Line("by the question alone", regret_curve(asked, [one.plain for one in asked])),
        Line("by chance", [(one.cost[RATIO], one.of_always_rlm) for one in (rag, rlm)]),
        Line("as shipped", [(auto.cost[RATIO], auto.of_always_rlm)]),
    ]
    panel = Panel(
        f"Evidence complete, one RLM run = {RATIO} RAG answers",
        "cost, % of always-RLM",
        "complete, % of always-RLM",
        80,
        lines,
    )
    rows = [
        {"corpora": where, **one._asdict()}
        for where, group in (("one each", found), ("one for all", in_one))
        for one in group
    ]
    return rows, [panel]


def speed(chunks: int) -> list[dict[str, Any]]:
    """How long a decision takes, with and without a corpus."""
    rows = [_timed("signs of the question", [lambda q=q: signals_of(q) for q in ASKED], QUESTION_MS)]  # type: ignore[misc]
    router = SmartRouter()
    rows.append(_timed("decide without a corpus", [lambda q=q: router.decide(q) for q in ASKED], QUESTION_MS))  # type: ignore[misc]
    with (
        tempfile.TemporaryDirectory(prefix="routing-") as directory,
        Corpus.open(WordsOnly(), HashingEmbeddings(), directory=directory) as corpus,
    ):
        pieces, size = texts(), 0
        made = 0
        while size < chunks:
            documents = [_document(pieces, made + at) for at in range(DOCUMENTS_AT_ONCE)]
            corpus.add(documents)
            made += len(documents)
            size = corpus.chunk_count()
        looking = SmartRouter(corpus=corpus)
        what = f"decide with a corpus of {corpus.chunk_count():,} chunks"
        rows.append(_timed(what, [lambda q=q: looking.decide(q) for q in ASKED], CORPUS_MS))  # type: ignore[misc]
    print("\nMilliseconds, median and slowest twentieth")
    for row in rows:
        reached = "yes" if row["median_ms"] <= row["target_ms"] else "no"
        print(f"{row['what']:<46}{row['median_ms']:>8.2f}{row['p95_ms']:>8.2f}   ≤ {row['target_ms']:g}: {reached}")
    return rows


def _document(pieces: Sequence[str], number: int) -> Document:
    text = "".join(pieces[(number * CHUNKS_EACH + at) % len(pieces)] for at in range(CHUNKS_EACH))
    return Document(f"part {number}\n{text}", id=f"d{number}")


def _timed(what: str, works: Sequence[Callable[[], object]], target: float) -> dict[str, Any]:
    times = []
    for turn in range(REPEATS + 2):
        for work in works:
            started = time.perf_counter()
            work()
            if turn >= 2:
                times.append((time.perf_counter() - started) * 1e3)
    p95 = statistics.quantiles(times, n=20)[-1]
    return {"what": what, "median_ms": statistics.median(times), "p95_ms": p95, "target_ms": target}


def main() -> None:
    """Measure, print, draw, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments.add_argument("--k", type=int, default=K, help="passages of classic RAG")
    arguments.add_argument("--chunks", type=int, default=CHUNKS)
    given = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    panels: list[Panel] = []
    for part, work in (("labels", labels), ("evidence", lambda: evidence(given.k))):
        if part in given.parts:
            found, drawn = work()
            rows += found
            panels += drawn
    if "speed" in given.parts:
        rows += speed(given.chunks)
    if panels:
        draw(panels, RESULTS / "routing.svg")
    if rows:
        save("routing", rows)


if __name__ == "__main__":
    main()
