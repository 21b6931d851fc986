"""Vectors of texts: paid once per text, asked for again when the provider says that it is too much at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from langgraph_rlm.corpus.embeddings import checked_vectors
from langgraph_rlm.sqlite import Database

BATCH = 256
"""Texts of one request, well below the 2,048 that OpenAI takes; each batch is kept as soon as it is answered."""
ATTEMPTS = 8
"""With waits that double from one second, the last of 60, some two minutes in all: rate limits count by the minute."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a batch is asked for again."""
LEAST_KEPT = 20_000
"""Vectors: at 1,536 dimensions some 120 MB on disk, so that small corpora may be filled anew without paying again."""

_TABLE = "CREATE TABLE IF NOT EXISTS vectors (digest BLOB PRIMARY KEY, vector BLOB NOT NULL)"
_AT_ONCE = 500
"""Parameters of one statement: SQLite takes 999 everywhere."""


class VectorCache:
    """Vectors by the digest of their text, in SQLite. One writer at a time: the corpus holds its lock.

    Args:
        path: the database file.
        embeddings: their name: other embeddings give other vectors.
    """

    def __init__(self, path: Path, embeddings: str) -> None:
        self._name = embeddings
        way_out = "remove the file, and the vectors of new and changed texts are paid for once more"
        self._database = Database(path, "cache of vectors", way_out, synchronous="NORMAL")
        with self._database.transaction() as connection:
            connection.execute(_TABLE)

    def get(self, texts: Sequence[str], dimension: int | None = None) -> dict[str, list[float]]:
        """The vectors that are known, by text. Those of another dimension, and what is no vector, are not believed."""
        by_digest = {self._digest(text): text for text in texts}
        digests = list(by_digest)
        found: dict[str, list[float]] = {}
        for at in range(0, len(digests), _AT_ONCE):
            some = digests[at : at + _AT_ONCE]
            query = f"SELECT digest, vector FROM vectors WHERE digest IN ({','.join('?' * len(some))})"
            for digest, vector in self._database.read(query, *some):
                numbers = np.frombuffer(vector, np.float32)
                if len(numbers) == (dimension or len(numbers) or 1) and np.isfinite(numbers).all():
                    found[by_digest[digest]] = numbers.tolist()
        return found

    def put(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
        """Keep these."""
        rows = [
            (self._digest(text), np.asarray(vector, np.float32).tobytes())
            for text, vector in zip(texts, vectors, strict=True)
        ]
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def drop(self, texts: Iterable[str]) -> None:
        """Forget the vectors of these."""
        with self._database.transaction() as connection:
            rows = [(self._digest(text),) for text in texts]
            connection.executemany("DELETE FROM vectors WHERE digest = ?", rows)

    def shrink(self, chunks: int) -> None:
        """Keep the newest, twice as many as there are chunks."""
        keep = max(LEAST_KEPT, 2 * chunks)
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM vectors WHERE rowid <= (SELECT max(rowid) FROM vectors) - ? AND rowid NOT IN "
                "(SELECT rowid FROM vectors ORDER BY rowid DESC LIMIT ?)",
                (keep, keep),
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._name}\x00{text}".encode()).digest()[:20]


def embed(
    texts: Sequence[str], embeddings: Embeddings, cache: VectorCache | None, dimension: int | None = None
) -> list[list[float]]:
    """The vectors of texts, in their order; equal texts and known ones are not sent.

    Args:
        texts: the texts.
        embeddings: make the vectors; what they raise is raised, but a rate limit is waited for first.
        cache: vectors that are known; None for embeddings that cost nothing.
        dimension: numbers per vector, where the corpus knows it: cached vectors of another length are not believed.

    Raises:
        EmbeddingsError: what came is no vector for each text; nothing of that reply is kept.
    """
    if cache is None:
        return checked_vectors(embeddings.embed_documents(list(texts)), texts, embeddings) if texts else []
    known = cache.get(texts, dimension)
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    for at in range(0, len(missing), BATCH):
        batch = missing[at : at + BATCH]
        vectors = checked_vectors(_patiently(embeddings, batch), batch, embeddings)
        cache.put(batch, vectors)
        known.update(zip(batch, vectors, strict=True))
    return [known[text] for text in texts]


def is_rate_limit(error: BaseException) -> bool:
    """Whether a provider says that it was asked too often: status 429, wherever its client keeps that."""
    response = getattr(error, "response", None)
    status = (getattr(error, "status_code", None), getattr(response, "status_code", None), getattr(error, "code", None))
    return isinstance(error, Exception) and (429 in status or "RateLimit" in type(error).__name__)


def _patiently(embeddings: Embeddings, texts: list[str]) -> list[list[float]]:
    retrying = Retrying(
        retry=retry_if_exception(is_rate_limit),
        wait=wait_exponential_jitter(initial=FIRST_WAIT, max=LONGEST_WAIT, jitter=FIRST_WAIT),
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    return retrying(embeddings.embed_documents, texts)
