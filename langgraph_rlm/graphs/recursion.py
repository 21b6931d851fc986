"""The recursive loop itself: start, think, execute, answer. Everything that varies between runs is in the state.

The graph runs these steps as nodes; a child runs the same think and execute as a coroutine, one depth down, with its
own REPL and the same budget. (LangGraph checkpoints sub-graphs that are called in a node by a counter of calls: after a
resume a child could get its sibling's answer. Coroutines and the memo have no such counter.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.accounts import warn_if_not_durable
from langgraph_rlm.calls.dispatch import Dispatcher
from langgraph_rlm.calls.memo import digest_of
from langgraph_rlm.calls.own_calls import OwnCalls
from langgraph_rlm.calls.own_tools import OwnTool
from langgraph_rlm.calls.refusals import answers_nothing
from langgraph_rlm.calls.scope import Scope
from langgraph_rlm.calls.subcalls import SubCalls
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import EmptyCorpus, InvalidInput, LimitReached, ModelError
from langgraph_rlm.graphs.answering import Answering, kept_by_parents
from langgraph_rlm.graphs.attachments import context_given
from langgraph_rlm.graphs.cells import Cells, repl_context
from langgraph_rlm.graphs.ending import (
    CATEGORIES,
    LIMITS,
    NO_ANSWER,
    REASONS,
    REPLIES_WITHOUT_CELL,
    best_answer,
    merged,
)
from langgraph_rlm.graphs.fitting import fitting
from langgraph_rlm.graphs.material import check_apart, context_line, corpus_line
from langgraph_rlm.graphs.parsing import parse_reply
from langgraph_rlm.graphs.prompts import root_messages, root_system, root_task, sub_messages
from langgraph_rlm.graphs.questions import standing_alone
from langgraph_rlm.graphs.reading import absence_in, in_plain_words
from langgraph_rlm.graphs.retrieving import Search, retrieved
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.state import RLMState, carried, fresh_output
from langgraph_rlm.graphs.structured import structured
from langgraph_rlm.graphs.telling import tell_budget
from langgraph_rlm.graphs.tracing import traced
from langgraph_rlm.repl import FailedCall, ReplFactory
from langgraph_rlm.repl.shell import Shell
from langgraph_rlm.runs.run import Run, new_id
from langgraph_rlm.runs.sandboxes import notes_of
from langgraph_rlm.runs.traces import shortened
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef, Hit, Strategy, Turn

PRELOADED = 8
"""Chunks that ``filter`` and ``hybrid`` retrieve before the first turn, when the request sets no ``k``."""
CHILD_QUESTION_CHARS = 4_000
"""Of a prompt that is a child's context too, so much is also its question."""
FEW_TURNS = 5
"""With fewer left by LangGraph's ``recursion_limit`` the model is told so in place of ``max_turns``."""


