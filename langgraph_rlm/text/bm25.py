"""BM25Index: ranked word search over chunks (tantivy), in a directory or in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import tantivy

from langgraph_rlm.errors import CorpusError, StoreUnavailable

_HEAP_BYTES = 64_000_000
_THREADS = 1  # the order of equal scores stays the order in which chunks were added
_MOST_TOKENS = 512
_STORED = ("chunk_id", "doc_id", "digest", "start", "end")
_LONGEST_TOKEN = 80  # bytes
_TOKENIZER = "words"
# Scripts without blanks between words are indexed character by character, all others word by word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = rf"[{_UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
_STOP_WORDS = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "did", "do", "does", "for", "from", "had",
        "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "of", "on", "or", "our", "s", "so", "such",
        "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "was", "we",
        "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
    }
)  # fmt: skip


class Chunk(NamedTuple):
    """What is indexed of a chunk."""

    chunk_id: str
    doc_id: str
    digest: str
    """Of the document's content when the chunk was cut from it."""
    start: int
    end: int
    text: str
    name: str = ""
    """What its document is called; these words find the chunk as if they stood in it."""


class Ranked(NamedTuple):
    """A chunk that was found, best first."""

    chunk_id: str
    doc_id: str
    digest: str
    start: int
    end: int
    score: float


class BM25Index:
    """Chunks, found by their words. Case is ignored, words are not stemmed.

    One process writes at a time; the lock is held from the first change until :meth:`commit` or :meth:`rollback`.
    Readers, in any process, see what was committed.

    Args:
        directory: made when it is missing; None keeps the index in memory.

    Raises:
        CorpusError: the directory holds something else.

    Example:
        >>> index = BM25Index()
        >>> index.add([Chunk("1", "a.txt", "", 0, 9, "red apple")])
        >>> index.commit()
        >>> [found.doc_id for found in index.search("Apple", 3)]
        ['a.txt']
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        self._directory = None if directory is None else Path(directory)
        self._schema = _schema()
        self._analyzer = _analyzer()
        self._writer: Any = None
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
        path = None if self._directory is None else str(self._directory)
        try:
            self._index = tantivy.Index(self._schema, path=path)
        except ValueError as error:
            raise CorpusError(
                f"{self._directory} holds no word index of this release ({error}): remove the directory and add again"
            ) from None
        self._index.register_tokenizer(_TOKENIZER, self._analyzer)
        self._index.config_reader("manual")  # `_refresh` looks itself: no thread watches the directory

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Add chunks; they are found after :meth:`commit`. Chunks added twice are found twice.

        Raises:
            StoreUnavailable: another process writes to this index.
        """
        with self._lock:
            writer = self._writing()
            for chunk in chunks:
                document = tantivy.Document()
                document.add_text("chunk_id", chunk.chunk_id)
                document.add_text("doc_id", chunk.doc_id)
                document.add_text("digest", chunk.digest)
                document.add_integer("start", chunk.start)
                document.add_integer("end", chunk.end)
                document.add_text("text", chunk.text)
                if chunk.name:
                    document.add_text("text", chunk.name)
                writer.add_document(document)

    def delete_document(self, doc_id: str) -> None:
        """Remove the chunks of a document that were added before this call.

        Raises:
            StoreUnavailable: another process writes to this index.
        """
        with self._lock:
            self._writing().delete_documents_by_term("doc_id", doc_id)

    def commit(self, *, release: bool = True) -> None:
        """Make all changes visible and durable.

        Args:
            release: let other processes write; False when more changes follow at once.
        """
        with self._lock:
            if self._writer is not None:
                self._writer.commit()
                if release:
                    self._release()
            self._index.reload()

    def rollback(self) -> None:
        """Drop the changes since the last commit and let other processes write."""
        with self._lock:
            if self._writer is not None:
                self._writer.rollback()
                self._release()

    def search(self, query: str, k: int, documents: Collection[str] | None = None) -> list[Ranked]:
        """The chunks that match the words of a query best.

        Every character of the query is plain text. Common English words count only when there is no other.

        Args:
            query: words.
            k: chunks wanted.
            documents: ids of the documents to look in; None for all.

        Returns:
            At most ``k`` chunks, by falling score; equal scores by document and place.
        """
        tokens = list(dict.fromkeys(self._analyzer.analyze(query)))
        tokens = ([token for token in tokens if token not in _STOP_WORDS] or tokens)[:_MOST_TOKENS]
        if not tokens or k < 1 or (documents is not None and not documents):
            return []
        words = [(tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", token)) for token in tokens]
        wanted = tantivy.Query.boolean_query(words)
        if documents is not None:
            within = tantivy.Query.term_set_query(self._schema, "doc_id", list(documents))
            only = tantivy.Query.const_score_query(within, 0.0)
            wanted = tantivy.Query.boolean_query([(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, only)])
        self._refresh()
        searcher = self._index.searcher()
        found = []
        for score, address in searcher.search(wanted, k, count=False).hits:
            fields = searcher.doc(address).to_dict()
            found.append(Ranked(**{name: fields[name][0] for name in _STORED}, score=score))
        return sorted(found, key=lambda ranked: (-ranked.score, ranked.doc_id, ranked.start))

    def count(self) -> int:
        """Chunks that are found, as of the last commit."""
        self._refresh()
        return int(self._index.searcher().num_docs)

    def close(self) -> None:
        """Drop what was not committed and release the index."""
        self.rollback()

    def _writing(self) -> Any:
        if self._writer is None:
            try:
                self._writer = self._index.writer(_HEAP_BYTES, _THREADS)
            except ValueError as error:
                if "lock" not in str(error).lower():
                    raise CorpusError(f"the word index in {self._directory} cannot be written: {error}") from None
                raise StoreUnavailable(
                    f"the word index in {self._directory} is being written by another process or object: wait until "
                    "it has finished, or close it"
                ) from None
        return self._writer

    def _release(self) -> None:
        writer, self._writer = self._writer, None
        writer.wait_merging_threads()

    def _refresh(self) -> None:
        """See commits of other processes: the file with the list of segments is replaced at each one."""
        if self._directory is None:
            return
        stat = (self._directory / "meta.json").stat()
        seen = (stat.st_ino, stat.st_mtime_ns)
        if seen != self._seen:
            self._index.reload()
            self._seen = seen


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    for name in ("chunk_id", "doc_id", "digest"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("start", "end"):
        builder.add_integer_field(name, stored=True)
    builder.add_text_field("text", stored=False, tokenizer_name=_TOKENIZER, index_option="freq")
    return builder.build()


def _analyzer() -> Any:
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_TOKEN))
    return words.filter(tantivy.Filter.remove_long(_LONGEST_TOKEN)).filter(tantivy.Filter.lowercase()).build()
