"""A server that echoes the key in its errors: the key is in nothing that a run shows, sends or keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import ContextStore, Limits, create_rlm
from tests.openai_server import OpenAIServer, ServerReply, failure
from tests.support import cell, scripted, text_of

QUESTION = {"question": "q?", "context": "some text " * 100}


def echoing(server: OpenAIServer) -> None:
    server.reply = lambda request: failure(400, message=f"bad header Bearer {server.key}, api_key={server.key}")


async def test_a_key_is_in_no_prompt_turn_event_memo_or_checkpoint(openai_server: OpenAIServer, tmp_path: Path) -> None:
    echoing(openai_server)
    root = scripted([cell("r = llm_query('a')", "print(r.message)"), cell("FINAL(r.message)")])
    saver, events, last = InMemorySaver(), list[Any](), dict[str, Any]()
    graph = create_rlm(
        root, sub_model=openai_server.chat_model(), contexts=ContextStore(tmp_path), checkpointer=saver,
        limits=Limits(max_cost_usd=None),
    )  # fmt: skip
    config: Any = {"configurable": {"thread_id": "1"}}
    async for mode, value in graph.astream(QUESTION, config, stream_mode=["custom", "values"]):
        events.append(value) if mode == "custom" else last.update(value)
    assert "[key]" in last["answer"], "the error itself is told"
    seen = {
        "result": repr(last),
        "events": repr(events),
        "prompts": "".join(map(text_of, root.requests)),
        "checkpoints": repr(saver.storage) + repr(saver.blobs) + repr(saver.writes),
        "graph": repr(graph),
        "files": "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()),
    }
    assert [place for place, text in seen.items() if openai_server.key in text] == []


async def test_a_run_whose_requests_all_fail_ends_with_error_after_so_many(
    openai_server: OpenAIServer, pauses: Any
) -> None:
    openai_server.reply = lambda request: ServerReply(status=500, body=b"{}")
    root = scripted([cell("rs = llm_query_batched([f'{n}' for n in range(50)])", "print(rs)"), cell("FINAL('x')")])
    graph = create_rlm(root, sub_model=openai_server.chat_model(), limits=Limits(max_calls=20, max_cost_usd=None))
    done = await graph.ainvoke(QUESTION)
    assert done["stop_reason"] == "error"
    assert len(openai_server.chats) == 20 == done["usage"]["failed_requests"]
    assert (done["usage"]["calls"], done["usage"]["requests"]) == (1, 21)