class Recursion:
    """The four steps of a run, for the graph and for children alike; everything that varies is in the state."""

    def __init__(
        self, shared: Shared, *, strategy: Strategy | None, raises: bool, extra: str | None, factory: ReplFactory,
        shell: Shell | None = None, tools: Sequence[OwnTool] = (),
    ) -> None:  # fmt: skip
        self._tools = tuple(tools)
        self._shared, self._accounts, self._root, self._sub = shared, shared.accounts, shared.root, shared.sub
        self._strategy, self._raises, self._extra, self._shell = strategy, raises, extra, shell
        self._factory = factory

    async def solve(
        self, question: str, context: ContextRef | None, run: Run, account: Account, *, place: str,
        most_turns: int | None = None,
    ) -> dict[str, Any] | FailedCall:  # fmt: skip
        """The whole loop as one call, for graphs of others: ``{"answer", "found", "citations"}``, or why there is none.

        Args:
            question: to answer.
            context: to answer it from, beside the corpus.
            run: the node's.
            account: of the run.
            place: where in the run, for the memo; the same question at two places is asked twice.
            most_turns: fewer turns than the limits allow.
        """
        key = f"{place}/solved"
        if (known := (await account.recall([key])).get(key)) is not None:
            return dict(json.loads(known["json"]))
        await self._check_readable(context, await self._contexts(run), await self._corpus(run), run)
        state = await self._finished(question, context, run, account, 0, place, place, most_turns)
        if isinstance(state, FailedCall):
            return state
        text, found = _as_answer(_as_text(state["rlm_final"]))
        solved = {"answer": text, "found": found, "citations": state["citations"]}
        await account.record({key: {"json": json.dumps(solved)}})
        return solved

    # --- the steps ---

    async def start(self, state: RLMState, run: Run) -> dict[str, Any]:
        """Settle the question and the context; nothing of an earlier question of the thread is left."""
        carry = carried(state)
        contexts, corpus = await self._contexts(run), await self._corpus(run)
        warn_if_not_durable(run, contexts, self._accounts.memo)
        given = await context_given(state, run)
        if given is None and corpus is None:
            given = state.get("rlm_context")  # a follow-up is about the thread's text
        context = None if given is None else await contexts.aput(given)
        await self._check_readable(context, contexts, corpus, run)
        account, name = await self._accounts.begun(run, name=carry.get("run", ""), usage=carry.get("usage"))
        question = await standing_alone(state, carry, self._sub, account, run, context)
        fresh = await self._opening(question.text, context, run, account, list(carry.get("hits") or []), session=name)
        fresh["rlm_answer_id"] = carry.get("answer_id") or new_id()
        fresh |= {"rlm_run": name, "usage": account.budget.usage(), "rlm_earlier": carry.get("earlier")}
        return fresh | ({"messages": question.messages} if question.messages else {})

    async def think(self, state: RLMState, run: Run) -> dict[str, Any]:
        """One call of the root model, which writes the next cell."""
        try:
            return await self._think(state, run, await self._account(state, run), depth=0, path="")
        except BaseException:
            if not run.resumable:  # nobody can come back for its REPL
                run.runtime.repls.discard(state["rlm_session"])
            raise

    async def execute(self, state: RLMState, run: Run) -> dict[str, Any]:
        """Run the cells of the reply."""
        return await self._execute(state, run, await self._account(state, run), depth=0, path="")

    async def answer(self, state: RLMState, run: Run) -> dict[str, Any]:
        """Bring what was submitted, or the best there is, into the output."""
        account = await self._account(state, run)
        reason, final, response = state["stop_reason"], state.get("rlm_final"), None
        citations = state["citations"]
        if reason == "answered":
            text, question = _as_text(final), state["rlm_question"]
            response, reason = await structured(
                final, self._shared.shape, question=question, model=self._sub, account=account, run=run
            )
        if self._raises and reason not in ("answered", "error"):
            await run.face.block(run.runtime.repls.discard, state["rlm_session"])
            raise LimitReached(f"the run stopped: {REASONS[reason]}", limit=LIMITS[reason], stop_reason=reason)
        found = state["stop_reason"] == "answered"
        if found:
            text, found = _as_answer(text)
        else:
            draft = await self._draft(state, run, account)
            text, citations, found = await best_answer(state, draft, self._root, run, account)
        await run.face.block(run.runtime.repls.discard, state["rlm_session"])
        said = Answering(run, state["rlm_answer_id"])
        messages = said.messages(text)
        run.emit("answer", message_id=said.id, stop_reason=reason)
        tell_budget(run, account)
        update = {
            "answer": text,
            "found": found,
            "structured_response": response,
            "citations": citations,
            "usage": account.budget.usage(),
            "stop_reason": reason,
            "messages": messages,
        }
        return kept_by_parents(update, "rlm")

    # --- one turn, at any depth ---

    async def _opening(
        self, question: str, context: ContextRef | None, run: Run, account: Account, hits: list[Hit], *, session: str,
        depth: int = 0, path: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        contexts, corpus = await self._contexts(run), await self._corpus(run)
        options = run.options
        where, empty = options.get("where"), corpus is not None and await run.face.block(corpus.is_empty)
        if corpus is not None and not empty and self._strategy in ("filter", "hybrid") and not hits:
            search = Search(k=options.get("k", PRELOADED), mode="hybrid", plan=False, neighbours=0)
            here = run.at(depth, _parts(path))
            hits = await retrieved(corpus, question, search, where, here, account.budget)
        task = root_task(
            question,
            context=None if context is None else await run.face.block(context_line, contexts, context),
            corpus=None if corpus is None else await run.face.block(corpus_line, corpus, where),
            evidence=hits,
        )
        return fresh_output() | {
            "turns": [],
            "rlm_question": question,
            "rlm_context": context,
            "rlm_session": session,
            "rlm_task": task,
            "rlm_hits": hits,
            "rlm_reply": {},
            "rlm_final": None,
        }

    async def _think(
        self, state: Mapping[str, Any], run: Run, account: Account, *, depth: int, path: str
    ) -> dict[str, Any]:
        turns: list[Turn] = state["turns"]
        budget = account.budget
        number = turns[-1]["number"] + 1 if turns else 1
        last = min(budget.limits.max_turns, number + _turns_left(state) - 1, state.get("rlm_most_turns") or 1_000_000)
        if number > last:
            return {"stop_reason": "turns", "usage": budget.usage()}
        here = run.at(depth, _parts(path), number)
        here.emit("think")
        dispatcher = Dispatcher(await self._scope(state, here, account, depth, path))
        # What this kind of REPL cannot do, and what commands may read.
        given = await run.face.block(repl_context, await self._contexts(run), state["rlm_context"])
        notes = (*await run.face.block(notes_of, self._factory, given), *(self._shell.notes if self._shell else ()))
        system = root_system(dispatcher.describe(), strategy=self._strategy, notes=notes, extra=self._extra)
        left = f"turn {number} of {last if last - number < FEW_TURNS else budget.limits.max_turns} · {budget.left()}"
        if number == last:
            left += " · this is the last turn: submit the best answer you have"
        room = self._root.room(system, state["rlm_task"], left)
        messages = root_messages(system, state["rlm_task"], fitting(turns, room), left)
        # The line with what is left is not part of the request's identity: in a replay other seconds are left.
        asked = digest_of("root", self._root.name, system, state["rlm_task"], [[t["code"], t["digest"]] for t in turns])
        key = f"{state['rlm_session']}/think/{number}/{asked}"
        try:
            reply = await self._root.ask(
                messages, account=account, config=run.config, role="root", key=key, emit=here.emit
            )
        except LimitReached as reached:
            return {"stop_reason": reached.stop_reason, "usage": budget.usage()}
        except ModelError as error:
            if error.category != "too_long" or not turns:
                raise
            return {"stop_reason": "turns", "usage": budget.usage()}  # what was found is not lost
        if reply.missing is not None:
            return {
                "rlm_reply": {"thought": f"{NO_ANSWER}{reply.missing})", "cells": [], "number": number},
                "usage": budget.usage(),
            }
        thought, cells = parse_reply(reply.marked())
        return {"rlm_reply": {"thought": thought, "cells": cells, "number": number}, "usage": budget.usage()}

    async def _execute(
        self, state: Mapping[str, Any], run: Run, account: Account, *, depth: int, path: str
    ) -> dict[str, Any]:
        budget = account.budget
        reply, turns = state["rlm_reply"], list[Turn](state["turns"])
        if not reply["cells"]:
            turns.append(_without_cell(reply))
            silent = [turn for turn in turns[-REPLIES_WITHOUT_CELL:] if not turn["code"]]
            stop = "error" if len(silent) == REPLIES_WITHOUT_CELL else ""
            return {"turns": turns, "stop_reason": stop, "usage": budget.usage()}
        here = run.at(depth, _parts(path), reply["number"])
        dispatcher = Dispatcher(await self._scope(state, here, account, depth, path))
        cells = Cells(state, dispatcher, await self._contexts(run), self._factory, here, budget.limits)
        outcome = await cells.run(reply, budget)
        tell_budget(here, account)
        citations = merged(state["citations"], outcome.citations)
        update = {"turns": [*turns, *outcome.turns], "citations": citations, "stop_reason": outcome.stop_reason}
        return update | {"rlm_final": outcome.final, "usage": budget.usage()}

    async def _scope(self, state: Mapping[str, Any], run: Run, account: Account, depth: int, path: str) -> Scope:
        limits = account.budget.limits
        subcalls = SubCalls(
            self._sub, render=sub_messages, account=account, config=run.config,
            room=run.room(0, limits.max_concurrency), emit=run.emit,
        )  # fmt: skip

        async def child(prompt: str, text: Any, place: str, again: bool) -> Any:
            session = f"{state['rlm_session']}/{place}"
            if again and (failed := (await account.recall([f"{session}/failed"])).get(f"{session}/failed")):
                return FailedCall(failed["category"], failed["message"], failed["retryable"])
            async with run.room(depth + 1, limits.max_concurrency):  # each is a process
                answer = await self._child(prompt, text, run, account, depth + 1, f"{path}/{place}", session)
            if isinstance(answer, FailedCall):
                failed = {"category": answer.category, "message": answer.message, "retryable": answer.retryable}
                await account.record({f"{session}/failed": failed})
            return answer

        return Scope(
            place=state["rlm_session"],
            contexts=await self._contexts(run),
            context=state["rlm_context"],
            corpus=await self._corpus(run),
            where=run.options.get("where"),
            strategy=self._strategy,
            subcalls=subcalls if limits.max_depth >= 1 else None,
            child=child if depth + 1 < limits.max_depth else None,
            face=run.face,
            budget=account.budget,
            shell=self._shell,
            emit=run.emit,
            run=run,
            own=OwnCalls(self._tools, account, run, state["rlm_session"], _public(state)).functions(),
        )

    # --- children ---

    async def _child(
        self, prompt: str, text: Any, run: Run, account: Account, depth: int, path: str, session: str
    ) -> Any:
        """The same loop one depth down, as a coroutine: own REPL, same budget. Its answer, or why there is none."""
        # A fork of the thread may come with another filter, or after the corpus has changed.
        corpus = await self._corpus(run)
        version = None if corpus is None else await run.face.block(lambda: corpus.version)
        key = f"{session}/answer/{digest_of(run.options.get('where'), version)}"
        if (known := (await account.recall([key])).get(key)) is not None:
            return json.loads(known["json"])
        context = await (await self._contexts(run)).aput(prompt if text is None else text)
        here = run.at(depth, _parts(path))
        here.emit("child_start", prompt=shortened(prompt), context=context)
        answer = await traced(
            "rlm_query",
            {"prompt": shortened(prompt), "context": context, "depth": depth},
            run,
            lambda inner: self._loop(_task_of(prompt, text), context, inner, account, depth, path, session),
        )
        here.emit("child_end", error=answer.category if isinstance(answer, FailedCall) else None)
        if not isinstance(answer, FailedCall):
            await account.record({key: {"json": json.dumps(answer)}})
        return answer

    async def _loop(
        self, task: str, context: ContextRef, run: Run, account: Account, depth: int, path: str, session: str
    ) -> Any:
        state = await self._finished(task, context, run, account, depth, path, session)
        return state if isinstance(state, FailedCall) else state["rlm_final"]

    async def _finished(
        self, task: str, context: ContextRef | None, run: Run, account: Account, depth: int, path: str, session: str,
        most_turns: int | None = None,
    ) -> dict[str, Any] | FailedCall:  # fmt: skip
        """The state of a loop that has submitted its answer, or why it has none."""
        try:
            state = await self._opening(task, context, run, account, [], session=session, depth=depth, path=path)
            state["rlm_most_turns"] = most_turns
            while not state["stop_reason"]:
                state |= await self._think(state, run, account, depth=depth, path=path)
                if not state["stop_reason"]:
                    state |= await self._execute(state, run, account, depth=depth, path=path)
        except ModelError as error:
            return FailedCall(error.category, str(error), error.retryable)
        except LimitReached as error:
            return FailedCall(CATEGORIES[error.stop_reason], str(error), False)
        finally:
            await run.face.block(run.runtime.repls.discard, session)
        reason = state["stop_reason"]
        if reason == "answered":
            return state
        return FailedCall(CATEGORIES[reason], f"the child stopped before it had an answer: {REASONS[reason]}", False)

    async def _draft(self, state: RLMState, run: Run, account: Account) -> str:
        dispatcher = Dispatcher(await self._scope(state, run, account, 0, ""))
        contexts = await self._contexts(run)
        return await Cells(state, dispatcher, contexts, self._factory, run, account.budget.limits).draft()

    # --- what belongs to the run ---

    async def _account(self, state: RLMState, run: Run) -> Account:
        return await self._accounts.opened(run, state["rlm_run"], state.get("usage"))

    async def _contexts(self, run: Run) -> ContextStore:
        return await run.contexts(self._shared.contexts)

    async def _corpus(self, run: Run) -> Corpus | None:
        return None if self._shared.corpus is None else await run.corpus(self._shared.corpus)

    async def _check_readable(
        self, context: ContextRef | None, contexts: ContextStore, corpus: Corpus | None, run: Run
    ) -> None:
        """Before anything is paid: there is something to read, and a document id means one document."""
        if context is None and corpus is None:
            raise InvalidInput("nothing to read: give 'context' with the question, or make the graph with corpus=")
        if corpus is None:
            return
        if context is None and await run.face.block(corpus.is_empty):
            raise EmptyCorpus("the corpus holds no document: add some first, or give 'context' with the question")
        if context is not None and context["kind"] == "documents":
            await run.face.block(check_apart, contexts.documents(context), corpus, run.options.get("where"))


def _turns_left(state: Mapping[str, Any]) -> int:
    """Turns for which LangGraph's ``recursion_limit`` has room: two steps each, one that stops, one for the
    answer. A child takes none."""
    steps = state.get("rlm_steps")
    return 1_000_000 if steps is None else max(0, int(steps) - 2) // 2


def _task_of(prompt: str, text: Any) -> str:
    """A child's question: its prompt, or the beginning of one that is long because it is the child's context too."""
    if text is not None or len(prompt) <= CHILD_QUESTION_CHARS:
        return prompt
    return f"{prompt[:CHILD_QUESTION_CHARS]} …\n(The task is cut here; all of it is in `context`.)"


def _without_cell(reply: Mapping[str, Any]) -> Turn:
    return Turn(
        number=reply["number"], thought=reply["thought"], code="", output="", error=None, digest="", seconds=0.0,
        killed=False, calls={},
    )  # fmt: skip


def _as_answer(text: str) -> tuple[str, bool]:
    """A submitted answer in plain words, and whether it is one."""
    if (missing := absence_in(text)) is not None:
        return f"The text does not hold the answer{f': {missing}' if missing else '.'}", False
    return in_plain_words(text), answers_nothing(text) != "refusal"


def _as_text(final: Any) -> str:
    return final if isinstance(final, str) else json.dumps(final, ensure_ascii=False)


def _public(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state as a tool of the user's own may see it."""
    shown = {key: value for key, value in state.items() if not str(key).startswith("rlm_")}
    return shown | {"question": state["rlm_question"], "context": state["rlm_context"]}


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
