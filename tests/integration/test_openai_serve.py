"""A graph behind OpenAI's protocol, by the real client: chat, responses, streams, keys, usage, what chat UIs ask beside."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from langgraph_rlm.integrations.openai_serve import openai_app

from langgraph_rlm import create_rlm, create_smart_rag
from langgraph_rlm.errors import MissingDependency
from langgraph_rlm.limits import Limits
from langgraph_rlm.server.keys import Caller, Keys
from langgraph_rlm.testing import ScriptedModel
from tests.support import by_role, cell, make_corpus, text_of

NAME = "langgraph-rlm"
ANNA, POOR = "anna-has-a-long-key", "poor-has-a-long-key"
ANSWER = "Parental leave is 16 weeks. [1]"
QUESTION: list[Any] = [{"role": "user", "content": "How many weeks is parental leave?"}]
KEYS = Keys({ANNA: Caller("anna"), POOR: Caller("poor", Limits(max_calls=0))})


@contextmanager
def serving(app: Any) -> Iterator[str]:
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join(10)


class Served:
    def __init__(self, url: str, model: ScriptedModel) -> None:
        self.url, self.model = url, model

    def client(self, key: str = ANNA) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    texts = {"leave.md": "Parental leave is 16 weeks.\n", **{f"{n}.md": f"Filler {n}. " * 900 for n in range(60)}}

    def reply(messages: Any) -> str:
        if "Generate a concise title" in text_of(messages):
            return "Leave"
        return answering(messages)

    answering = by_role(
        reader=f'{ANSWER}\nQUOTES\n[1] "Parental leave is 16 weeks."',
        root=lambda prompt, number: cell("answer['content'] = llm_query('x'); answer['ready'] = True"),
        sub="sixteen",
        condense="How many weeks is parental leave?",
    )
    model = ScriptedModel(reply, cost_usd=0.0, usage="auto", window=20_000)
    with make_corpus(tmp_path_factory.mktemp("openai"), texts) as corpus:
        graph = create_smart_rag(model, corpus=corpus, rlm={"sandbox": "unsafe"}, escalate=False)
        with serving(openai_app(graph, model, keys=KEYS)) as url:
            yield Served(url, model)


def test_a_question_is_answered_with_its_citations_and_the_usage_of_all_calls(served: Served) -> None:
    done = served.client().chat.completions.create(model=NAME, messages=QUESTION)
    message = done.choices[0].message
    assert message.content == ANSWER
    assert message.annotations is not None
    cited = message.annotations[0].url_citation
    assert (cited.title, cited.url) == ("leave.md:1", "corpus://leave.md#0-27")
    assert ANSWER[cited.start_index : cited.end_index + 1] == "Parental leave is 16 weeks."
    assert done.usage is not None
    assert done.usage.prompt_tokens > 50


def test_a_stream_has_the_tokens_of_the_answer_and_nothing_else(served: Served) -> None:
    parts = list(
        served.client().chat.completions.create(
            model=NAME, messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == ANSWER
    assert parts[-1].usage is not None


def test_earlier_messages_are_the_history(served: Served) -> None:
    history: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": "16."},
        {"role": "user", "content": "Is that sure?"},
    ]
    done = served.client().chat.completions.create(model=NAME, messages=history)
    assert done.choices[0].message.content == ANSWER
    assert any("You rewrite the last question" in text_of(request) for request in served.model.requests)


def test_responses_tell_what_happens_and_end_with_the_answer(served: Served) -> None:
    client = served.client()
    done = client.responses.create(model=NAME, input="How many weeks is parental leave?", store=False)
    assert done.output_text == ANSWER
    events = list(
        client.responses.create(model=NAME, input="How many weeks is parental leave?", store=False, stream=True)
    )
    told = [event.text for event in events if event.type == "response.output_text.done"]
    assert told[0].startswith("route: ")
    assert told[-1] == ANSWER
    assert events[-1].type == "response.completed"


@pytest.mark.parametrize(
    "prompt",
    [
        "### Task:\nGenerate a concise title for the chat",
        "Provide a concise, 5-word-or-less title: Generate a concise title",
    ],
)
def test_what_a_chat_ui_asks_for_itself_goes_to_the_model_alone(prompt: str, served: Served) -> None:
    before = len(served.model.requests)
    done = served.client().chat.completions.create(model=NAME, messages=[{"role": "user", "content": prompt}])
    assert done.choices[0].message.content == "Leave"
    assert len(served.model.requests) == before + 1
    assert "Parental" not in text_of(served.model.requests[-1])


@pytest.mark.parametrize("key", ["", "wrong-but-long-enough-key"])
def test_a_wrong_key_is_a_401(key: str, served: Served) -> None:
    with pytest.raises(openai.AuthenticationError, match="wants a key"):
        served.client(key or "-").chat.completions.create(model=NAME, messages=QUESTION)


def test_the_limits_of_a_key_hold(served: Served) -> None:
    before = len(served.model.requests)
    done = served.client(POOR).chat.completions.create(model=NAME, messages=QUESTION)
    assert done.choices[0].message.content != ANSWER
    assert len(served.model.requests) == before


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
                }
            ],
            400,
        ),
        ([{"role": "user", "content": " "}], 422),
        ([], 400),
    ],
)
def test_a_mistake_of_a_client_is_told(messages: list[Any], status: int, served: Served) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        served.client().chat.completions.create(model=NAME, messages=messages)
    assert refused.value.status_code == status


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langgraph_openai_serve", None)
    model = ScriptedModel(["x"])
    with pytest.raises(MissingDependency, match=r"langgraph-rlm\[openai-serve\]"):
        openai_app(create_rlm(model, sandbox="unsafe"), model)


def test_beyond_this_machine_nothing_is_served_without_keys(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "langgraph_rlm.cli",
        "serve",
        "--openai",
        "--index",
        str(tmp_path),
        "--host",
        "0.0.0.0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "at your cost" in done.stderr) == (2, True)


def test_a_client_that_leaves_ends_the_run(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    class Slow(ScriptedModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            import asyncio

            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.set()
                raise

    model = Slow(["never"], cost_usd=0.0, disable_streaming=True)
    with make_corpus(tmp_path, {"leave.md": "Parental leave is 16 weeks."}) as corpus:
        graph = create_smart_rag(model, corpus=corpus)
        with serving(openai_app(graph, model)) as url:
            client = openai.OpenAI(base_url=url, api_key="-", max_retries=0)
            stream = client.chat.completions.create(model=NAME, messages=QUESTION, stream=True)
            next(iter(stream))
            assert begun.wait(20)
            stream.close()
            assert ended.wait(20)
