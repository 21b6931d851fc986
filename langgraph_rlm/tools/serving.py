"""One call of a tool: whose it is, what it may open, and what comes of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import ToolRuntime

from langgraph_rlm.budget import no_usage
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.dispatch import Dispatcher, for_a_model
from langgraph_rlm.calls.files import FILES_IN_STATE, Place, checked_name, places
from langgraph_rlm.calls.memo import RunId, thread_digest
from langgraph_rlm.calls.rooms import in_room
from langgraph_rlm.calls.scope import Scope
from langgraph_rlm.calls.searching import searched
from langgraph_rlm.calls.subcalls import SubCalls
from langgraph_rlm.corpus import Corpus, OwnCorpus
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.graphs.prompts import sub_messages
from langgraph_rlm.graphs.state import Carry
from langgraph_rlm.repl import FailedCall, HitList
from langgraph_rlm.runs.run import OpenRun, Run, new_id
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.shortening import one_line
from langgraph_rlm.text import ContextStore
from langgraph_rlm.tools.engines import Engines
from langgraph_rlm.tools.failing import CallFailed
from langgraph_rlm.tools.replies import Reply, cut, of_documents, of_hits, of_text, of_value
from langgraph_rlm.tools.schemas import BY_TOOL, RENAMED, SEARCHES
from langgraph_rlm.types import ContextRef

_PREVIEW_TOKENS = 60
"""Of a stored text: enough to see what it is."""
_PRIVATE = "rlm_"


@dataclass(frozen=True, slots=True)
class _Rooms:
    """Whose a call is.

    Args:
        mine: pays, and is given new files.
        files: whose files are known.
        told: to be handed on in the artifact, so that later calls of the run find the files; empty where a thread tells.
    """

    mine: RunId
    files: Sequence[RunId]
    told: str = ""


@dataclass(frozen=True, slots=True)
class _Call:
    """What one call works with."""

    run: Run
    rooms: _Rooms
    state: Any
    name: str
    account: Account
    contexts: ContextStore
    corpus: Corpus | None
    files: Mapping[str, ContextRef]


class Serving:
    """Serves the tools of one list.

    Args:
        engines: what they stand on.
        name: of the list, in the memo.
    """

    def __init__(self, engines: Engines, name: str) -> None:
        self._engines = engines
        self._name = name
        self._outside = new_id()

    def call(
        self, tool: str, arguments: dict[str, Any], config: RunnableConfig, runtime: ToolRuntime | None
    ) -> tuple[str, dict[str, Any]]:
        """Content and artifact; blocks.

        Raises:
            ToolException: what the model can mend, and what it has to know.
        """
        with closing(OpenRun()) as opened:
            served = self._served(tool, arguments, opened.within(config), runtime, is_async=False)
            return Runtime.default().run(served, OpenRun.of(opened.within(config)).stop)

    async def acall(
        self, tool: str, arguments: dict[str, Any], config: RunnableConfig, runtime: ToolRuntime | None
    ) -> tuple[str, dict[str, Any]]:
        """As ``call``, on this loop."""
        with closing(OpenRun()) as opened:
            return await self._served(tool, arguments, opened.within(config), runtime, is_async=True)

    # --- whose it is ---

    def _room(self, thread: str, name: str) -> RunId:
        return RunId(thread, f"tools/{self._name}/{name}")

    def _whose(self, contexts: ContextStore, corpus: Corpus | None) -> str:
        """The tenant, where functions of the config tell them apart; empty where there is only one."""
        engines, parts = self._engines, list[str]()
        if not isinstance(engines.contexts, ContextStore):
            parts.append(contexts.identity)
        if isinstance(corpus, OwnCorpus) and engines.corpus is not corpus:
            parts.append(corpus.version.rpartition(":")[0])  # an attached one has no id of its own
        return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16] if parts else ""

    def _rooms(self, config: RunnableConfig, runtime: ToolRuntime | None, whose: str) -> _Rooms:
        configurable = config.get("configurable", {})
        if (thread_id := configurable.get("thread_id")) is not None:
            thread = thread_digest(thread_id)
            room = self._room(thread, thread + whose)
            return _Rooms(room, [room])
        if runtime is None:
            outside = self._room("-", f"{self._outside}{whose}")
            return _Rooms(self._room("-", new_id()), [outside], "")
        # A graph without a thread: what belongs together is told by names that nobody can guess, in its own messages.
        known = list(dict.fromkeys(_rooms_told(_field(runtime.state, "messages"))))
        mine = known[0] if known else new_id()
        rooms = [self._room("-", one + whose) for one in dict.fromkeys([mine, *known])]
        return _Rooms(rooms[0], rooms, mine)

    # --- what it does ---

    async def _served(
        self,
        tool: str,
        arguments: dict[str, Any],
        config: RunnableConfig,
        runtime: ToolRuntime | None,
        *,
        is_async: bool,
    ) -> tuple[str, dict[str, Any]]:
        engines, rooms = self._engines, None
        run = Run.of(config, is_async=is_async)
        name = hashlib.sha256(f"{run.started_here()}\n{runtime and runtime.tool_call_id}".encode()).hexdigest()[:32]
        try:
            contexts = await run.contexts(engines.contexts)
            corpus = None if engines.corpus is None else await run.corpus(engines.corpus)
            rooms = self._rooms(config, runtime, self._whose(contexts, corpus))
            run = replace(run, config=in_room(run.config, rooms.mine))
            account = await engines.accounts.opened(run, name, None)
            stored = _field(runtime.state, FILES_IN_STATE) if runtime is not None else None
            look_up = partial(engines.files.of, rooms.files, contexts, stored or {})
            waits = engines.files.durable or contexts.durable  # else a thread would cost more than it does
            files = await run.face.block(look_up) if waits else look_up()
            call = _Call(run, rooms, runtime and runtime.state, name, account, contexts, corpus, files)
            try:
                with engines.accounts.working(rooms.mine).working():
                    content, artifact = await self._done(tool, arguments, call)
            finally:
                await engines.accounts.written(rooms.mine, run.face)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the model is told so in plain words
            message = str(error) if isinstance(error, ToolException) else _words_of(for_a_model(tool, error))
            raise CallFailed(message, self._shared_part(rooms)) from None
        finally:
            await run.all_told()
        return content, artifact | self._shared_part(rooms)

    def _shared_part(self, rooms: _Rooms | None) -> dict[str, Any]:
        """What every artifact has: what all calls of the room have spent."""
        if rooms is None:  # it failed before it was known whose the call is
            return {"usage": no_usage()}
        budget = self._engines.accounts.budgets.get(rooms.mine)
        usage = no_usage() if budget is None else budget.usage()
        return {"usage": usage} | ({"room": rooms.told} if rooms.told else {})

    async def _done(self, tool: str, arguments: dict[str, Any], call: _Call) -> Reply:
        given = {RENAMED.get(tool, {}).get(name, name): value for name, value in arguments.items()}
        if tool == "materialize_context":
            return await self._stored(call, **given)
        if tool == "ask_rlm":
            return await self._asked(call, **given)
        if tool == "list_documents":
            return await self._listed(call, given)
        if tool == "read_context":
            return await self._read(call, **given)
        if tool in SEARCHES:
            return await self._searched(tool, call, **given)
        result, notes = await self._dispatched(tool, call, self._scope(call, Place("", None, None)), given)
        if isinstance(result, HitList):
            return of_hits(result.hits, seen=result.seen, complete=result.complete, notes=notes)
        return of_value(result, notes)

    async def _stored(self, call: _Call, field_name: str, filename: str | None) -> Reply:
        name = checked_name(filename or field_name)
        text = _text_of_field(call.state, field_name)
        if isinstance(text, Mapping) and "context_ref" in text and text not in call.files.values():
            raise InvalidInput(
                f"the field {field_name!r} holds a reference that is not this conversation's; it must hold text"
            )
        if call.corpus is not None and await call.run.face.block(call.corpus.holds, name):
            raise InvalidInput(f"filename: {name!r} is the id of a document of the corpus; take another name")
        ref = await call.contexts.aput(text)
        await call.run.face.block(self._engines.files.give, call.rooms.mine, name, ref)
        first = (await call.contexts.adocuments(ref))[0]
        head = one_line(cut(await call.contexts.aread(ref, first, 0, 4 * _PREVIEW_TOKENS), _PREVIEW_TOKENS))
        stat = await call.contexts.astat(ref)
        size = f"{stat['chars']:,} characters in {stat['docs']:,} text{'' if stat['docs'] == 1 else 's'}"
        tokens = stat["bytes"] // 4 + 1
        return Reply(
            f"stored as {name!r}: {size}, about {tokens:,} tokens. It begins: {head}",
            {"filename": name, "context": dict(ref), "chars": stat["chars"], "documents": stat["docs"]},
        )

    async def _searched(self, tool: str, call: _Call, file: str | None, **given: Any) -> Reply:
        found = await searched(
            await self._places(file, given.get("where"), call),
            given,
            lambda place, options: self._dispatched(tool, call, self._scope(call, place), options),
        )
        notes, total = found.notes, found.total
        if tool == "count":
            return Reply("; ".join([f"{total:,}", *(notes if not total else [])]), {"count": total, "complete": True})
        return of_hits(found.hits, seen=found.seen, complete=found.complete, notes=[] if found.hits else notes)

    async def _read(self, call: _Call, doc_id: str, start: int, end: int | None) -> Reply:
        found = await self._places(doc_id, None, call)
        place = found[0]
        ids = await call.run.face.block(_ids_of, place, call.contexts)
        if len(found) > 1 or len(ids) > 1:
            shown = ", ".join(repr(place.shown(one)) for one in ids[:8])
            raise InvalidInput(f"doc_id: {doc_id!r} is more than one text; give one of them, such as {shown}")
        given = {"doc_id": ids[0], "start": start, "end": end}
        text, _ = await self._dispatched("read_context", call, self._scope(call, place), given)
        return of_text(text, start, place.shown(ids[0]))

    async def _listed(self, call: _Call, given: dict[str, Any]) -> Reply:
        entries = list[dict[str, Any]]()
        for name, ref in call.files.items():
            place = Place(name, ref, None)
            sizes = await call.contexts.achars(ref)
            shown = {place.shown(one): chars for one, chars in sizes.items()}
            entries += [
                {"doc_id": doc_id, "chars": chars, "metadata": {}}
                for doc_id, chars in shown.items()
                if place.passes(given.get("where"), doc_id)
            ]
        if call.corpus is not None:
            listed, _ = await self._dispatched("list_documents", call, self._scope(call, Place("", None, None)), given)
            entries += listed
        return of_documents(entries)

    async def _asked(self, call: _Call, question: str, file: str | None) -> Reply:
        graph = self._engines.graph
        assert graph is not None  # offered only then
        state: dict[str, Any] = {"question": question, "rlm_carry": Carry(run=call.name, standalone=True)}
        found = list[Place]()
        if file is not None or call.corpus is None:
            found = await self._places(file, None, call)
            state["context"] = await call.run.face.block(_context_of, found, call)
        result = await _streamed(graph, state, call.run)
        if not result["found"] and result["stop_reason"] in ("budget", "deadline"):
            raise ToolException(result["answer"])
        content, _ = of_value(result["answer"])
        return Reply(
            content,
            {
                "answer": result["answer"],
                "found": result["found"],
                "citations": [{**one, "doc_id": _shown_in(found, one["doc_id"])} for one in result["citations"]],
                "route": result.get("route", "rlm"),
                "stop_reason": result["stop_reason"],
            },
        )

    # --- the door ---

    async def _places(self, file: str | None, where: Any, call: _Call) -> list[Place]:
        allowed = _both(call.run.options.get("where"), where)
        return await call.run.face.block(places, file, call.files, call.contexts, call.corpus, allowed, where)

    def _scope(self, call: _Call, place: Place) -> Scope:
        run, engines = call.run, self._engines
        subcalls = None
        if engines.sub is not None:
            room = run.room(0, call.account.budget.limits.max_concurrency)
            subcalls = SubCalls(engines.sub, render=sub_messages, account=call.account, config=run.config, room=room)
        return Scope(
            place=call.name,
            contexts=call.contexts,
            context=place.context,
            corpus=None if place.context is not None else call.corpus,
            where=run.options.get("where"),
            strategy="director",
            subcalls=subcalls,
            child=None,
            face=run.face,
            budget=call.account.budget,
            shell=engines.shell,
            emit=run.emit,
            run=run,
            documents=place.documents,
        )

    async def _dispatched(self, tool: str, call: _Call, scope: Scope, given: dict[str, Any]) -> tuple[Any, list[str]]:
        """The function's result and notes: through the same door as the calls of cells."""
        door, name = Dispatcher(scope).door(0), BY_TOOL[tool].name
        try:
            result = await call.run.face.block(door, name, [], given)
            if isinstance(result, Future):
                result = await asyncio.wrap_future(result)
        except (GraphBubbleUp, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the door has put it into words for a model
            if door.failed is not None:
                raise door.failed from None
            raise ToolException(_words_of(error)) from None
        finally:
            door.close()
        if isinstance(result, FailedCall):
            raise ToolException(f"{result.category}: {result.message}")
        return result, [note.removeprefix(f"{name}: ") for note in door.record.notes]


async def _streamed(graph: RLMGraph, state: dict[str, Any], run: Run) -> dict[str, Any]:
    """The graph's output. A graph that is called inside of a node sends its events nowhere: here they are passed on."""
    result: dict[str, Any] = {}

    def take(kind: str, part: Any) -> None:
        if kind == "custom":
            if run.writer is not None:
                run.writer(part)
        else:
            result.update(part)

    def stream() -> None:
        for kind, part in graph.stream(state, run.config, stream_mode=["custom", "values"]):
            take(kind, part)

    if not run.face.is_async:
        await run.face.wait(stream)
        return result
    async with aclosing(graph.astream(state, run.config, stream_mode=["custom", "values"])) as parts:  # type: ignore[type-var]
        async for kind, part in parts:
            take(kind, part)
    return result


def _words_of(error: Exception) -> str:
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _field(state: Any, name: str) -> Any:
    if isinstance(state, list):  # a ToolNode may have messages alone as its state
        return state if name == "messages" else None
    return state.get(name) if isinstance(state, Mapping) else getattr(state, name, None)


def _rooms_told(messages: Any) -> list[str]:
    told = []
    for message in messages if isinstance(messages, list) else ():
        room = (
            message.artifact.get("room")
            if isinstance(message, ToolMessage) and isinstance(message.artifact, dict)
            else None
        )
        if isinstance(room, str):
            told.append(room)
    return told


def _text_of_field(state: Any, name: str) -> Any:
    value = None if name.startswith(_PRIVATE) else _field(state, name)
    if value is None:
        known = list(state) if isinstance(state, Mapping) else list(getattr(state, "__dict__", ()))
        shown = ", ".join(str(one) for one in known if not str(one).startswith((_PRIVATE, "_")))
        raise InvalidInput(f"field_name: the state has no field {name!r}" + (f"; it has {shown}" if shown else ""))
    if isinstance(value, list) and value and all(isinstance(one, BaseMessage) for one in value):
        return [one.text for one in value]
    return value


def _ids_of(place: Place, contexts: ContextStore) -> list[str]:
    if place.documents is not None:
        return list(place.documents)
    return [] if place.context is None else contexts.documents(place.context)


def _context_of(found: Sequence[Place], call: _Call) -> Any:
    """The context of a question: one file as it is, or the texts of several by name."""
    if len(found) == 1 and found[0].context is not None and found[0].documents is None:
        return found[0].context
    texts = dict[str, str]()
    for place in found:
        for doc_id in _ids_of(place, call.contexts):
            if place.context is not None:
                texts[place.shown(doc_id)] = call.contexts.read(place.context, doc_id)
            elif call.corpus is not None:
                texts[doc_id] = call.corpus.read(doc_id, where=call.run.options.get("where"))
    return call.contexts.put(texts)


def _shown_in(found: Sequence[Place], doc_id: str) -> str:
    """The id of a citation as the agent knows it; see :func:`_context_of`."""
    if len(found) == 1 and found[0].context is not None and found[0].documents is None:
        return found[0].shown(doc_id)
    return doc_id.removeprefix("context/") if found else doc_id


def _both(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    return one if not other else other if not one else {"$and": [one, other]}
