"""What the reader sees: the evidence in the prompt of classic RAG as it ships, counted by text, with documents cut as they are by default.

python benchmarks/reading.py                 2WikiMultihopQA, HotpotQA and MuSiQue; half a minute

``documents``: all gold documents are among the passages · ``text``: of each a sentence below its title is there · ``whole``: every
sentence of each. The sets name gold passages, not the sentences within them, so the truth lies between the last two. No language
model is used. The data is looked for where ``retrieval.py`` looks.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from _questions import QuestionSet, load
from _report import save
from _words_only import WordsOnly

from langgraph_rlm import Corpus, HashingEmbeddings
from langgraph_rlm.calls.models import DEFAULT_WINDOW, estimated_tokens
from langgraph_rlm.graphs.packing import packed, sentences_of
from langgraph_rlm.graphs.retrieving import Search, reading_for
from langgraph_rlm.types import Hit

SETS = ("2wiki", "hotpot_100", "musique_100")


class Read(NamedTuple):
    """Percent of the questions whose evidence is in the prompt, and the estimated tokens of its passages."""

    documents: float
    text: float
    whole: float
    tokens: float


def shipped(corpus: Corpus, question: str) -> list[Hit]:
    """As the RAG route retrieves without any option."""
    search = Search().settled(reading_for(corpus, question).mode)
    return corpus.retrieve(question, **{**asdict(search), "plan": False})


WAYS: dict[str, Callable[[Corpus, str], list[Hit]]] = {
    "hybrid, 8 passages": lambda corpus, question: corpus.retrieve(question, 8),
    "mode='auto', 8 passages": lambda corpus, question: corpus.retrieve(question, 8, "auto"),
    "RAG route as shipped": shipped,
    "hop, 20 passages": lambda corpus, question: corpus.retrieve(question, 20, "hop"),
}


def shown(hits: Sequence[Hit], text: str, doc_id: str) -> tuple[bool, bool, bool]:
    """Whether a document is among the passages, a sentence of it below its title, and all of them.

    Example:
        >>> hit = {"doc_id": "a", "text": "Title\\nOne here."}
        >>> shown([hit], "Title\\nOne here. Two there.", "a")  # type: ignore[list-item]
        (True, True, False)
    """
    read = " ".join(" ".join(hit["text"].split()) for hit in hits if hit["doc_id"] == doc_id)
    _, _, body = text.partition("\n")
    sentences = [said for start, end in sentences_of(body) if (said := " ".join(body[start:end].split()))]
    there = [said in read for said in sentences]
    return bool(read), any(there), all(there)


def measure(questions: QuestionSet) -> dict[str, Read]:
    """All ways on one set."""
    texts = {str(one.id): one.page_content for one in questions.documents}
    found: dict[str, Read] = {}
    with (
        tempfile.TemporaryDirectory() as directory,
        Corpus.open(WordsOnly(), HashingEmbeddings(), directory=directory) as corpus,
    ):
        corpus.add(questions.documents)
        for way, retrieve in WAYS.items():
            counts, tokens = [], []
            for asked in questions.questions:
                hits = packed(retrieve(corpus, asked.text), DEFAULT_WINDOW, asked.text)
                seen = [shown(hits, texts[doc_id], doc_id) for doc_id, _, _ in asked.gold]
                counts.append([all(column) for column in zip(*seen, strict=True)])
                tokens.append(sum(estimated_tokens(hit["text"]) for hit in hits))
            shares = (100 * statistics.fmean(column) for column in zip(*counts, strict=True))
            found[way] = Read(*shares, statistics.fmean(tokens))
    return found


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    rows = []
    print(f"{'set':<14}{'way':<26}{'documents':>11}{'text':>8}{'whole':>8}{'tokens':>9}")
    for name in SETS:
        for way, one in measure(load(name)).items():
            rows.append({"set": name, "way": way, **one._asdict()})
            print(
                f"{name:<14}{way:<26}{one.documents:>11.1f}{one.text:>8.1f}{one.whole:>8.1f}{one.tokens:>9.0f}",
                flush=True,
            )
    save("reading", rows)


if __name__ == "__main__":
    main()
