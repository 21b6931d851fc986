"""The texts of a corpus' documents: searched by patterns, read by span, listed and counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from langgraph_rlm.corpus.filters import Where, validate
from langgraph_rlm.corpus.finding.prefilter import required_literals
from langgraph_rlm.options import named_options
from langgraph_rlm.text.checks import check_span
from langgraph_rlm.text.plan import plan_of
from langgraph_rlm.text.search import Count, Hits, count_documents, grep_documents, search_documents
from langgraph_rlm.twins import async_twin


class Totals(NamedTuple):
    """How large a corpus is."""

    documents: int
    chunks: int
    """Of an attached corpus: records of its store."""
    chars: int


class Overview(NamedTuple):
    """What a corpus holds, as far as that is known at once."""

    documents: int | None
    """None where the store does not tell, or would have to be read for it."""
    chars: int | None
    """Of all documents together: counted, or, where ``documents`` is None, estimated from some of them."""
    some: list[str]
    """Ids of a few documents."""


def grouped(entries: Iterable[Mapping[str, Any]], field: str, limit: int | None = None) -> list[dict[str, Any]]:
    """Entries of documents by a field of their metadata, in the order of its values.

    Example:
        >>> pages = [{"doc_id": f"a#{n}", "chars": 5, "metadata": {"source": "a"}} for n in (1, 2)]
        >>> grouped(pages, "source")
        [{'source': 'a', 'documents': 2, 'doc_ids': ['a#1', 'a#2'], 'chars': 10}]
    """
    groups: dict[str, dict[str, Any]] = {}
    for entry in entries:
        value = entry["metadata"].get(field)
        if isinstance(value, str):
            one = groups.setdefault(value, {field: value, "documents": 0, "doc_ids": [], "chars": 0})
            one["documents"] += 1
            one["doc_ids"].append(entry["doc_id"])
            one["chars"] += entry["chars"]
    return [groups[value] for value in sorted(groups)][:limit]


class DocumentTexts(ABC):
    """What every corpus lets one do with the texts of its documents.

    ``len()`` is the number of documents; there may be none, and yet ``if corpus:`` asks only whether one was given.
    """

    keeps_texts: bool
    """Whether words, patterns and reading work without the vector store."""

    @property
    def collections(self) -> tuple[str, ...]:
        """Names of the corpora that this one joins, see :class:`langgraph_rlm.corpus.JoinedCorpus`; none of a single one."""
        return ()

    @property
    def lists_texts(self) -> bool:
        """Whether documents can be listed, counted and searched by words and patterns: not every retriever gives its texts."""
        return True

    # --- searching ------------------------------------------------------------------------------------------------

    @named_options
    def grep(
        self,
        pattern: str,
        *,
        where: Where | None = None,
        documents: Collection[str] | None = None,
        max_matches: int = 20,
        before: int = 0,
        after: int = 0,
        ignore_case: bool = False,
        deadline: float | None = 1.0,
    ) -> Hits:
        """Matches of a regular expression in the full texts, by document id; hits as in
        :func:`langgraph_rlm.text.search.grep_documents`.

        Args:
            pattern: the regular expression, in Python's syntax without lookaround and backreferences.
            where: a filter on the documents' metadata.
            documents: ids to look in; None for all.
            max_matches: the search stops here; whether there are more is still found out.
            before: further lines before each match.
            after: further lines after it.
            ignore_case: upper and lower case are the same.
            deadline: seconds after which the search stops; None for no end.

        Raises:
            PatternError: the pattern is refused.
            DocumentMissing: an id that is not in the corpus.
            InvalidFilter: ``where`` is not usable.
        """
        texts = self._texts(where, documents, self._literals(pattern, ignore_case))
        return grep_documents(
            texts,
            pattern,
            max_matches=max_matches,
            before=before,
            after=after,
            ignore_case=ignore_case,
            deadline=deadline,
        )

    agrep = async_twin(grep)

    @named_options
    def search(
        self,
        text: str,
        *,
        where: Where | None = None,
        documents: Collection[str] | None = None,
        max_matches: int = 20,
        before: int = 0,
        after: int = 0,
        ignore_case: bool = False,
        deadline: float | None = 1.0,
    ) -> Hits:
        """Places of a plain string in the full texts; otherwise as :meth:`grep`."""
        plain = isinstance(text, str) and bool(text.strip()) and not ignore_case
        return search_documents(
            self._texts(where, documents, [text] if plain else None),
            text,
            max_matches=max_matches,
            before=before,
            after=after,
            ignore_case=ignore_case,
            deadline=deadline,
        )

    asearch = async_twin(search)

    @named_options
    def count_matches(
        self,
        pattern: str,
        *,
        where: Where | None = None,
        documents: Collection[str] | None = None,
        ignore_case: bool = False,
        deadline: float | None = None,
    ) -> Count:
        """How many matches of a regular expression there are, and whether all was looked at; otherwise as :meth:`grep`."""
        texts = self._texts(where, documents, self._literals(pattern, ignore_case))
        return count_documents(texts, pattern, ignore_case=ignore_case, deadline=deadline)

    acount_matches = async_twin(count_matches)

    def _literals(self, pattern: str, ignore_case: bool) -> list[str] | None:
        """Strings of which each match holds one, for a store that looks texts up by them; PatternError first."""
        plan_of(pattern, ignore_case)
        return None if self.keeps_texts or ignore_case else required_literals(pattern)

    @abstractmethod
    def _texts(
        self, where: Where | None, documents: Collection[str] | None, literals: Sequence[str] | None
    ) -> Iterable[tuple[str, bytes]]:
        """Id and UTF-8 of the documents to search in; those without any of the literals may be left out.

        Raises:
            DocumentMissing: an id that is not in the corpus.
            InvalidFilter: ``where`` is not usable.
        """

    # --- reading it -----------------------------------------------------------------------------------------------

    def read(self, doc_id: str, start: int = 0, end: int | None = None, *, where: Where | None = None) -> str:
        """The text of a document between two character offsets; what lies beyond its end is left out.

        Args:
            doc_id: the document.
            start: the first character.
            end: the one behind the last; None for the end of the document.
            where: a filter that the document must pass. Of a source in an attached collection, chunks that do not pass it
                read as blanks.

        Raises:
            DocumentMissing: no such document; the message holds ids that look like it.
            InvalidInput: an offset that is no whole number from 0 on.
        """
        check_span(start, end)
        if where:
            validate(where)
        return self._text(doc_id, where)[start:end]

    aread = async_twin(read)

    @abstractmethod
    def _text(self, doc_id: str, where: Where | None = None) -> str:
        """The whole text of a document that passes a filter; DocumentMissing."""

    def check(self, where: Where | None) -> None:
        """Refuse a filter with which this corpus cannot be searched; nothing is asked or paid for it.

        Raises:
            InvalidFilter: it is not well formed, or the store below knows no filters and cannot give more to choose from.
        """
        if where is not None:
            validate(where)

    @abstractmethod
    def list_documents(
        self, where: Where | None = None, *, limit: int | None = None, group: str | None = None
    ) -> list[dict[str, Any]]:
        """``{"doc_id", "chars", "metadata"}`` of the documents that pass a filter, by id; the first ``limit`` of them.

        With ``group="source"``, one entry for each value of this field of the metadata instead: ``{"source", "documents",
        "doc_ids", "chars"}``, with the ids of its documents; documents without the field are left out.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """

    alist_documents = async_twin(list_documents)

    @abstractmethod
    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """Whether there is a document of this id that passes a filter; one look-up.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """

    aholds = async_twin(holds)

    @abstractmethod
    def totals(self) -> Totals:
        """Documents, chunks and characters at once."""

    atotals = async_twin(totals)

    def is_empty(self) -> bool:
        """Whether there is certainly no document; of a store that does not tell, False."""
        return self.count() == 0

    ais_empty = async_twin(is_empty)

    def overview(self, where: Where | None = None) -> Overview:
        """What is there that passes a filter, without reading a large store for it.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """
        if where:
            listed = self.list_documents(where)
            return Overview(len(listed), sum(one["chars"] for one in listed), [one["doc_id"] for one in listed[:3]])
        documents, _, chars = self.totals()
        return Overview(documents, chars, [one["doc_id"] for one in self.list_documents(limit=3)])

    aoverview = async_twin(overview)

    def count(self) -> int:
        """Documents. Matches of a pattern are counted by :meth:`count_matches`."""
        return self.totals().documents

    acount = async_twin(count)

    def chunk_count(self) -> int:
        """Chunks of all documents."""
        return self.totals().chunks

    achunk_count = async_twin(chunk_count)

    def total_chars(self) -> int:
        """Characters of all documents."""
        return self.totals().chars

    atotal_chars = async_twin(total_chars)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # `if corpus` asks whether one was given
