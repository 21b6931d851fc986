"""Embeddings: their names, a check of what they give, and vectors from words and letters alone, which need no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langgraph_rlm.errors import EmbeddingsError
from langgraph_rlm.threads import in_thread

_BATCH = 512
"""Texts that are hashed at once: their letters, as 64 bits each, then take some megabytes."""
_SHOWN_CHARS = 60
"""Of a text that an error names."""
_U64 = np.uint64
_WORD_BASE = _U64(0x100000001B3)
_WEIGHT = {"word": 1.0, "bigram": 0.7, "trigram": 0.25}


class HashingEmbeddings(Embeddings):
    """Texts with common words, word pairs and letter triples lie close; meaning is not known to it (``lexical``).

    Needs no download and no network, and gives the same vectors in every process.

    Args:
        dimension: numbers per vector, of length 1.

    Example:
        >>> len(HashingEmbeddings().embed_query("a red apple"))
        512
    """

    lexical = True

    def __init__(self, dimension: int = 512) -> None:
        self.dimension = dimension
        self.name = f"hashing-{dimension}"

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of several texts."""
        return [row for at in range(0, len(texts), _BATCH) for row in self._embed(texts[at : at + _BATCH]).tolist()]

    def _embed(self, texts: list[str]) -> np.ndarray:
        """All texts at once, joined by blanks, so that numpy sees long arrays and no Python loop runs over words."""
        lowered = [text.lower() for text in texts]
        codes = np.frombuffer((" " + "  ".join(lowered) + " ").encode("utf-32-le", "replace"), np.uint32).astype(_U64)
        ends = np.cumsum([len(text) + 2 for text in lowered])
        rows = np.searchsorted(ends, np.arange(len(codes)), side="right")
        letter = _is_letter(codes)
        codes = np.where(letter, codes, _U64(32))

        sums = np.zeros((len(texts), self.dimension))
        edge = np.diff(letter.astype(np.int8), prepend=np.int8(0), append=np.int8(0))
        first, last = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
        words = _word_hashes(codes, first, last)
        word_rows = rows[first]
        self._count(sums, word_rows, _mixed(words), _WEIGHT["word"])
        pairs = word_rows[1:] == word_rows[:-1]
        self._count(sums, word_rows[1:][pairs], _mixed(words[:-1] * _U64(31) + words[1:])[pairs], _WEIGHT["bigram"])
        middle = letter[1:-1]
        triples = (codes[:-2] << _U64(42)) + (codes[1:-1] << _U64(21)) + codes[2:]
        self._count(sums, rows[1:-1][middle], _mixed(triples)[middle], _WEIGHT["trigram"])

        damped = np.sign(sums) * np.sqrt(np.abs(sums))
        lengths = np.linalg.norm(damped, axis=1, keepdims=True)
        damped[lengths[:, 0] == 0, 0] = 1.0  # a text without a word needs a direction too: stores refuse zeros
        return (damped / np.where(lengths == 0, 1.0, lengths)).astype(np.float32)

    def _count(self, sums: np.ndarray, rows: np.ndarray, hashes: np.ndarray, weight: float) -> None:
        cells = rows * self.dimension + (hashes % _U64(self.dimension)).astype(np.int64)
        signs = np.where(hashes >> _U64(63), -weight, weight)
        sums += np.bincount(cells, weights=signs, minlength=sums.size).reshape(sums.shape)


def describe(embeddings: Embeddings) -> tuple[str, bool]:
    """A name for embeddings that stays the same from run to run, and whether they are only lexical.

    Example:
        >>> describe(HashingEmbeddings())
        ('hashing-512', True)
    """
    lexical = getattr(embeddings, "lexical", False) is True
    if isinstance(embeddings, HashingEmbeddings):
        return embeddings.name, lexical
    for attribute in ("model", "model_name", "deployment", "name"):
        value = getattr(embeddings, attribute, None)
        if isinstance(value, str) and value:
            return f"{type(embeddings).__name__}:{value}", lexical
    return type(embeddings).__name__, lexical


