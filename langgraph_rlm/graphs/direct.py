"""The direct route: everything there is to read, in one prompt."""

from __future__ import annotations

from typing import Any

from langgraph_rlm.errors import EmptyCorpus, InvalidInput, LimitReached, ModelError
from langgraph_rlm.graphs.answering import Answering, kept_by_parents
from langgraph_rlm.graphs.nodes import Node
from langgraph_rlm.graphs.packing import cost_of
from langgraph_rlm.graphs.prompts import reader_messages
from langgraph_rlm.graphs.reading import Reading, read_answer, whole_documents
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.state import SmartState
from langgraph_rlm.graphs.structured import structured
from langgraph_rlm.graphs.telling import tell_budget
from langgraph_rlm.runs.run import Run
from langgraph_rlm.types import Grade, Hit


def direct_node(shared: Shared, *, system_prompt: str | None = None) -> Node:
    """The node that reads everything at once.

    Args:
        shared: of the graph.
        system_prompt: added to the instructions for the model.
    """
    return Node(_Direct(shared, system_prompt).answer, "direct", shared.keys)


class _Direct:
    def __init__(self, shared: Shared, system_prompt: str | None) -> None:
        self._shared, self._model, self._extra = shared, shared.root, system_prompt

    async def answer(self, state: SmartState, run: Run) -> dict[str, Any]:
        account = await self._shared.accounts.opened(run, state["rlm_run"], state.get("usage"))
        stop_reason, response, grade, question = "answered", None, None, state["rlm_question"]
        said = Answering(run, state["rlm_answer_id"])
        try:
            hits = await self._everything(state, run)
            reading = await read_answer(
                self._model, question, hits, account=account, run=run, extra=self._extra, tokens=said.tokens
            )
            if reading.found:
                response, stop_reason = await structured(
                    reading.answer, self._shared.shape, question=question, model=self._model, account=account, run=run
                )
        except LimitReached as reached:
            stop_reason, reading = reached.stop_reason, Reading(f"Partial answer: {reached}.", [], False)
        except ModelError as error:
            if error.category != "too_long" or state["rlm_forced"]:
                raise
            # Its window is smaller than it says. The recursive route reads piece by piece.
            reading = Reading("The model cannot read all of it at once.", [], False)
            grade = Grade(supported=False, reasons=["it is too long for the model to read at once"])
            said = Answering(run, said.id, held=True)
        messages = said.messages(reading.answer)
        run.emit("answer", message_id=said.id, stop_reason=stop_reason)
        tell_budget(run, account)
        update = {
            "answer": reading.answer,
            "found": reading.found,
            "grade": grade,
            "structured_response": response,
            "citations": reading.citations,
            "usage": account.budget.usage(),
            "stop_reason": stop_reason,
            "messages": messages,
            "rlm_answer_id": said.id,
            "rlm_held": grade is not None,
        }
        return kept_by_parents(update, "direct")

    async def _everything(self, state: SmartState, run: Run) -> list[Hit]:
        ref, where = state["rlm_context"], run.options.get("where")
        if ref is not None:
            contexts = await run.contexts(self._shared.contexts)
            self._check_readable(ref["chars"], "context")
            ids = contexts.documents(ref)
            texts = await run.face.block(lambda: [(i, contexts.read(ref, i)) for i in ids])
            return self._checked(whole_documents(texts, "context"), state)
        assert self._shared.corpus is not None  # checked by the factory
        corpus = await run.corpus(self._shared.corpus)
        listed = await run.face.block(corpus.list_documents, where)
        if not listed and not where:
            raise EmptyCorpus("the corpus holds no document: add some first")
        self._check_readable(sum(entry["chars"] for entry in listed), "documents")
        ids = [entry["doc_id"] for entry in listed]
        texts = await run.face.block(lambda: [(one, corpus.read(one, where=where)) for one in ids])
        return self._checked(whole_documents(texts, "corpus"), state)

    def _check_readable(self, chars: int, what: str) -> None:
        """A forced direct route may meet any size: nothing is read that cannot fit."""
        if chars > self._model.window * 3:
            raise InvalidInput(
                f"the direct route reads everything at once, but there are {chars:,} characters ({what}) and the model's "
                f"window is {self._model.window:,} tokens: ask for 'rag' or 'rlm'"
            )

    def _checked(self, hits: list[Hit], state: SmartState) -> list[Hit]:
        """With the marks around each text: many short ones need more of these than of themselves.

        Raises:
            ModelError: too long (not sent, nothing is paid).
        """
        empty = reader_messages(state["rlm_question"], [], extra=self._extra)
        tokens, room = sum(map(cost_of, hits)), self._model.window
        if tokens > room - sum(len(message.text) // 4 for message in empty):
            raise ModelError(
                f"{len(hits):,} texts with their marks have about {tokens:,} tokens, and the model's window is {room:,}: ask "
                "for 'rlm', or give the size of the window with window=",
                category="too_long",
            )
        return hits
