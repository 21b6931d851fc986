"""BM25Index: ranked word search over chunks (tantivy), in a directory or in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import tantivy

from langgraph_rlm.errors import CorpusError, IndexMismatch, RLMError, StoreUnavailable, is_panic
from langgraph_rlm.text.analyzer import Analyzer, Asked
from langgraph_rlm.text.identifiers import Identifier
from langgraph_rlm.text.snippets import Snippet, snippet
from langgraph_rlm.text.words import Words, read_words, write_words

_HEAP_BYTES = 64_000_000
"""Of tantivy's writer, which asks for 15 MB at least; with more, segments are larger and no faster to make."""
_THREADS = 1  # the order of equal scores stays the order in which chunks were added
_STORED = ("chunk_id", "doc_id", "digest", "start", "end")
# A filter by so many documents is slow: the best of all are looked at before, so many for each that is wanted.
_MANY_DOCUMENTS = 1000
_LOOK_FOR_EACH = 20
_MOST_LOOKED_AT = 2000
_MOST_PER_WORD = 2.2  # times its idf is the most that BM25 gives a word: k1 + 1


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
    """Chunks, found by their words. The texts themselves are not kept.

    One process writes at a time; the lock is held from the first change until :meth:`commit` or :meth:`rollback`.
    Readers, in any process, see what was committed. A document is replaced by deleting it and adding its new chunks
    before one commit: readers see the old or the new one.

    Args:
        directory: made when it is missing; None keeps the index in memory.
        words: how texts are read, kept in the directory; None for what the index was made with, ``Words()`` for a new
            one. An index without chunks takes other ones.

    Raises:
        IndexMismatch: it was made with other ``words``; both are named.
        StoreUnavailable: an index without chunks was to take other ``words`` while another process writes to it.
        CorpusError: the directory holds something else.

    Example:
        >>> index = BM25Index()
        >>> index.add([Chunk("1", "a.txt", "", 0, 9, "red apple")])
        >>> index.commit()
        >>> [found.doc_id for found in index.search("Apple", 3)]
        ['a.txt']
    """

    def __init__(self, directory: str | Path | None = None, words: Words | None = None) -> None:
        self._directory = None if directory is None else Path(directory)
        self._writer: Any = None
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        if self._directory is None:
            self._open(words or Words())
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        meta = self._directory / "meta.json"
        if not meta.exists():
            write_words(self._directory, words or Words())
        made_with = read_words(self._directory)
        self._open(made_with)
        if words is None or words == made_with:
            return
        if self.count():
            raise IndexMismatch(
                f"the word index in {self._directory} was made with {made_with}, it was opened with {words}: leave words "
                "out to open it as it is, or index the documents again in another directory"
            )
        with self._lock:
            self._writing()
            meta.unlink()
            self._release()
        write_words(self._directory, words)
        self._open(words)

    @property
    def words(self) -> Words:
        """How texts are read."""
        return self._words

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Add chunks; they are found after :meth:`commit`. Chunks added twice are found twice.

        Raises:
            StoreUnavailable: another process writes to this index.
        """
        with self._lock, self._named_errors():
            writer = self._writing()
            named = lru_cache(maxsize=1)(self._analyzer.indexed)  # the chunks of a document come one after the other
            for chunk in chunks:
                document = tantivy.Document()
                document.add_text("chunk_id", chunk.chunk_id)
                document.add_text("doc_id", chunk.doc_id)
                document.add_text("digest", chunk.digest)
                document.add_integer("start", chunk.start)
                document.add_integer("end", chunk.end)
                document.add_text("text", self._analyzer.indexed(chunk.text))
                if chunk.name:
                    document.add_text("text", named(chunk.name))
                writer.add_document(document)

    def delete_document(self, doc_id: str) -> None:
        """Remove the chunks of a document that were added before this call.

        Raises:
            StoreUnavailable: another process writes to this index.
        """
        with self._lock, self._named_errors():
            self._writing().delete_documents_by_term("doc_id", doc_id)

    def commit(self, *, release: bool = True) -> None:
        """Make all changes visible and durable.

        Args:
            release: let other processes write; False when more changes follow at once.
        """
        with self._lock, self._named_errors():
            if self._writer is not None:
                self._writer.commit()
                if release:
                    self._release()
            self._index.reload()

    def rollback(self) -> None:
        """Drop the changes since the last commit and let other processes write."""
        with self._lock, self._named_errors():
            if self._writer is not None:
                try:
                    self._writer.rollback()
                finally:
                    self._release()

    def search(
        self, query: str, k: int, documents: Collection[str] | None = None, *, required: Collection[str] = ()
    ) -> list[Ranked]:
        """The chunks that match the words of a query best.

        Every character of the query is plain text. Stop words count only when there is no other word.

        Args:
            query: words.
            k: chunks wanted.
            documents: ids of the documents to look in; None for all.
            required: words that a chunk must hold, all of them.

        Returns:
            At most ``k`` chunks, by falling score; equal scores by document and place.

        Raises:
            CorpusError: its files are damaged.
        """
        asked = self._analyzer.asked(query)
        if not asked.weights or k < 1 or (documents is not None and not documents):
            return []
        with self._named_errors():
            return self._ranked(asked, k, documents, required)

    def _ranked(
        self, asked: Asked, k: int, documents: Collection[str] | None, required: Collection[str]
    ) -> list[Ranked]:
        self._refresh()
        searcher = self._index.searcher()
        best: dict[tuple[int, int], tuple[float, Any]] = {}
        must = [self._term(token) for word in required for token in self._analyzer.tokens(word)]
        for wanted in self._queries(asked, searcher):
            if must:
                wanted = tantivy.Query.boolean_query([(tantivy.Occur.Must, one) for one in (*must, wanted)])
            for score, address in self._hits(wanted, k, documents, searcher):
                best.setdefault((address.segment_ord, address.doc), (score, address))
        hits = sorted(best.values(), key=lambda hit: -hit[0])[:k]
        found = (Ranked(**_stored(address, searcher), score=score) for score, address in hits)
        return sorted(found, key=lambda ranked: (-ranked.score, ranked.doc_id, ranked.start))

    def holding(self, words: Iterable[str]) -> dict[str, int]:
        """How many chunks hold each word, as of the last commit; deleted ones may still count."""
        with self._named_errors():
            self._refresh()
            searcher = self._index.searcher()
            tokens = {word: self._analyzer.tokens(word)[:1] for word in words}
            return {word: int(searcher.doc_freq("text", found[0])) if found else 0 for word, found in tokens.items()}

    def snippet(self, text: str, query: str, chars: int = 200) -> Snippet:
        """The piece of a text that shows best why a query found it, and where the words stand that were asked for.

        Args:
            text: a chunk's text, or any other.
            query: the query.
            chars: most characters of the piece; it begins and ends between words.

        Returns:
            Its ``start``, ``end``, ``text`` and the words' ``spans``, all counted in characters of ``text``. The
            beginning without spans when no word is there.

        Raises:
            InvalidInput: ``chars`` is no whole number from 1 on.

        Example:
            >>> BM25Index().snippet("Anna ate the red apple yesterday.", "apples? apple!", chars=14)
            Snippet(start=13, end=22, text='red apple', spans=[(17, 22)])
        """
        return snippet(self._analyzer, text, query, chars)

    def count(self) -> int:
        """Chunks that are found, as of the last commit."""
        with self._named_errors():
            self._refresh()
            return int(self._index.searcher().num_docs)

    def close(self) -> None:
        """Drop what was not committed and release the index."""
        self.rollback()

    def _open(self, words: Words) -> None:
        self._words = words
        self._analyzer = Analyzer(words)
        # An index whose options got lost has another tokenizer by name, and is refused.
        tokenizer = "words" if words == Words() else str(words)
        self._schema = _schema(tokenizer)
        with self._named_errors():
            self._index = tantivy.Index(self._schema, path=None if self._directory is None else str(self._directory))
        self._index.register_tokenizer(tokenizer, self._analyzer.engine)
        self._index.config_reader("manual")  # `_refresh` looks itself: no thread watches the directory

    def _hits(self, wanted: Any, k: int, documents: Collection[str] | None, searcher: Any) -> list[tuple[float, Any]]:
        """The best places with their scores, within the documents where some are given."""
        if documents is not None:
            if len(documents) >= _MANY_DOCUMENTS:
                depth, among = min(_LOOK_FOR_EACH * k, _MOST_LOOKED_AT), frozenset(documents)
                best = searcher.search(wanted, depth, count=False).hits
                there = list(islice((hit for hit in best if _stored(hit[1], searcher)["doc_id"] in among), k))
                if len(there) == k or len(best) < depth:
                    return there
            within = tantivy.Query.term_set_query(self._schema, "doc_id", list(documents))
            only = tantivy.Query.const_score_query(within, 0.0)
            wanted = tantivy.Query.boolean_query([(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, only)])
        return list(searcher.search(wanted, k, count=False).hits)

    def _queries(self, asked: Asked, searcher: Any) -> Iterator[Any]:
        """What to ask the engine: chunks with whole identifiers first, then all, which then have no higher score.

        In one query the bonus would keep the engine from passing over chunks that cannot be among the best.
        """
        plain = _any(self._term(token, weight) for token, weight in asked.weights.items())
        bonuses = [found for name in asked.names for found in self._bonuses(name, asked, searcher)]
        if bonuses:
            wholes = [self._term(token) for token, _ in bonuses]
            more = [tantivy.Query.const_score_query(self._term(token), bonus) for token, bonus in bonuses]
            yield tantivy.Query.boolean_query(
                [(tantivy.Occur.Must, _any(wholes)), (tantivy.Occur.Should, plain), (tantivy.Occur.Should, _any(more))]
            )
        yield plain

    def _term(self, token: str, weight: float = 1.0) -> Any:
        term = tantivy.Query.term_query(self._schema, "text", token)
        return term if weight == 1.0 else tantivy.Query.boost_query(term, weight)

    def _bonuses(self, name: Identifier, asked: Asked, searcher: Any) -> list[tuple[str, float]]:
        """For an identifier and each within it, as much as a chunk can get by all that it is made of.

        So a chunk with the whole comes before those with its parts, however often they stand there.
        """
        inner = [bonus for one in name.inner for bonus in self._bonuses(one, asked, searcher)]
        token = self._analyzer.token_of(name)
        if not name.inner or token is None:
            return inner
        words = {word for part in (name, *name.parts()) for word in self._analyzer.tokens(part.text)}
        beneath = sum(asked.weights.get(word, 0.0) * _most(word, searcher) for word in words)
        beneath += sum(bonus + _most(whole, searcher) for whole, bonus in inner)
        return [(token, beneath), *inner]

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

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """What tantivy raises over files that are not as it left them; some of its checks are panics."""
        try:
            yield
        except (RLMError, UnicodeError):
            raise
        except BaseException as error:
            if not isinstance(error, ValueError | OSError) and not is_panic(error):
                raise
            raise CorpusError(
                f"{self._directory or 'memory'} holds no word index of this release, or a damaged one ({error}): remove the "
                "directory, and the next add makes it again"
            ) from error

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


def _any(queries: Iterable[Any]) -> Any:
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def _stored(address: Any, searcher: Any) -> dict[str, Any]:
    first = searcher.doc(address).get_first
    return {name: first(name) for name in _STORED}


def _schema(tokenizer: str) -> Any:
    builder = tantivy.SchemaBuilder()
    for name in ("chunk_id", "doc_id", "digest"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("start", "end"):
        builder.add_integer_field(name, stored=True)
    builder.add_text_field("text", stored=False, tokenizer_name=tokenizer, index_option="freq")
    return builder.build()


def _most(token: str, searcher: Any) -> float:
    """The most that BM25 can give for a word. One more, because it counts deleted chunks too until they are merged."""
    there, total = searcher.doc_freq("text", token), searcher.num_docs
    return _MOST_PER_WORD * (1 + math.log1p(max(0.0, total - there + 0.5) / (there + 0.5)))