def model_of(embeddings: Embeddings) -> str:
    """The name of the embeddings' model, as price lists have it."""
    return describe(embeddings)[0].rpartition(":")[2]


async def aembed_query(embeddings: Embeddings, text: str) -> list[float]:
    """The vector of a query by the embeddings' own coroutine; where they have none, in one of our threads.

    LangChain's fallback would take the app's default executor, which has six threads on two cores.
    """
    if getattr(type(embeddings), "aembed_query", None) is Embeddings.aembed_query:
        return await in_thread(embeddings.embed_query, text)
    return await embeddings.aembed_query(text)


def checked_vectors(vectors: Any, texts: Sequence[str], embeddings: Embeddings) -> list[list[float]]:
    """What embeddings gave for some texts, as plain numbers.

    Args:
        vectors: as they came.
        texts: what was embedded.
        embeddings: named in the error.

    Raises:
        EmbeddingsError: there is not one vector for each text, or one is empty, of another length than the first, or holds
            what is no finite number of 32 bits; the text is named.
    """
    name, _ = describe(embeddings)
    if isinstance(embeddings, HashingEmbeddings):  # they are ours: nothing to look for
        return list(vectors)
    given = len(vectors) if isinstance(vectors, Sequence | np.ndarray) and not isinstance(vectors, str) else None
    if given != len(texts):
        what = type(vectors).__name__ if given is None else f"{given} vectors"
        raise EmbeddingsError(
            f"the embeddings {name!r} gave {what} for {len(texts)} texts: see whether their server is well, and add again",
            embeddings=name,
        )
    if not texts:
        return []
    found = _as_numbers(vectors)
    if found is not None and found.ndim == 2 and found.shape[1] and np.isfinite(found).all():
        plain: list[list[float]] = found.tolist()
        return plain
    length = None
    for vector, text in zip(vectors, texts, strict=True):
        one = _as_numbers(vector)
        wrong = None
        if one is None or one.ndim != 1:
            wrong = f"{type(vector).__name__}, which is no vector,"
        elif not len(one):
            wrong = "an empty vector"
        elif not np.isfinite(one).all():
            wrong = "a vector with NaN, infinity or None in it"
        elif length is not None and len(one) != length:
            wrong = f"a vector of {len(one)} numbers after some of {length}"
        if wrong is not None:
            raise EmbeddingsError(
                f"the embeddings {name!r} gave {wrong} for the text that begins {text[:_SHOWN_CHARS]!r}: nothing of this "
                "batch was kept; see whether their server is well, and try again",
                embeddings=name,
                text=text,
            )
        length = len(vector)
    raise EmbeddingsError(f"the embeddings {name!r} gave no list of vectors", embeddings=name)


def _as_numbers(given: Any) -> np.ndarray | None:
    try:
        with np.errstate(over="ignore"):
            return np.asarray(given, np.float32)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_letter(codes: np.ndarray) -> np.ndarray:
    digit = (codes >= 48) & (codes <= 57)
    return digit | ((codes >= 97) & (codes <= 122)) | (codes == 95) | (codes >= 192)


def _word_hashes(codes: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Polynomial hashes of all words at once: differences of a running sum, shifted back by an inverse power."""
    powers = _powers(_WORD_BASE, len(codes))
    sums = np.concatenate((np.zeros(1, _U64), np.cumsum(codes * powers, dtype=_U64)))
    inverse = _U64(pow(int(_WORD_BASE), -1, 1 << 64))
    return (sums[last] - sums[first]) * _powers(inverse, len(codes))[first]


def _powers(base: np.uint64, count: int) -> np.ndarray:
    factors = np.full(max(count, 1), base, _U64)
    factors[0] = 1
    return np.cumprod(factors, dtype=_U64)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads hashes over all 64 bits (the finaliser of splitmix64)."""
    values = (values ^ (values >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> _U64(27))) * _U64(0x94D049BB133111EB)
    return values ^ (values >> _U64(31))
