"""What the tools of steps do: the functions that cells and agents call too, on the files of one run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.files import Place, places
from langgraph_rlm.calls.functions import Functions, available
from langgraph_rlm.calls.scope import CellRecord, Scope
from langgraph_rlm.calls.searching import searched
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.repl import HitList, Shell
from langgraph_rlm.runs.run import Run
from langgraph_rlm.shortening import one_line, shortened
from langgraph_rlm.specs.reducing import reduced
from langgraph_rlm.specs.toolbox import CHUNK_CHARS, MOST_ITEMS, READ_CHARS, TOOLS
from langgraph_rlm.specs.words import FileWords
from langgraph_rlm.text import ContextStore
from langgraph_rlm.tools.schemas import BY_TOOL, RENAMED
from langgraph_rlm.types import ContextRef

MOST_FOUND_CHARS = 1_000_000
"""Of the hits of one search: they stand in checkpoints, and no prompt takes more."""
_PLACE = frozenset({"file", "doc_id", "start", "end"})
"""Keys of a chunk, whose text is read when it is wanted."""


class ToolRun:
    """The tools of one step.

    Args:
        step: its name.
        shell: runs commands; None without one.
        words: indexes of stored texts.
        run: the node's.
        account: of the run; counts searches.
        contexts: the run's.
        corpus: the run's; None without one.
        values: ``input`` and results of steps.
        files: stored texts by name; ``materialize_context`` adds to them.
    """

    def __init__(
        self, step: str, shell: Shell | None, words: FileWords, run: Run, account: Account, contexts: ContextStore,
        corpus: Corpus | None, values: Mapping[str, Any], files: dict[str, ContextRef],
    ) -> None:  # fmt: skip
        self._step, self._shell, self._words, self._run = step, shell, words, run
        self._account, self._contexts, self._corpus = account, contexts, corpus
        self._values, self._files = values, files

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The result of a tool.

        Raises:
            InvalidInput: an argument that cannot be used; the step and the tool are named.
        """
        given = {key: value for key, value in arguments.items() if value is not None}
        tool = TOOLS[name]
        for key, field in tool.fields.items():
            if field.is_required() and key not in given:
                raise InvalidInput(f"step {self._step!r}: {name} needs {key!r}, and was given none")
        for key, value in given.items():
            if key not in tool.fields:
                raise InvalidInput(f"step {self._step!r}: {tool.unknown(key)}")
            if (wrong := tool.problem_of(key, value)) is not None:
                raise InvalidInput(f"step {self._step!r}: {name}: {key}: {wrong}")
        try:
            return await self._called(name, given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise InvalidInput(f"step {self._step!r}: {name}: {first['msg']}") from None
        except InvalidInput as error:
            raise InvalidInput(f"step {self._step!r}: {error}") from None

    async def _called(self, name: str, given: dict[str, Any]) -> Any:
        if name == "materialize_context":
            return await self._stored(**given)
        if name in ("local_grep", "local_search", "count"):
            return await self._searched(name, **given)
        if name == "bm25_search" and "file" in given:
            return await self._run.face.block(lambda: self._by_words(**given))
        if name in ("read", "split", "items_of"):
            works: Mapping[str, Callable[..., Any]] = {
                "read": self._read, "split": self._split, "items_of": self._items_of,
            }  # fmt: skip
            work = works[name]
            return await self._run.face.block(lambda: work(**given))
        if name == "reduce":
            return reduced(given["items"], given.get("how", "join"), given.get("field"), given.get("weights"))
        result, notes = await self._function(name, Place("", None, None), given)
        if isinstance(result, HitList):
            return _found([dict(hit) for hit in result.hits], result.seen, result.complete, notes)
        return result

    # --- files ---

    async def _stored(self, field_name: str, filename: str | None = None) -> dict[str, Any]:
        name, text = filename or field_name, self._values["input"].get(field_name)
        if text is None:
            raise InvalidInput(f"materialize_context: the input {field_name!r} was not given")
        ref = await self._contexts.aput(text)
        self._files[name] = ref
        return {"file": name, "chars": ref["chars"], "documents": ref["docs"]}

    def _places(self, file: str | None, where: Any = None) -> list[Place]:
        return places(file, self._files, self._contexts, self._corpus if file is None else None, where)

    async def _searched(self, name: str, file: str | None = None, **given: Any) -> Any:
        if file in self._files:  # known at once; a thread costs as much as many a search
            where = [Place(file, self._files[file], None)]
        else:
            where = await self._run.face.block(self._places, file, given.get("where"))
        found = await searched(where, given, lambda place, options: self._function(name, place, options))
        if name == "count":
            return {"count": found.total, "complete": found.complete}
        return _found(found.hits, found.seen, found.complete, [] if found.hits else found.notes)

    def _by_words(self, query: str | Sequence[str], file: str, k: int = 8, **options: Any) -> dict[str, Any]:
        if options:
            raise InvalidInput(f"bm25_search: with file= it takes query and k, not {', '.join(options)}")
        hits = list[dict[str, Any]]()
        for one in [query] if isinstance(query, str) else query:
            for place in self._places(file):
                assert place.context is not None
                found = self._words.search(self._contexts, place.context, one, k, place.documents)
                hits += [{**hit, "doc_id": place.shown(hit["doc_id"])} for hit in found]
        first = {(hit["doc_id"], hit["start"]): hit for hit in reversed(hits)}
        best = sorted(first.values(), key=lambda hit: -hit["score"])[:k]
        return _found([{**hit, "rank": rank} for rank, hit in enumerate(best)], len(best), True, [])

    def _one_place(self, file: str) -> tuple[Place, list[str]]:
        place = self._places(file)[0]
        assert place.context is not None
        return place, list(place.documents or self._contexts.documents(place.context))

    def _read(self, file: str, start: int = 0, end: int | None = None) -> dict[str, Any]:
        place, ids = self._one_place(file)
        assert place.context is not None
        if len(ids) > 1:
            some = ", ".join(repr(place.shown(one)) for one in ids[:5])
            raise InvalidInput(f"read: {file!r} holds {len(ids):,} texts; give one of them, such as {some}")
        stop = start + READ_CHARS if end is None else min(end, start + MOST_FOUND_CHARS)
        text = self._contexts.read(place.context, ids[0], start, stop)
        beyond = self._contexts.read(place.context, ids[0], start + len(text), start + len(text) + 1)
        cut = bool(beyond) and (end is None or end > stop)
        return {
            "text": text,
            "file": place.shown(ids[0]),
            "start": start,
            "end": start + len(text),
            "complete": not cut,
        }

    def _split(self, file: str, chars: int = CHUNK_CHARS, overlap: int = 0) -> dict[str, Any]:
        if overlap >= chars:
            raise InvalidInput(f"split: the overlap ({overlap:,}) must be smaller than chars ({chars:,})")
        place, ids = self._one_place(file)
        assert place.context is not None
        chunks = list[dict[str, Any]]()
        for doc_id in ids:
            text = self._contexts.read(place.context, doc_id)
            for start, end in cuts(text, chars, overlap):
                chunks.append({"file": place.name, "doc_id": doc_id, "start": start, "end": end})
                if len(chunks) > MOST_ITEMS:
                    raise InvalidInput(
                        f"split: more than {MOST_ITEMS:,} chunks of {chars:,} characters; take larger ones (chars)"
                    )
        return {"chunks": chunks, "count": len(chunks)}

    def _items_of(self, items: Any = None, file: str | None = None) -> dict[str, Any]:
        if file is not None:
            place, ids = self._one_place(file)
            assert place.context is not None
            sizes = self._contexts.chars(place.context)
            listed: list[Any] = [{"file": place.name, "doc_id": one, "start": 0, "end": sizes[one]} for one in ids]
        elif isinstance(items, str):
            listed = [line.strip() for line in items.splitlines() if line.strip()]
        elif isinstance(items, list):
            listed = items
        elif items is None:
            listed = []
        else:
            raise InvalidInput(f"items_of: items must be a list or a text, not {type(items).__name__}")
        if len(listed) > MOST_ITEMS:
            raise InvalidInput(f"items_of: {len(listed):,} items are too many (at most {MOST_ITEMS:,})")
        return {"items": listed, "count": len(listed)}

    def with_text(self, item: Any) -> Any:
        """An item with its text, where it is a chunk of a file of this run."""
        if not isinstance(item, Mapping) or set(item) != _PLACE or item["file"] not in self._files:
            return item
        text = self._contexts.read(self._files[item["file"]], item["doc_id"], item["start"], item["end"])
        return {**item, "text": text}

    async def context_of(self, given: Any) -> tuple[ContextRef | None, str]:
        """The context of an ``rlm`` step, and the name of its file: a file, a reference or a text."""
        if given is None:
            return None, ""
        if isinstance(given, str) and given in self._files:
            return self._files[given], given
        if isinstance(given, str) and (name := given.split("/")[0]) in self._files:
            place, ids = await self._run.face.block(self._one_place, given)
            assert place.context is not None
            texts = await self._run.face.block(lambda: [self._contexts.read(place.context, one) for one in ids])  # type: ignore[arg-type]
            return await self._contexts.aput(texts[0]), f"{name}/{given.partition('/')[2]}"
        return await self._contexts.aput(given), ""

    # --- the table of functions ---

    async def _function(self, name: str, place: Place, given: dict[str, Any]) -> tuple[Any, list[str]]:
        """The result and the notes of the function behind a tool."""
        function, record = BY_TOOL[name], CellRecord(0)
        scope = Scope(
            place=self._step, contexts=self._contexts, context=place.context,
            corpus=self._corpus if place.context is None else None, where=self._run.options.get("where"),
            strategy="director", subcalls=None, child=None, face=self._run.face, budget=self._account.budget,
            shell=self._shell, emit=self._run.emit, documents=place.documents,
        )  # fmt: skip
        if function.name not in available(scope):
            raise InvalidInput(f"{name} has nothing to work on here: {_MISSING.get(function.needs, 'no text')}")
        renamed = {RENAMED.get(name, {}).get(key, key): value for key, value in given.items()}
        bound = Functions(scope, record)
        result = function.call(bound, **renamed) if inspect.iscoroutinefunction(inspect.unwrap(function.call)) else None
        if result is None:
            result = await self._run.face.block(lambda: function.call(bound, **renamed))
        else:
            result = await result
        return result, [note.removeprefix(f"{function.name}: ") for note in record.notes]


_MISSING = {
    "retrieval": "the graph was made without corpus=", "names": "the corpus keeps no names",
    "shell": "the graph was made without shell=",
}  # fmt: skip


def cuts(text: str, chars: int, overlap: int = 0) -> list[tuple[int, int]]:
    """Places of a text's chunks: of whole lines where one ends in the second half of a chunk, else of whole words.

    Example:
        >>> cuts("one\\ntwo\\nthree", 6)
        [(0, 4), (4, 8), (8, 13)]
    """
    places, start = list[tuple[int, int]](), 0
    while start < len(text):
        end = min(len(text), start + chars)
        if end < len(text):
            half = start + chars // 2
            at = max(text.rfind("\n", half, end), -1)
            at = text.rfind(" ", half, end) if at < 0 else at
            end = end if at < 0 else at + 1
        places.append((start, end))
        if end == len(text):
            break
        start = max(end - overlap, start + 1)
    return places


def _found(hits: list[dict[str, Any]], seen: int, complete: bool, notes: Sequence[str]) -> dict[str, Any]:
    room, kept = MOST_FOUND_CHARS, list[dict[str, Any]]()
    for hit in hits:
        if (room := room - len(hit["text"])) < 0:
            break
        kept.append(hit)
    whole = complete and len(kept) == len(hits)
    told = [shortened(one_line(note)) for note in notes]
    return {"matches": kept, "count": len(kept), "seen": seen, "complete": whole, "notes": told}
