"""How a recursive run ends that has no answer of its own: at a limit, or when the model writes nothing that can run."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.refusals import answers_nothing
from langgraph_rlm.errors import LimitReached, ModelError
from langgraph_rlm.graphs.fitting import fitting
from langgraph_rlm.graphs.parsing import parse_reply
from langgraph_rlm.graphs.prompts import WRAP_UP, root_messages, root_system
from langgraph_rlm.graphs.state import RLMState
from langgraph_rlm.runs.run import Run
from langgraph_rlm.types import Citation

MOST_CITATIONS = 1_000
"""Of a run; they are part of its state."""
REPLIES_WITHOUT_CELL = 3
"""In a row, until the run is given up."""
MOST_EVIDENCE, EVIDENCE_CHARS = 3, 300
"""Places, and characters of each, that a run without an answer shows: some lines to go on from, no document."""
NO_ANSWER = "(no answer: "
"""Begins what stands in place of a reply that holds none."""
_NOT_SUPPORTED = "Retrieved passages say, but do not fully support:"
LIMITS = {"turns": "max_turns", "budget": "max_calls, max_tokens or max_cost_usd", "deadline": "max_seconds"}
CATEGORIES = {"turns": "budget", "budget": "budget", "deadline": "timeout", "error": "invalid_output"}
REASONS = {
    "turns": "all turns are used",
    "budget": "the budget is used up",
    "deadline": "the time is over",
    "error": f"the model wrote no cell {REPLIES_WITHOUT_CELL} times in a row, or too many requests to it failed",
}


async def best_answer(
    state: RLMState, draft: str, root: ModelCaller, run: Run, account: Account
) -> tuple[str, list[Citation], bool]:
    """What a stopped run can say, its citations, and whether that is an answer: never a refusal, code, or what the
    model happened to say in its last turn."""
    reason = REASONS[state["stop_reason"]]
    earlier, citations = state.get("rlm_earlier"), state["citations"]
    best = "" if answers_nothing(draft) not in (None, "bare") else draft
    if not best and state["stop_reason"] == "turns":
        best = await _wrapped_up(state, root, run, account)
    if not best and state["stop_reason"] == "error" and state["turns"]:
        said = state["turns"][-1]["thought"].strip()  # it answered in words, again and again
        nothing = "missing" if said.startswith(NO_ANSWER) else answers_nothing(said)
        best = said if nothing is None else ""
        if nothing in ("missing", "refusal"):
            reason = f"{reason}; it said: {' '.join(said.split())[:EVIDENCE_CHARS]}"
    if not best and earlier is not None:
        best = f"{_NOT_SUPPORTED} {earlier['answer']}"
        citations = merged(earlier["citations"], citations)
    if best:
        return f"Partial answer ({reason}): {best.strip()}", citations, True
    return f"No answer was found ({reason}).{_evidence(state)}", citations, False


async def _wrapped_up(state: RLMState, root: ModelCaller, run: Run, account: Account) -> str:
    """What the model makes of the outputs when no turn is left; empty when that is nothing."""
    left, system = account.budget.left(), root_system([], strategy=None)
    room = root.room(system, state["rlm_task"], left, WRAP_UP)
    messages = root_messages(system, state["rlm_task"], fitting(state["turns"], room), left)
    try:
        key = f"{state['rlm_session']}/best"  # the line with what is left differs in a replay
        asked = [*messages, HumanMessage(WRAP_UP)]
        reply = await root.ask(asked, account=account, config=run.config, role="root", key=key)
    except (LimitReached, ModelError):
        return ""
    said = parse_reply(reply.text).thought
    return said if answers_nothing(said) is None else ""


def _evidence(state: RLMState) -> str:
    """The best evidence of a run without an answer, in a few lines."""
    places = [f"{c['doc_id']}:{c['line']}: {' '.join(c['quote'].split())}" for c in state["citations"] if c["verified"]]
    places += [f"{hit['doc_id']}:{hit['line']}: {' '.join(hit['text'].split())}" for hit in state["rlm_hits"]]
    outputs = [" ".join(turn["output"].split()) for turn in state["turns"] if turn["output"].strip()]
    shown = [one[:EVIDENCE_CHARS] for one in (places[:MOST_EVIDENCE] or outputs[-1:])]
    if not shown:
        return ""
    return "\nThe best evidence so far:\n" + "\n".join(f"- {one}" for one in shown)


def merged(known: list[Citation], new: list[Citation]) -> list[Citation]:
    """Citations, each once."""
    merged = {tuple(citation.values()): citation for citation in [*known, *new]}
    return list(merged.values())[:MOST_CITATIONS]
