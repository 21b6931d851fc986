"""Children: the same loop one depth down, as deep as the limits say and no deeper. (Budget and failures: test_rlm_limits.)"""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_rlm import Limits, create_rlm
from tests.support import Ask, cell, scripted, text_of

ASK = {"question": "DEPTH 0", "context": "top"}


def nested(messages: Any) -> str:
    """Each level hands a piece of its context on, one level down."""
    depth = text_of(messages).count("DEPTH") and int(text_of(messages).split("DEPTH ")[1][0])
    return cell(f"FINAL(context + '>' + str(rlm_query('DEPTH {depth + 1}', context + '{depth}')))")


@pytest.mark.parametrize(
    ("most", "answer"),
    [(1, "top>SUB(DEPTH 1 top0)"), (2, "top>top0>SUB(DEPTH 2 top01)"), (3, "top>top0>top01>SUB(DEPTH 3 top012)")],
)
async def test_children_go_as_deep_as_allowed_and_the_sub_model_answers_below(most: int, answer: str, ask: Ask) -> None:
    sub = scripted(lambda messages: f"SUB({' '.join(messages[-1].text.split())})")
    done = await ask(create_rlm(scripted(nested), sub_model=sub, limits=Limits(max_depth=most)), ASK)
    assert done["answer"] == answer
    assert len(sub.requests) == 1
    assert done["usage"]["calls"] == most + 1


async def test_at_depth_zero_there_is_nobody_to_ask(ask: Ask) -> None:
    root = [cell("rlm_query('x')"), cell("llm_query_batched(['x'])"), cell("FINAL('alone')")]
    done = await ask(create_rlm(scripted(root), sub_model=scripted([]), limits=Limits(max_depth=0)), ASK)
    assert [turn["error"].splitlines()[-1] for turn in done["turns"][:2]] == [
        "NameError: name 'rlm_query' is not defined",
        "NameError: name 'llm_query_batched' is not defined",
    ]


@pytest.mark.parametrize(
    "attempt",
    [
        "rlm_query('DEPTH 9', 'x', max_depth=9)",
        "rlm_query('DEPTH 9', 'x', limits={'max_depth': 9})",
        "rlm_query('DEPTH 9', 'x', depth=0)",
        "import langgraph_rlm",
        "rlm_query.__globals__['limits'].max_depth = 9",
        "create_rlm()",
    ],
)
async def test_a_cell_cannot_raise_its_own_depth_or_limits(attempt: str, ask: Ask) -> None:
    sub = scripted(lambda messages: "the sub-model")
    root = scripted([cell(attempt), cell("FINAL(rlm_query('DEPTH 1', 'x'))")])
    done = await ask(create_rlm(root, sub_model=sub), ASK)
    assert done["turns"][0]["error"]
    assert done["answer"] == "the sub-model"
    assert len(root.requests) == 2, "no child has thought"


WIRE = "wire = next(c.cell_contents for c in grep.__closure__ if hasattr(c.cell_contents, 'call'))"
"""What a cell finds that looks behind its functions: it can send any message to the host."""


@pytest.mark.parametrize(
    "name", ["llm_query", "rlm_query", "rlm_query_batched", "child", "_children", "_scope", "__context__", "codex_exec"]
)
async def test_a_forged_call_of_what_this_run_does_not_have_ends_the_session_and_reaches_nobody(
    name: str, ask: Ask
) -> None:
    root = scripted([cell("kept = 1"), cell(WIRE, f"wire.call({name!r}, ('DEPTH 1', 'x'), {{}})"), cell("FINAL(kept)")])
    sub = scripted([])
    done = await ask(create_rlm(root, sub_model=sub, limits=Limits(max_depth=0)), ASK)
    assert [turn["killed"] for turn in done["turns"]] == [False, True, False]
    assert "a call that it cannot make" in done["turns"][1]["error"]
    assert done["answer"] == "1", "the session is rebuilt"
    assert (len(root.requests), sub.requests) == (3, [])


@pytest.mark.parametrize(
    "call",
    [
        "wire.call('rlm_query', ('DEPTH 2', 'x'), {'max_depth': 9})",
        "wire.call('rlm_query', ('DEPTH 2', 'x', '', 0), {})",
        "wire.call('rlm_query', ({'scope': {'max_depth': 9}}, 'x'), {})",
        "wire.call('llm_query', ('x',), {'limits': {'max_calls': 10**6}})",
    ],
)
async def test_a_forged_call_with_limits_of_its_own_is_a_type_error_at_every_depth(call: str, ask: Ask) -> None:
    def root(messages: Any) -> str:
        if "DEPTH 0" in messages[1].text:
            return cell("FINAL(rlm_query('DEPTH 1', 'x'))")
        return cell(WIRE, call) if len(messages) == 2 else cell("FINAL(rlm_query('DEPTH 2', 'x'))")

    model, sub = scripted(root), scripted(lambda messages: "the sub-model")
    done = await ask(create_rlm(model, sub_model=sub, limits=Limits(max_depth=2)), ASK)
    assert done["answer"] == "the sub-model"
    assert "TypeError: " in model.requests[2][-1].text
    assert (len(model.requests), len(sub.requests)) == (3, 1)


async def test_a_cell_that_sets_limits_of_its_own_sets_variables_and_nothing_else(ask: Ask) -> None:
    def root(messages: Any) -> str:
        return cell("max_calls = max_turns = max_depth = limits = 10**6", "print(llm_query(str(len(SHOW_VARS()))))")

    done = await ask(create_rlm(scripted(root), sub_model=scripted(lambda m: "ok"), limits=Limits(max_calls=6)), ASK)
    assert done["stop_reason"] == "budget"
    assert done["usage"]["calls"] == 6


async def test_children_have_their_own_context_and_variables_and_leave_none_behind(ask: Ask) -> None:
    def root(messages: Any) -> str:
        task = messages[1].text
        if "CHILD" in task:
            joined = "''.join(context)" if "list of 2 str" in task else "context"
            return cell(f"secret = {joined}.upper()", "FINAL({'secret': secret, 'seen': 'mine' in globals()})")
        if len(messages) < 4:
            return cell("mine = 1", "found = rlm_query_batched(['CHILD'] * 2, ['a', ['b', 'c']])")
        return cell("FINAL([found, 'secret' in globals(), context])")

    done = await ask(create_rlm(scripted(root), limits=Limits(max_depth=2)), ASK)
    assert done["answer"] == '[[{"secret": "A", "seen": false}, {"secret": "BC", "seen": false}], false, "top"]'
