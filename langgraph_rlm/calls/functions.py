"""Every function that a cell may call, once: its name, its signature, the words the model reads, and what it does.

The docstrings are written for the model. A function is offered only when its engine is there (``needs``); arguments are
checked against the annotations before anything runs.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

import re2
from pydantic import Field

from langgraph_rlm.calls.function_table import Function, function
from langgraph_rlm.calls.memo import digest_of
from langgraph_rlm.calls.scope import CellRecord, Scope, Where
from langgraph_rlm.calls.spans import citation_of, read_span
from langgraph_rlm.corpus import COLLECTION, Corpus
from langgraph_rlm.corpus.finding.query import MOST_HOPS, MOST_NEIGHBOURS
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.repl import FailedCall, HitList
from langgraph_rlm.runs.traces import as_retriever, retrieved_before
from langgraph_rlm.text.search import Hits
from langgraph_rlm.types import Hit

Count = Annotated[int, Field(ge=1, le=100_000)]
Lines = Annotated[int, Field(ge=0, le=100)]
Neighbours = Annotated[int, Field(ge=0, le=MOST_NEIGHBOURS)]
Diversity = Annotated[float, Field(ge=0, le=1)]
Hops = Annotated[int, Field(ge=1, le=MOST_HOPS)]
MOST_PROMPTS = 10_000
"""Of one batch: each is a task on the host, also one for which the budget has no room."""
Prompts = Annotated[list[str], Field(max_length=MOST_PROMPTS, fail_fast=True)]
Queries = str | Annotated[list[str], Field(fail_fast=True)]
ChildContext = str | Annotated[list[str], Field(fail_fast=True)] | dict[str, str]
Seconds = Annotated[float, Field(gt=0)]

SHOWN_CHARS = 200
"""Of a query in an event."""
MOST_CITATIONS = 500
"""Of one cell."""


class Functions:
    """The functions of one cell.

    Args:
        scope: what they may touch.
        cell: the record of what it did.
    """

    def __init__(self, scope: Scope, cell: CellRecord) -> None:
        self._scope = scope
        self.cell = cell

    # --- models ---

    @function(needs="model", tool="query_lm")
    async def llm_query(self, prompt: str, *, schema: dict[str, Any] | None = None) -> Any:
        """Asks the sub-model and returns its answer (str). It sees only `prompt`: put the question and the text into
        it. With `schema` (a JSON schema, or a type: `schema=list[str]`, a dataclass) the answer is a JSON value of that
        shape."""
        return (await self._ask([prompt], schema))[0]

    @function(needs="model")
    async def llm_query_batched(self, prompts: Prompts, *, schema: dict[str, Any] | None = None) -> Any:
        """Asks all prompts side by side; returns the answers in the same order."""
        return await self._ask(prompts, schema)

    @function(needs="model", tool="ask_rlm")
    async def rlm_query(self, prompt: str, context: ChildContext | None = None) -> Any:
        """Gives a task with its own `context` to a recursive child that works like you; returns its answer. Without
        `context` the prompt is its context. Where no deeper child is allowed, the sub-model answers directly."""
        return (await self._children([prompt], None if context is None else [context]))[0]

    @function(needs="model")
    async def rlm_query_batched(
        self, prompts: Prompts, contexts: Annotated[list[ChildContext], Field(fail_fast=True)] | None = None
    ) -> Any:
        """Several children side by side; answers in the same order."""
        if contexts is not None and len(contexts) != len(prompts):
            raise InvalidInput(f"rlm_query_batched: {len(prompts)} prompts but {len(contexts)} contexts")
        return await self._children(prompts, contexts)

    @staticmethod
    def _check_filled(what: str, texts: Sequence[Any]) -> None:
        for number, text in enumerate(texts):
            if text is not None and not (text.strip() if isinstance(text, str) else any(_parts_of(text))):
                raise InvalidInput(f"the {what} is empty (number {number})")

    async def _ask(self, prompts: list[str], schema: dict[str, Any] | None) -> list[Any]:
        assert self._scope.subcalls is not None  # offered only then
        self._check_filled("prompt", prompts)
        place = f"{self._scope.place}/{self.cell.number}"
        answers = await self._scope.subcalls.ask_all(
            prompts, schema=schema, place=place, occurrences=self.cell.occurrences, again=self.cell.replayed
        )
        self._note_coverage("llm_query", answers)
        if len(prompts) == 1 and len(prompts[0]) < SHORT_PROMPT and _NO_TEXT.search(prompts[0]):
            self.cell.notes.append(
                f"llm_query: this prompt held {len(prompts[0])} characters; a sub-model sees nothing else, no variable either"
            )
        return answers

    def _note_coverage(self, what: str, answers: Sequence[Any]) -> None:
        failed = Counter(answer.category for answer in answers if isinstance(answer, FailedCall))
        if failed:
            why = ", ".join(f"{count} {category}" for category, count in failed.most_common())
            answered = len(answers) - failed.total()
            self.cell.notes.append(f"{what}: {answered:,} of {len(answers):,} answered; failed: {why}")

    async def _children(self, prompts: list[str], contexts: list[Any] | None) -> list[Any]:
        texts: list[Any] = [None] * len(prompts) if contexts is None else contexts
        self._check_filled("prompt", prompts)
        self._check_filled("context", texts)
        if any(isinstance(text, dict) and "context_ref" in text for text in texts):
            raise InvalidInput("rlm_query: a context has no key 'context_ref': give the text itself")
        if self._scope.child is None:
            joined = [p if c is None else f"{p}\n\n{_as_text(c)}" for p, c in zip(prompts, texts, strict=True)]
            return await self._ask(joined, None)
        child, pairs = self._scope.child, list(zip(prompts, texts, strict=True))
        # Named by what it is asked, not by a counter: in a replay children may be called in another order.
        names = await self._scope.face.block(lambda: [digest_of("rlm_query", *pair)[:16] for pair in pairs])
        places = [self.cell.occurrences.key(str(self.cell.number), name).replace("/", ".") for name in names]
        again = self.cell.replayed
        asked = (child(prompt, text, place, again) for (prompt, text), place in zip(pairs, places, strict=True))
        answers = list(await asyncio.gather(*asked))
        self._note_coverage("rlm_query", answers)
        return answers

    # --- text ---

    @function(needs="texts", tool="local_grep")
    def grep(
        self,
        pattern: str,
        *,
        in_: str = "all",
        max_matches: Count = 20,
        before: Lines = 0,
        after: Lines = 0,
        ignore_case: bool = False,
        where: Where = None,
    ) -> HitList:
        """Regular expression (RE2 syntax, `^` and `$` match at lines), one hit per match; a hit's text is the whole
        line, with `before` and `after` lines around it. `in_`: "all", "context", "corpus", or the name of a collection."""
        return self._scan("grep", pattern, in_, max_matches, before, after, ignore_case, where)

    @function(needs="texts", tool="local_search")
    def search(
        self,
        text: str,
        *,
        in_: str = "all",
        max_matches: Count = 20,
        before: Lines = 0,
        after: Lines = 0,
        ignore_case: bool = False,
        where: Where = None,
    ) -> HitList:
        """As grep, for a literal text."""
        return self._scan("search", text, in_, max_matches, before, after, ignore_case, where)

    def _scan(
        self, kind: Literal["grep", "search"], what: str, in_: str, max_matches: int, before: int, after: int,
        ignore_case: bool, where: Where,
    ) -> HitList:  # fmt: skip
        scope = self._scope
        found: list[Hits] = []
        self._check_place(in_)
        options: dict[str, Any] = {
            "before": before,
            "after": after,
            "ignore_case": ignore_case,
            "deadline": SCAN_SECONDS,
            "documents": scope.documents,
        }
        if in_ != "corpus" and scope.context is not None:
            scan = scope.contexts.grep if kind == "grep" else scope.contexts.search
            found.append(scan(scope.context, what, max_matches=max_matches, **options))
        room = max_matches - sum(map(len, found))
        if (corpus := self._scanned(in_)) is not None and room > 0:
            look = corpus.grep if kind == "grep" else corpus.search
            found.append(look(what, max_matches=room, where=self._narrowed(where, in_), **options))
        elif corpus is not None:
            found.append(Hits())
            found[-1].complete = False
        hits = [hit for part in found for hit in part]
        if not hits and not ignore_case and all(part.complete for part in found):
            self._note_case(kind, what if kind == "grep" else re2.escape(what), in_, where)
        for rank, hit in enumerate(hits):
            hit["rank"] = rank
        return HitList(hits, sum(part.seen for part in found), all(part.complete for part in found))

    @function(needs="texts", tool="count")
    def count(
        self,
        pattern: str,
        *,
        in_: str = "all",
        ignore_case: bool = False,
        where: Where = None,
    ) -> int:
        """How many matches a regular expression has (RE2 syntax), exactly; arguments as in grep. A variable of this name
        takes its place; count_matches stays."""
        self._check_place(in_)
        matches, complete = self._counted(pattern, in_, where, ignore_case, SCAN_SECONDS)
        if not complete:
            raise InvalidInput(
                f"count: not done after {SCAN_SECONDS:g} s, {matches:,} matches so far; take a simpler pattern, or where="
            )
        if not matches and not ignore_case:
            self._note_case("count", pattern, in_, where)
        return matches

    def _counted(self, pattern: str, in_: str, where: Where, ignore_case: bool, seconds: float) -> tuple[int, bool]:
        """How many matches there are, and whether everything was looked at."""
        scope, found = self._scope, []
        options: dict[str, Any] = {"ignore_case": ignore_case, "deadline": seconds, "documents": scope.documents}
        if in_ != "corpus" and scope.context is not None:
            found.append(scope.contexts.count_matches(scope.context, pattern, **options))
        if (corpus := self._scanned(in_)) is not None:
            found.append(corpus.count_matches(pattern, where=self._narrowed(where, in_), **options))
        return sum(part.matches for part in found), all(part.complete for part in found)

    def _note_case(self, name: str, pattern: str, in_: str, where: Where) -> None:
        """Tell a model that found nothing when upper and lower case are why."""
        looks = sum(self.cell.calls.get(one, 0) for one in ("grep", "search", "count"))
        if self.cell.replayed or looks > MOST_CASE_LOOKS or pattern.upper() == pattern.lower():
            return
        matches, complete = self._counted(pattern, in_, where, True, CASE_SECONDS)
        if matches:
            some = f"{matches:,}" if complete else f"at least {matches:,}"
            self.cell.notes.append(f"{name}: no match in this case, but {some} with ignore_case=True")

    def _check_place(self, in_: str) -> None:
        corpus = self._scope.corpus
        if in_ == "context" and self._scope.context is None:
            raise InvalidInput("this run has no context: use in_='corpus'")
        if in_ == "corpus" and corpus is None:
            raise InvalidInput("this run has no corpus: use in_='context'")
        names = () if corpus is None else corpus.collections
        if in_ not in ("all", "context", "corpus", *names):
            known = ", ".join(map(repr, ("all", "context", "corpus", *names)))
            raise InvalidInput(f"in_: {in_!r} is none of {known}")

    def _scanned(self, in_: str) -> Corpus | None:
        """The corpus where its texts are gone through; one that gives no texts away is left out of ``all``."""
        corpus = self._scope.corpus
        if in_ == "context" or corpus is None:
            return None
        return corpus if corpus.lists_texts or in_ != "all" else None

    @function(needs="text", tool="read_context")
    def read(self, doc_id: str, start: Annotated[int, Field(ge=0)] = 0, end: int | None = None) -> str:
        """The characters [start:end] of a document; ids are `context`, `context/0`, `context/<key>` for the context."""
        return read_span(self._scope, doc_id, start, end)

    @function(needs="texts", tool="list_documents")
    def list_documents(self, where: Where = None) -> list[dict[str, Any]]:
        """All documents of the context and the corpus: dicts of doc_id, chars, metadata."""
        scope, found = self._scope, list[dict[str, Any]]()
        if scope.context is not None and where is None:
            sizes = scope.contexts.chars(scope.context)
            found = [{"doc_id": doc_id, "chars": chars, "metadata": {}} for doc_id, chars in sizes.items()]
        if scope.corpus is not None and (scope.corpus.lists_texts or not found):
            found.extend(dict(entry) for entry in scope.corpus.list_documents(where=self._narrowed(where)))
        return found

    @function(needs="text")
    def cite(
        self, hit: dict[str, Any] | str, start: Annotated[int, Field(ge=0)] | None = None, end: int | None = None
    ) -> dict[str, Any]:
        """Marks evidence for the answer: `cite(hit)` or `cite(doc_id, start, end)`. It is checked against the text."""
        if len(self.cell.citations) >= MOST_CITATIONS:
            raise InvalidInput(f"cite: this cell has cited {MOST_CITATIONS:,} spans, and an answer needs no more")
        citation = citation_of(self._scope, hit, start, end)
        self.cell.citations.append(citation)
        return dict(citation)

    # --- retrieval ---

    @function(needs="ranked words", tool="bm25_search")
    def bm25_search(
        self, query: Queries, k: Count = 8, where: Where = None, *, neighbours: Neighbours = 0, diversity: Diversity = 0
    ) -> HitList:
        """The k best chunks by words (BM25). `query` may be a list: all are asked side by side and fused by rank, and
        metadata["rlm_queries"] has the numbers of those that found a hit. `where` filters by metadata, e.g. {"year":
        {"$gte": 2020}}; `neighbours`: so many chunks before and after each hit in its text; `diversity` (0 to 1): fewer
        hits that resemble each other. Also as `SEARCH`."""
        assert self._scope.corpus is not None
        self._count([query] if isinstance(query, str) else query, "bm25")
        options: dict[str, Any] = {"where": self._narrowed(where), "neighbours": neighbours, "diversity": diversity}
        hits = self._scope.corpus.retrieve(query, k=k, mode="bm25", **options)
        retrieved_before(self._scope.run, "bm25_search", query, hits)
        return self._found(query, "bm25", hits)

    @function(needs="retrieval", tool="vector_retrieve")
    async def vector_retrieve(
        self, query: Queries, k: Count = 8, where: Where = None, *, neighbours: Neighbours = 0, diversity: Diversity = 0
    ) -> HitList:
        """The k best chunks by meaning (embeddings), of one query or a list; other arguments as in bm25_search."""
        return await self._retrieve(query, k, where, "vector", neighbours=neighbours, diversity=diversity)

    @function(needs="ranked words", tool="hybrid_search")
    async def hybrid_search(
        self, query: Queries, k: Count = 8, where: Where = None, *, neighbours: Neighbours = 0, diversity: Diversity = 0
    ) -> HitList:
        """The k best chunks by words and by meaning together; arguments as in bm25_search."""
        return await self._retrieve(query, k, where, "hybrid", neighbours=neighbours, diversity=diversity)

    @function(needs="retrieval", tool="planned_search")
    async def planned_search(
        self, question: str, k: Count = 8, where: Where = None, *, neighbours: Neighbours = 0, diversity: Diversity = 0
    ) -> HitList:
        """For a question that compares, enumerates (`each quarter`, `over time`) or names values of the documents'
        metadata: hybrid_search of every query of plan_queries(question), fused. metadata["rlm_why"] and
        metadata["rlm_scope"] tell which one found a hit. Other arguments as in bm25_search."""
        scope = self._scope
        assert scope.corpus is not None
        plan = await scope.face.block(scope.corpus.plan, question, self._narrowed(where))
        return await self._retrieve(question, k, where, "hybrid", neighbours=neighbours, diversity=diversity, plan=plan)

    @function(needs="retrieval", tool="plan_queries")
    async def plan_queries(self, question: str, where: Where = None) -> dict[str, Any]:
        """Takes a question apart by rules and the metadata that the corpus has: a dict of parts (dicts of query, where,
        why), to be searched as they are or changed, and notes."""
        scope = self._scope
        assert scope.corpus is not None
        plan = await scope.face.block(scope.corpus.plan, question, self._narrowed(where))
        return plan.as_dict()

    @function(needs="names", tool="hop_search")
    async def hop_search(self, query: Queries, k: Count = 8, hops: Hops = 1, where: Where = None) -> HitList:
        """The k best chunks for a question that asks about something it does not name, such as the mother of the
        director of a film: what fits the question, and the documents whose titles, headings or identifiers stand in
        that, `hops` links far. A hit's metadata["rlm_path"] tells how it was reached."""
        return await self._retrieve(query, k, where, "hop", hops=hops)

    async def _retrieve(self, query: str | list[str], k: int, where: Where, mode: Any, **options: Any) -> HitList:
        scope = self._scope
        options["where"] = self._narrowed(where)
        assert scope.corpus is not None
        plan = options.get("plan")
        self._count([part.query for part in plan.parts] if plan else [query] if isinstance(query, str) else query, mode)
        async with as_retriever(scope.run, f"{mode}_search", query) as found:
            if scope.face.is_async:
                hits = await scope.corpus.aretrieve(query, k=k, mode=mode, **options)
            else:
                hits = await scope.face.block(scope.corpus.retrieve, query, k=k, mode=mode, **options)
            found.extend(hits)
        return self._found(query, mode, hits)

    def _count(self, queries: Sequence[str], mode: Any) -> None:
        """Each query counts; in a replay they were counted before, and none is refused."""
        assert self._scope.corpus is not None
        if not self.cell.replayed:
            self._scope.budget.search(queries, self._scope.corpus.embeds_with(mode))

    def _found(self, query: str | list[str], mode: str, hits: Sequence[Hit]) -> HitList:
        if not self.cell.replayed:
            asked = [query] if isinstance(query, str) else query
            shown = [one[:SHOWN_CHARS] for one in asked]
            self._scope.emit("retrieval", mode=mode, queries=shown, hits=len(hits))
        return HitList([dict(hit) for hit in hits], len(hits))

    # --- shell ---

    @function(needs="shell", tool="codex_exec")
    async def codex_exec(self, command: str, timeout: Seconds | None = None) -> dict[str, Any]:  # noqa: ASYNC109
        """Runs a shell command (`/bin/sh`) in a jail and returns a dict: output (stdout and stderr), exit_code, ended
        (why it was ended, or None). Each command starts in a new empty directory, the only place it can write to, and
        there is no network; `timeout` is in seconds."""
        assert self._scope.shell is not None  # offered only then
        return await self._scope.face.block(self._scope.shell.run, command, timeout)

    def _narrowed(self, where: Where, in_: str = "all") -> Where:
        of_one = {COLLECTION: in_} if in_ not in ("all", "corpus") else None
        filters = [one for one in (self._scope.where, where, of_one) if one]
        return None if not filters else filters[0] if len(filters) == 1 else {"$and": filters}


