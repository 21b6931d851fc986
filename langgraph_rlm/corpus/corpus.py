"""Corpus: documents that were indexed once and are searched by words, by vectors and by patterns, and read by span."""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.filters import Where, validate
from langgraph_rlm.corpus.finding.modes import Mode, chosen
from langgraph_rlm.corpus.finding.query import Query
from langgraph_rlm.corpus.finding.refining import Reranker
from langgraph_rlm.corpus.ingest.given import Documents, pulled
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.corpus.opening import Opening
from langgraph_rlm.corpus.planning.metadata import MetadataLookup
from langgraph_rlm.corpus.planning.plans import Plan, check_plan
from langgraph_rlm.corpus.planning.plans import plan as planned
from langgraph_rlm.corpus.retriever import CorpusRetriever
from langgraph_rlm.corpus.texts import DocumentTexts
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.options import named_options
from langgraph_rlm.text.analyzer import Analyzer
from langgraph_rlm.text.snippets import Snippet, snippet
from langgraph_rlm.text.words import Words
from langgraph_rlm.threads import in_thread
from langgraph_rlm.twins import async_class_twin, async_twin, twin_of
from langgraph_rlm.types import Hit


class Corpus(DocumentTexts):
    """An indexed collection of documents. Made by :meth:`open`; safe to share between threads.

    :class:`~langgraph_rlm.corpus.own.OwnCorpus` fills its store itself and has a directory; it holds the full texts, the word
    index and a manifest, while the vector store holds vectors and chunks. Any number of processes may read while none writes.
    :class:`~langgraph_rlm.corpus.attached.AttachedCorpus` reads what somebody else has put into a store. Every blocking
    method has a coroutine of the same parameters, with an ``a`` in front of its name.

    Args:
        words: how texts are read, for snippets.
        metadata: what is known of the documents' metadata, for plans.
    """

    keeps_names: bool
    """Whether ``mode="hop"`` follows names from document to document."""

    def __init__(self, words: Words, metadata: MetadataLookup) -> None:
        self._analyzer = Analyzer(words)
        self._metadata = metadata

    @classmethod
    @named_options
    def open(
        cls,
        spec: str | Any,
        embeddings: Embeddings | None = None,
        *,
        directory: str | Path | None = None,
        tenant: str | None = None,
        ttl: float | None = None,
        reranker: Reranker | None = None,
        create: bool = True,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        words: Words | None = None,
        group_by: str | None = "source",
    ) -> Corpus:
        """Open a corpus, or make one. The vector store's client is imported when vectors are first needed.

        Args:
            spec: ``"chroma:PATH"`` or ``"qdrant:PATH"``, where ``PATH`` is the corpus' own directory; a server's
                ``"chroma://host:port/collection"``, ``"qdrant://…"``, ``"qdrant+grpc://…"``,
                ``"pinecone://index/namespace"``; a ``VectorIndex``; or any LangChain ``VectorStore`` or ``BaseRetriever``.
            embeddings: the ones it was or will be made with; None for :class:`HashingEmbeddings`, which know words
                and letters only.
            directory: the corpus' own directory when the store is elsewhere. Without one, what somebody else has put
                into a server is searched and read, but nothing can be added.
            tenant: whose documents these are: a corpus that was opened for one tenant reads and writes no other's,
                whatever filter it is given.
            ttl: seconds after which a document that was added, and not added again, is gone.
            reranker: ranks hits once more: a LangChain ``BaseDocumentCompressor``, or a function from the query and
                texts to scores.
            create: make the directory when it is missing.
            chunk_size: most characters that a chunk adds to the one before; 800 for a new corpus.
            chunk_overlap: most characters that it repeats of the one before; 200 for a new corpus.
            words: how ``bm25`` reads texts: their language, other forms of words, identifiers of code. None for
                what the corpus was made with, :class:`langgraph_rlm.corpus.Words` ``()`` for a new one.
            group_by: chunks in somebody else's store with the same value in this field of their metadata are one document,
                with that value as its id; None: each is one of its own.

        Raises:
            InvalidInput: the spec or a size is not usable.
            UnknownOption: an option that does not exist.
            IndexMismatch: it was made with other embeddings, other chunk sizes, other words or in another format.
            CorpusError: nothing is there and ``create`` is False, or the directory holds something else.

        Example:
            >>> from langchain_core.documents import Document
            >>> with Corpus.open("chroma:./index") as corpus:
            ...     corpus.add([Document("Parental leave is 16 weeks.", id="leave.md")]).new
            1
        """
        sizes = (chunk_size, chunk_overlap)
        asked = Opening.checked(spec, embeddings, directory, tenant, ttl, reranker, create, *sizes, words, group_by)
        kinds = cls.__subclasses__() if inspect.isabstract(cls) else [cls]
        for kind in kinds:
            if (opened := kind._opened(asked)) is not None:
                return opened
        raise InvalidInput(f"{cls.__name__}.open: {spec!r} is opened by another kind of corpus: use Corpus.open")

    aopen = async_class_twin(open)

    @classmethod
    def _opened(cls, asked: Opening) -> Corpus | None:
        """The corpus asked for; None where another kind serves it."""
        return None

    @abstractmethod
    def add(
        self,
        documents: Documents,
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool | Literal["source"] = False,
        ttl: float | None = None,
    ) -> AddReport:
        """Add documents, and replace those whose text or metadata changed; an unchanged one costs a look-up.

        A document without ``id`` gets one of its source and place: ``report.pdf#page=3``. May be killed anywhere: the next ``add`` finishes the rest.

        Args:
            documents: one, several or an iterator, each with an ``id`` or ``metadata["source"]``; paths; a LangChain loader,
                read lazily; for ``aadd`` an async iterator too. See :mod:`langgraph_rlm.corpus.plain` for their metadata;
                a document with what has no plain form is left out, and told.
            on_progress: called after each batch of about 1000 chunks.
            prune: remove all documents that are not among the given ones; ``"source"``: those of the same sources.
            ttl: seconds after which these documents are gone, unless they are added again; the corpus' own when left
                out.

        Raises:
            InvalidInput: a document without a usable id, two of one id, or a loader that failed in the middle.
            IndexMismatch: the embeddings give vectors of another length.
            StoreUnavailable: another process changes the corpus, or the store does not answer.
        """

    @twin_of(add)
    async def aadd(self, documents: Documents, *given: Any, **options: Any) -> AddReport:
        """Reads an async iterator item by item on this loop."""
        return await in_thread(self.add, pulled(documents, asyncio.get_running_loop()), *given, **options)

    @abstractmethod
    def delete(self, doc_ids: Iterable[str] = (), *, where: Where | None = None) -> int:
        """Remove documents by id, or all that pass a filter; unknown ids do no harm. Returns how many were removed.

        Raises:
            StoreUnavailable: another process changes the corpus, or the store does not answer.
        """

    adelete = async_twin(delete)

    @abstractmethod
    def purge(self) -> int:
        """Remove documents whose time is over from all stores; reading leaves them out before that. Returns how many."""

    apurge = async_twin(purge)

    @abstractmethod
    def forget(self) -> int:
        """Remove all documents, and the corpus' directory with them; it is closed then. Returns how many there were."""

    aforget = async_twin(forget)

    # --- finding things -------------------------------------------------------------------------------------------

    @named_options
    def retrieve(
        self,
        query: str | Sequence[str],
        k: int = 8,
        mode: Mode = "hybrid",
        where: Where | None = None,
        *,
        neighbours: int = 0,
        diversity: float = 0.0,
        plan: bool | Plan = False,
        hops: int = 1,
    ) -> list[Hit]:
        """The chunks that answer a query best.

        Args:
            query: words or a question; several (at most 100) are asked side by side, and their lists fused by rank.
            k: most hits, 1 to 1000.
            mode: ``bm25`` by words, ``vector`` by embeddings, ``hybrid`` both, fused by rank. Embeddings that are
                only lexical have no say in ``hybrid`` and are then not called. ``hop`` starts from what ``hybrid`` finds
                and from what the question names, and follows the names in these texts to the documents that they
                stand for; each hit's ``metadata["rlm_path"]`` tells how it was reached. Where no document has a name it
                finds what ``hybrid`` finds, and the hits' ``source`` says so. ``auto`` is ``hop`` for a question that names something and
                asks about something beyond it or about two things, and for any about code; else ``hybrid``, or ``bm25`` where
                there are no vectors of meaning.
            where: a filter on the documents' metadata, see :mod:`langgraph_rlm.corpus.filters`.
            neighbours: so many chunks before and after each hit come with it, as one text.
            diversity: 0 to 1: how much a hit that resembles those before it gives way to others (MMR).
            plan: ask what :meth:`plan` makes of the question instead, or this plan, each part of it within ``where``.
                Where that finds fewer than ``k``, the question itself finds the rest.
            hops: links that ``hop`` follows one after the other, 1 to 3.

        Returns:
            Hits, best first. ``score`` is the reranker's, where there is one. Else it is
            BM25's, the similarity, or, where lists were fused, the sum of reciprocal ranks. Their metadata tells how
            they were found: with several queries ``rlm_queries``, the numbers of those that found it, the best
            first; with a plan also ``rlm_scope`` and ``rlm_why``; with ``auto`` ``rlm_mode``. ``rlm_headings`` are the
            headings that a chunk stands under. One of less than a quarter of the chunk size brings its neighbours.

        Raises:
            UnknownOption: an option that does not exist.
            InvalidInput: an empty query, a wrong ``k`` or ``mode``, or ``hop`` without a name graph.
            InvalidFilter: ``where`` is not usable.
            EmptyCorpus: there is no document.
            IndexMismatch: the embeddings give vectors of another length than the index holds.
        """
        options: dict[str, Any] = {"neighbours": neighbours, "diversity": diversity, "plan": plan, "hops": hops}
        asked = self._asked(query, k, mode, where, **options)
        return self._hits(asked, self._answers(asked))

    @twin_of(retrieve)
    async def aretrieve(self, *given: Any, **options: Any) -> list[Hit]:
        """Asks embeddings and stores by their own coroutines, where they have some."""
        asked = await in_thread(self._asked, *given, **options)
        return await in_thread(self._hits, asked, await self._aanswers(asked))

    def _asked(
        self,
        query: Any,
        k: Any,
        mode: Any,
        where: Any,
        *,
        neighbours: Any,
        diversity: Any,
        plan: bool | Plan,
        hops: Any,
    ) -> Query:
        """The query, checked, with the mode that ``auto`` stands for, and taken apart where a plan is wanted."""
        asked = self._checked(query, k, mode, where, neighbours, diversity, hops)
        texts = [one.text for one in asked.asked]
        if plan is not False and len(texts) > 1:
            raise InvalidInput(f"retrieve: a plan is made for one question, not for {len(texts)} queries")
        if asked.mode == "auto":
            meant = chosen(self, texts, where)
            asked = asked._replace(mode=meant.mode, notes=(("rlm_mode", f"{meant.mode}: {meant.why}"),))
        if plan is False:
            return asked
        return asked.planned(planned(texts[0], asked.where, self._metadata) if plan is True else check_plan(plan))

    @abstractmethod
    def _checked(self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, hops: Any) -> Query:
        """The query, or InvalidInput for what this kind of corpus cannot be asked."""

    @abstractmethod
    def _answers(self, asked: Query) -> Any:
        """What embeddings or stores say to each text of a query; they may be far away, so they are asked side by side."""

    @abstractmethod
    async def _aanswers(self, asked: Query) -> Any:
        """:meth:`_answers` by coroutines."""

    @abstractmethod
    def _hits(self, asked: Query, answers: Any) -> list[Hit]:
        """The hits that follow from these answers."""

    def plan(self, question: str, where: Where | None = None) -> Plan:
        """What to ask instead of a question that compares, enumerates or names values of the documents' metadata.

        No language model is called: values that the question names become the scope of its queries, what is compared or
        enumerated becomes a query each. Enumerations and comparisons are known in English, German, French and Spanish.

        Args:
            question: in words.
            where: a filter: only documents that pass it are known to the plan.

        Returns:
            The plan; one query, the question itself, where there is nothing to plan.

        Raises:
            InvalidInput: an empty question.
            InvalidFilter: ``where`` is not usable.

        Example:
            >>> from langchain_core.documents import Document
            >>> filings = [
            ...     Document("Margin fell.", id=f"{name}-{year}", metadata={"company": name, "year": year})
            ...     for name in ("Apple", "Intel") for year in (2022, 2023)
            ... ]
            >>> with Corpus.open("chroma:./filings") as corpus:
            ...     _ = corpus.add(filings)
            ...     for part in corpus.plan("How did the gross margin of Apple and Intel change?").parts:
            ...         print(part.query, part.where)
            gross margin {'company': 'Apple'}
            gross margin {'company': 'Intel'}
        """
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput(f"plan: question must be a str and not empty; got {question!r}"[:200])
        if where is not None:
            validate(where)
        return planned(question, where, self._metadata)

    aplan = async_twin(plan)

    @abstractmethod
    def names(self, prefix: str = "", where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """The names that documents define, by name: ``{"name", "kind", "doc_id", "start", "end"}`` each.

        Args:
            prefix: how they begin, whatever the case and accents.
            where: a filter on the documents' metadata.
            limit: most names; None for all.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """

    anames = async_twin(names)

    @abstractmethod
    def named_in(self, question: str, where: Where | None = None) -> list[dict[str, Any]]:
        """The names that a question mentions: ``{"name", "start", "end", "documents"}`` each, places in its characters.

        Args:
            question: the question.
            where: a filter on the documents' metadata.

        Returns:
            ``documents``: what the name stands for. A name that many share is none.

        Raises:
            InvalidInput: no question.
            InvalidFilter: ``where`` is not usable.

        Example:
            >>> from langchain_core.documents import Document
            >>> with Corpus.open("chroma:./films") as corpus:
            ...     _ = corpus.add([Document("# Rakka\\n\\nA short film by Neill Blomkamp.", id="rakka.md")])
            ...     [one["name"] for one in corpus.named_in("Who directed Rakka?")]
            ['Rakka']
        """

    anamed_in = async_twin(named_in)

    @abstractmethod
    def links(self, doc_id: str) -> dict[str, list[dict[str, Any]]]:
        """How a document hangs together with others: ``names`` (what it is called), ``mentions`` (of others in it) and
        ``mentioned_by``, each as :meth:`names` gives it; at most a thousand of each.

        Raises:
            DocumentMissing: no such document.
        """

    alinks = async_twin(links)

    def snippet(self, hit: Hit, query: str | Sequence[str], chars: int = 200) -> Snippet:
        """The piece of a hit's text that shows best why a query found it, and where the words stand.

        Args:
            hit: one of :meth:`retrieve`.
            query: what was asked; of several queries all words count.
            chars: most characters of the piece; it begins and ends between words.

        Returns:
            Its ``text``, and ``start``, ``end`` and the words' ``spans`` in characters of the hit's document.

        Raises:
            InvalidInput: ``chars`` is no whole number from 1 on.

        Example:
            >>> from langchain_core.documents import Document
            >>> question = "How long is parental leave?"
            >>> with Corpus.open("chroma:./handbook") as corpus:
            ...     _ = corpus.add([Document("The office closes in August. Parental leave is 16 weeks.", id="leave.md")])
            ...     for hit in corpus.retrieve(question):
            ...         print(hit["doc_id"], "…", corpus.snippet(hit, question, chars=40).text)
            leave.md … in August. Parental leave is 16 weeks.
        """
        asked = query if isinstance(query, str) else "\n".join(query)
        return snippet(self._analyzer, hit["text"], asked, chars).moved(hit["start"])

    @property
    @abstractmethod
    def version(self) -> str:
        """Names the content: another string after every ``add`` or ``delete`` that changed something."""

    @property
    @abstractmethod
    def lexical(self) -> bool:
        """Whether the embeddings know words only, so that ``vector`` adds nothing to ``bm25``."""

    def code_share(self, where: Where | None = None) -> float:
        """Of the chunks of the documents that pass a filter, 0 to 1, those of code; 0 where that is not known."""
        return 0.0

    acode_share = async_twin(code_share)

    @abstractmethod
    def embeds_with(self, mode: Mode) -> str | None:
        """The name of the model that embeds queries of this mode, as price lists have it; None where none does."""

    @named_options
    def as_retriever(
        self,
        *,
        k: int = 8,
        mode: Mode = "hybrid",
        where: Where | None = None,
        neighbours: int = 0,
        diversity: float = 0.0,
        plan: bool | Plan = False,
        hops: int = 1,
    ) -> CorpusRetriever:
        """A LangChain retriever over this corpus; options as in :meth:`retrieve`.

        Raises:
            UnknownOption: an option that does not exist.
        """
        return CorpusRetriever(
            corpus=self,
            k=k,
            mode=mode,
            where=None if where is None else dict(where),
            neighbours=neighbours,
            diversity=diversity,
            plan=plan,
            hops=hops,
        )

    @abstractmethod
    def close(self) -> None:
        """Release files and connections. Harmless when it is closed already."""

    aclose = async_twin(close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
