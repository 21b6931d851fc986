"""What was found wrong in other implementations of recursive language models, and must never be found here.

One batch of a thousand prompts under a cap of ten cents: ``test_faults.py``. One client on two loops at once:
``test_model_calls.py``. A run that is killed and goes on: ``test_kill_resume.py``.
"""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_rlm import ContextStore, Limits, create_rlm
from langgraph_rlm.testing import ScriptedModel
from tests.support import Ask, cell, scripted, text_of

ASK = {"question": "Which?", "context": "some text"}


async def test_a_cell_that_raises_keeps_its_variables_and_the_sub_calls_it_has_paid_for(ask: Ask) -> None:
    sub = scripted(lambda messages: "paid")
    root = [cell("found = llm_query_batched(['a', 'b'])", "raise ValueError('late')"), cell("FINAL(' '.join(found))")]
    done = await ask(create_rlm(scripted(root), sub_model=sub), ASK)
    assert done["answer"] == "paid paid"
    assert "ValueError: late" in done["turns"][0]["error"]
    assert len(sub.requests) == 2


async def test_what_children_spend_counts_under_the_cap_of_the_root(ask: Ask) -> None:
    def root(messages: Any) -> str:
        if "do it" in text_of(messages[:2]):
            return cell("llm_query('x' * 1000)")  # never ends by itself
        return cell("print(rlm_query_batched(['do it'] * 4))", "FINAL('over')")

    usage = {"input_tokens": 2_000, "output_tokens": 1_000, "total_tokens": 3_000}
    dear = ScriptedModel(root, name="gpt-4o", usage=usage)  # 0.015 USD a call
    done = await ask(create_rlm(dear, limits=Limits(max_cost_usd=0.10, max_depth=2, max_turns=50)), ASK)
    assert 0.05 < done["usage"]["cost_usd"] <= 0.10
    assert done["usage"]["calls"] == len(dear.requests)


async def test_an_endless_loop_is_ended_by_the_time_limit(ask: Ask) -> None:
    done = await ask(create_rlm(scripted([cell("while True: pass")]), limits=Limits(max_seconds=1.0)), ASK)
    assert done["stop_reason"] == "deadline"
    assert done["usage"]["seconds"] < 30


async def test_children_side_by_side_share_neither_output_nor_variables_nor_a_directory(ask: Ask) -> None:
    def root(messages: Any) -> str:
        told = text_of(messages)
        number = next((n for n in range(8) if f"child {n}." in told), None)
        if number is None:
            prompts = [f"child {n}." for n in range(8)]
            return cell(f"found = rlm_query_batched({prompts}, [str(n) for n in range(8)])", "FINAL(found)")
        if "printed" not in told:
            return cell(
                "import os",
                "assert 'mine' not in globals()",
                f"mine = {number}",
                "try:\n    os.chdir('/tmp')\nexcept OSError:\n    pass",
                "for _ in range(50): print('printed', mine, context)",
            )
        shown = messages[-1].text + "".join(m.text for m in messages if m.type != "system")
        others = [n for n in range(8) if n != number and f"printed {n} " in shown]
        return cell(f"FINAL([mine, context, {others}])")

    done = await ask(create_rlm(scripted(root), limits=Limits(max_depth=2)), ASK)
    assert done["answer"] == str([[n, str(n), []] for n in range(8)]).replace("'", '"')


async def test_a_failed_sub_call_is_a_value_that_cannot_pass_for_an_answer(ask: Ask) -> None:
    class Refused(Exception):
        status_code = 400

    sub = scripted(lambda messages: Refused() if "bad" in messages[-1].text else "good")
    code = "a, b = llm_query_batched(['good', 'bad'])\nprint(bool(b), isinstance(b, str), b.category, 'Error' in a)"
    done = await ask(create_rlm(scripted([cell(code), cell("FINAL(a)")]), sub_model=sub), ASK)
    assert done["turns"][0]["output"].startswith("False False refused False\n")
    assert "1 of 2 answered" in done["turns"][0]["output"]


@pytest.mark.parametrize("fence", ["python", "repl", "py", "Python"])
async def test_cells_in_fences_of_every_usual_name_are_run(fence: str, ask: Ask) -> None:
    done = await ask(create_rlm(scripted([f"I look.\n```{fence}\nFINAL(len(context))\n```"])), ASK)
    assert done["answer"] == "9"


def test_no_file_and_no_log_holds_the_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = "a line of the text that stays where it is\n" * 100_000
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        turns = [cell(f"print(context[{n}:{n} + 2000])") for n in range(9)]
        graph = create_rlm(
            scripted([*turns, cell("FINAL('done')")]), contexts=ContextStore(tmp_path / "contexts"), checkpointer=saver
        )
        graph.invoke({"question": "Which?", "context": text}, {"configurable": {"thread_id": "1"}})
    held = {path.name: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
    assert sum(size for name, size in held.items() if name.endswith(".ctx")) > 4_000_000, "once"
    assert sum(size for name, size in held.items() if not name.endswith(".ctx")) < 1_000_000
    assert len(caplog.text) < 100_000


async def test_the_context_is_not_sent_again_with_every_turn(ask: Ask) -> None:
    root = scripted([cell(f"print({n})") for n in range(5)] + [cell("FINAL(1)")])
    await ask(create_rlm(root), {"question": "Which?", "context": "x" * 4_000_000})
    sizes = [len(text_of(request)) for request in root.requests]
    assert max(sizes) < 20_000
    assert max(later - earlier for earlier, later in itertools.pairwise(sizes)) < 500


def test_the_end_of_a_run_does_not_wait_for_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    graph = create_rlm(scripted(lambda messages: cell("FINAL(1)")))
    graph.invoke(ASK)  # what is started once is started

    def sleep(seconds: float) -> None:
        raise AssertionError(f"something sleeps for {seconds} s")

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr("langgraph_rlm.testing.time.sleep", lambda seconds: None)
    assert graph.invoke(ASK)["answer"] == "1"