SCAN_SECONDS = 10.0
"""A grep of a cell stops after this long and says so (``complete`` is false)."""
MOST_CASE_LOOKS = 20
"""Searches of a cell after which none is repeated without regard to case: a cell may search for thousands of names."""
CASE_SECONDS = 1.0
"""For the count without case after a search that found nothing: it is a hint, not what was asked for."""

FUNCTIONS: Mapping[str, Function] = {
    name: Function(name, method.__rlm_function__[1], method.__rlm_function__[0], method)
    for name, method in vars(Functions).items()
    if hasattr(method, "__rlm_function__")
}
_NO_TEXT = re.compile(
    r"\b(?:above|below|following|(?:the|this|given|provided|my) (?:text|context|document|passage|log|file|data)s?)\b",
    re.I,
)
"""By which a prompt speaks of a text; one that is short does not hold it."""
SHORT_PROMPT = 160
"""Characters: a prompt that is shorter is a question without the text that it is about (6 of 20 first cells of a model of 1.5 B
parameters)."""
ALIASES: Mapping[str, str] = {"SEARCH": "bm25_search", "count_matches": "count"}


def available(scope: Scope) -> dict[str, Function]:
    """The functions whose engine this run has."""
    there = {
        "model": scope.subcalls is not None,
        "text": scope.context is not None or scope.corpus is not None,
        "texts": scope.context is not None or (scope.corpus is not None and scope.corpus.lists_texts),
        "retrieval": scope.corpus is not None and scope.strategy != "filter",
        "ranked words": scope.corpus is not None and scope.strategy != "filter" and scope.corpus.lists_texts,
        "names": scope.corpus is not None and scope.strategy != "filter" and scope.corpus.keeps_names,
        "shell": scope.shell is not None,
    }
    return {name: function for name, function in FUNCTIONS.items() if there[function.needs]}


def _parts_of(context: list[str] | dict[str, str]) -> Collection[str]:
    return context.values() if isinstance(context, dict) else context


def _as_text(context: Any) -> str:
    if isinstance(context, str):
        return context
    if isinstance(context, dict):
        return "\n\n".join(f"{key}:\n{value}" for key, value in context.items())
    return "\n\n".join(context)
