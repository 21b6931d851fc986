"""Tools of the user's own in cells: called, checked, limited in time and size, recorded, and never run twice by a replay."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, ToolException, tool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt
from pydantic import BaseModel, Field

from langgraph_rlm import CellTool, create_rlm, create_smart_rag
from langgraph_rlm.errors import InvalidInput
from tests.support import Ask, cell, make_corpus, scripted, text_of

ASKED = {"question": "How much?", "context": "some text"}


async def said(ask: Ask, tools: Any, *code: str, config: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
    """What a cell gets, as JSON, and the result of the run."""
    model = scripted(lambda messages: cell(*code))
    graph = create_rlm(model, tools=tools, sandbox="unsafe", **options)
    done = await ask(graph, ASKED, config)
    assert done["turns"][0]["error"] is None, done["turns"][0]["error"]
    return json.loads(done["answer"]), done


def add(a: int, b: int = 2) -> int:
    """Adds two numbers."""
    return a + b


async def aadd(a: int, b: int = 2) -> int:
    """Adds two numbers, later."""
    await asyncio.sleep(0)
    return a + b


@tool
def shout(text: str) -> str:
    """Shouts."""
    return text.upper()


class Price(BaseTool):
    """A tool as a class."""

    name: str = "price-of"
    description: str = "What an article costs."

    def _run(self, article: str, config: RunnableConfig) -> dict[str, Any]:
        return {"article": article, "tagged": bool(config)}


async def test_functions_and_langchain_tools_are_functions_of_cells(ask: Ask) -> None:
    got, done = await said(
        ask,
        [add, aadd, shout, Price()],
        "FINAL([add(1), add(1, 5), aadd(a=3), shout('hi'), price_of('nail')])",
    )
    assert got == [3, 6, 5, "HI", {"article": "nail", "tagged": True}]
    assert done["turns"][0]["calls"] == {"add": 2, "aadd": 1, "shout": 1, "price_of": 1}
    assert done["usage"]["calls"] == 1, "tools are not counted"


async def test_the_prompt_has_their_names_signatures_and_descriptions(ask: Ask) -> None:
    seen: list[str] = []

    def reply(messages: Any) -> str:
        seen.append(text_of(messages))
        return cell("FINAL(add(1))")

    await ask(create_rlm(scripted(reply), tools=[add, shout, Price()], sandbox="unsafe"), ASKED)
    for line in (
        "- `add(a: int, b: int = 2)` Adds two numbers.",
        "- `shout(text: str)` Shouts.",
        "- `price_of(article: str)` What an article costs.",
    ):
        assert line in seen[0]


async def test_smart_rag_gives_its_recursive_route_tools(ask: Ask, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, {"a.md": "text"})
    model = scripted(lambda messages: cell("FINAL(add(20, 22))"))
    graph = create_smart_rag(model, corpus=corpus, rlm={"tools": [add], "sandbox": "unsafe"})
    done = await ask(graph, {"question": "?"}, {"configurable": {"rlm": {"route": "rlm"}}})
    assert done["answer"] == "42"


async def test_children_have_them_too(ask: Ask) -> None:
    def reply(messages: Any) -> str:
        return cell("FINAL(add(40))") if "CHILD" in messages[1].text else cell("FINAL(rlm_query('CHILD'))")

    graph = create_rlm(scripted(reply), tools=[add], sandbox="unsafe", limits={"max_depth": 2})
    assert (await ask(graph, ASKED))["answer"] == "42"


# --- arguments --------------------------------------------------------------------------------------------------------


class Order(BaseModel):
    article: str
    pieces: int = Field(ge=1, le=10)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("add('x')", "add(): a: Input should be a valid integer, unable to parse string as an integer (got 'x')"),
        ("add()", "add(): a: Field required"),
        ("add(1, 2, 3)", "add() takes 2 arguments, got 3"),
        ("add(1, c=3)", "add() has no argument 'c'; it takes a, b"),
        ("add(1, a=3)", "add() got 'a' twice"),
        ("order('nail', 11)", "order(): pieces: Input should be less than or equal to 10 (got 11)"),
        ("remote(days='x')", "remote(): $.days: 'x' is not of type 'integer'"),
        ("remote(1, 2)", "remote() takes 1 arguments, got 2"),
    ],
)
async def test_a_wrong_argument_is_told_to_the_cell_and_the_tool_does_not_run(call: str, says: str, ask: Ask) -> None:
    ran: list[Any] = []

    def order(article: str, pieces: int) -> str:
        ran.append(article)
        return article

    async def remote(**values: Any) -> Any:
        ran.append(values)
        return values, None

    ordering = StructuredTool.from_function(order, description="Orders.", args_schema=Order)
    got, _ = await said(
        ask, [add, ordering, as_mcp("remote", remote)],
        "try:", f"    {call}", "except Exception as error:", "    FINAL([type(error).__name__, str(error)])",
    )  # fmt: skip
    assert got[0] == "ValueError"
    assert says in got[1]
    assert ran == []


def as_mcp(name: str, coroutine: Any) -> StructuredTool:
    """A tool as ``langchain-mcp-adapters`` makes it: JSON schema, coroutine only, content blocks and an artifact."""
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "additionalProperties": False}
    return StructuredTool(
        name=name, description="Of a server.", args_schema=schema, coroutine=coroutine,
        response_format="content_and_artifact",
    )  # fmt: skip


async def test_a_tool_of_an_mcp_server_gives_its_text(ask: Ask) -> None:
    async def forecast(runtime: Annotated[Any, InjectedToolArg()] = None, **given: Any) -> Any:
        assert runtime.state["question"] == ASKED["question"]
        days = given["days"]
        return [{"type": "text", "text": f"{days} days"}, {"type": "text", "text": "of rain"}], {"raw": "not for cells"}

    got, _ = await said(ask, [as_mcp("get-forecast.v1", forecast)], "FINAL([get_forecast_v1(days=3)])")
    assert got == ["3 days\nof rain"]


async def test_tools_get_runtime_state_store_and_config(ask: Ask) -> None:
    @tool
    def about(key: str, runtime: ToolRuntime) -> list[Any]:
        """Looks around."""
        runtime.stream_writer({"from": "the tool"})
        kept = runtime.store.get(("notes",), key) if runtime.store else None
        return [runtime.state["question"], kept and kept.value["text"], "callbacks" in runtime.config]

    @tool
    def marked(
        x: int, question: Annotated[str, InjectedState("question")], store: Annotated[Any, InjectedStore()]
    ) -> list[Any]:
        """Takes what it is given."""
        return [x, question, store.get(("notes",), "a").value["text"]]

    store = InMemoryStore()
    store.put(("notes",), "a", {"text": "kept"})
    got, _ = await said(ask, [about, marked], "FINAL([about('a'), marked(1)])", store=store)
    assert got == [["How much?", "kept", True], [1, "How much?", "kept"]]


# --- what comes of a call ---------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int
    y: int


def raises(what: str) -> str:
    """Raises."""
    if what == "value":
        raise ValueError("unknown customer 7; api_key=sk-abcdefgh12345678")
    if what == "tool":
        raise ToolException("try another day")
    raise RuntimeError("in /home/somebody/secret.py")


def circular() -> Any:
    """Has no end."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("function", "category", "says"),
    [
        (lambda: raises("value"), "tool", "f: unknown customer 7; api_key=[key]"),
        (lambda: raises("tool"), "tool", "f: try another day"),
        (lambda: raises("host"), "tool", "f failed (RuntimeError)"),
        (lambda: "x" * 50_000_000, "too_long", "f gave 50,000,000 characters, at most 8,000,000 are taken"),
        (lambda: ["x" * 1_000] * 50_000, "too_long", "at most 8,000,000"),
        (lambda: object(), "invalid_output", "f gave a object, which is no JSON value"),
        (lambda: float("nan"), "invalid_output", "no JSON value"),
        (lambda: 1 << 80, "invalid_output", "no JSON value"),
        (circular, "invalid_output", "no JSON value"),
        (lambda: Command(goto="end"), "refused", "a Command, which steers a graph"),
        (lambda: interrupt("may I?"), "refused", "asks a person"),
    ],
)
async def test_a_call_that_fails_is_a_call_error_of_the_cell(
    function: Callable[[], Any], category: str, says: str, ask: Ask
) -> None:
    def f() -> Any:
        """Does it."""
        return function()

    got, done = await said(ask, [f], "e = f()", "FINAL([bool(e), e.category, e.message])")
    assert got[:2] == [False, category]
    assert says in got[2]
    assert "somebody" not in json.dumps(done, default=str)


async def test_results_are_values_of_json(ask: Ask) -> None:
    class Model(BaseModel):
        name: str

    def many() -> Any:
        """Gives many things."""
        return {"p": Point(1, 2), "m": Model(name="n"), "t": (1, 2), "s": {3}, "none": None, 5: "five", "b": b"bytes"}

    got, _ = await said(ask, [many], "FINAL(many())")
    assert got == {"p": {"x": 1, "y": 2}, "m": {"name": "n"}, "t": [1, 2], "s": [3], "none": None, "5": "five", "b": "bytes"}  # fmt: skip


async def test_a_tool_that_hangs_ends_with_its_time_limit(ask: Ask) -> None:
    release = threading.Event()

    def hangs() -> str:
        """Hangs."""
        release.wait(60)
        return "too late"

    async def ahangs() -> str:
        """Hangs."""
        await asyncio.sleep(60)
        return "too late"

    began = time.monotonic()
    got, _ = await said(
        ask, [CellTool(hangs, timeout=0.1), ahangs], "a, b = hangs(), ahangs()", "FINAL([a.category, a.message, b.message])",
        tool_timeout=0.2,
    )  # fmt: skip
    release.set()
    assert got == ["timeout", "hangs had no answer after 0.1 s", "ahangs had no answer after 0.2 s"]
    assert time.monotonic() - began < 30


async def test_an_async_only_tool_of_a_sync_run_shares_the_loop_of_all_its_calls(ask: Ask) -> None:
    loops: list[Any] = []

    async def which() -> int:
        """Notes its loop."""
        loops.append(asyncio.get_running_loop())
        return len(loops)

    got, _ = await said(ask, [which], "FINAL([which(), which()])")
    assert got == [1, 2]
    assert loops[0] is loops[1]


async def test_calls_of_threads_of_a_cell_run_side_by_side(ask: Ask) -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(name: str) -> str:
        """Waits for the other one."""
        both.wait()
        return name

    got, _ = await said(
        ask, [meet], "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor(2) as pool:", "    FINAL(sorted(pool.map(meet, ['a', 'b'])))",
    )  # fmt: skip
    assert got == ["a", "b"]


async def test_a_tool_that_counts_is_held_by_max_calls(ask: Ask) -> None:
    got, done = await said(
        ask, [CellTool(add, counts=True)], "found = [add(n) for n in range(4)]",
        "FINAL([getattr(one, 'category', one) for one in found])", limits={"max_calls": 4},
    )  # fmt: skip
    assert got == [2, 3, 4, "budget"]
    assert done["usage"]["calls"] == 4
    assert done["usage"]["cost_usd"] == 0.0


# --- refused when the graph is made -----------------------------------------------------------------------------------


def commands(x: str) -> Command[Any]:
    """Steers."""
    return Command(goto=x)


def makes_command(x: str) -> Any:
    """Steers."""
    return Command(goto=x)


@tool
def asks(x: str) -> str:
    """Asks a person."""
    return str(interrupt(x))


def asks_from_within(x: str) -> str:
    """Asks a person."""
    from langgraph.types import interrupt as ask

    return str(ask(x))


def grep(x: str) -> str:
    """Has a name that cells have."""
    return x


def anybody(x: str, who: Annotated[str, InjectedToolArg]) -> str:
    """Has an argument that only some agent knows."""
    return x + who


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ([commands], "'commands' returns a Command"),
        ([makes_command], "'makes_command' makes a Command"),
        ([asks], "'asks' asks a person"),
        ([asks_from_within], "'asks_from_within' asks a person"),
        ([grep], "'grep' is the name of something that cells have already"),
        ([StructuredTool.from_function(add, name="FINAL")], "'FINAL' is the name"),
        ([StructuredTool.from_function(add, name="print")], "'print' is the name"),
        ([StructuredTool.from_function(add, name="2nd")], "'2nd' cannot be the name"),
        ([add, add], "two of them have the name 'add'"),
        ([lambda x: x], "no name that a cell could call"),
        (["add"], "expected a LangChain tool or a function, got 'add'"),
        (add, "expected a list of tools and functions, got function"),
        ({"add": add}, "expected a list"),
        ([CellTool(add, timeout=0)], "timeout of 'add' must be a number of seconds above 0, not 0"),
        ([anybody], "has 'who' filled in by somebody"),
        ([dict], "expected a LangChain tool or a function"),
    ],
)
def test_a_tool_that_cells_cannot_call_is_refused_by_name(tools: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        create_rlm(scripted([]), tools=tools)


# --- replays ----------------------------------------------------------------------------------------------------------


async def test_a_rebuilt_repl_gets_what_the_tool_gave_before(ask: Ask) -> None:
    """The second cell ends the REPL, so that the first one is run again."""
    ran: list[int] = []

    def ticket() -> int:
        """Draws a ticket."""
        ran.append(1)
        if len(ran) == 2:
            raise ValueError("sold out")
        return len(ran)

    script = [cell("a, b = ticket(), ticket()"), cell("import os", "os._exit(1)"), cell("FINAL([a, b.message])")]
    done = await ask(create_rlm(scripted(script), tools=[ticket], sandbox="unsafe"), ASKED)
    assert json.loads(done["answer"]) == [1, "ticket: sold out"]
    assert len(ran) == 2


DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph_rlm import ContextStore, create_rlm
from langgraph_rlm.testing import ScriptedModel

folder, dies = Path(sys.argv[1]), sys.argv[2] == "dies"

def pay(amount: int) -> str:
    "Pays."
    with (folder / "paid").open("a") as file:
        file.write(f"{amount}\\n")
    if dies and amount == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"paid {amount}"

def reply(messages):
    if len(messages) > 2:
        (folder / "told").write_text(messages[-1].text + messages[-2].text)
        return "```repl\\nFINAL(str(a))\\n```"
    return "```repl\\na = [getattr(one, 'message', one) for one in (pay(1), pay(2))]\\n```"

with SqliteSaver.from_conn_string(str(folder / "saved.sqlite")) as saver:
    graph = create_rlm(
        ScriptedModel(reply, cost_usd=0.0), tools=[pay], contexts=ContextStore(folder / "contexts"), checkpointer=saver
    )
    config = {"configurable": {"thread_id": "1"}}
    given = None if graph.get_state(config).next else {"question": "?", "context": "text"}
    print(graph.invoke(given, config, durability="sync")["answer"])
"""


def test_a_tool_that_was_cut_off_by_the_end_of_the_process_is_run_once_more_and_no_third_time(tmp_path: Path) -> None:
    def run(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", DYING, str(tmp_path), how]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ})

    assert run("dies").returncode == -signal.SIGKILL
    assert (tmp_path / "paid").read_text().split() == ["1", "2"]
    again = run("lives")
    assert "paid 1" in again.stdout, again.stderr
    assert (tmp_path / "paid").read_text().split() == ["1", "2", "2"], "the first call was answered"
    assert "the process ended in the middle of this call" in (tmp_path / "told").read_text()


def test_a_tool_that_was_cut_off_twice_is_not_run_again(tmp_path: Path) -> None:
    def run(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", DYING, str(tmp_path), how]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ})

    assert [run("dies").returncode for _ in range(2)] == [-signal.SIGKILL] * 2
    last = run("lives")
    assert "pay was cut off 2 times when the process ended; not run again" in last.stdout, last.stderr
    assert (tmp_path / "paid").read_text().split() == ["1", "2", "2"]


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_calls_are_told_as_events_with_previews(ask: Ask) -> None:
    def echo(text: str) -> str:
        """Echoes."""
        return text

    graph = create_rlm(
        scripted(lambda messages: cell("x = echo(context)", "FINAL(len(x))")), tools=[echo], sandbox="unsafe"
    )
    events = [e async for e in graph.astream({"question": "?", "context": "secret " * 100_000}, stream_mode="custom")]
    (start,) = [e for e in events if e["event"] == "call_start" and e["role"] == "tool"]
    (end,) = [e for e in events if e["event"] == "call_end" and e["role"] == "tool"]
    assert (start["name"], end["name"], end["started"], end["error"], start["turn"]) == ("echo", "echo", start["sequence"], None, 1)  # fmt: skip
    assert all(len(json.dumps(event)) < 4_000 for event in events)


async def test_what_a_tool_of_langchain_returns_as_message_is_its_content(ask: Ask) -> None:
    def message() -> Any:
        """Gives a message."""
        return ToolMessage("hello", tool_call_id="1")

    got, _ = await said(ask, [message], "FINAL([message()])")
    assert got == ["hello"]


SERVER = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("weather")

@server.tool(name="get-forecast")
def get_forecast(city: str, days: int = 1) -> str:
    "The weather of the next days."
    if city == "Atlantis":
        raise ValueError("no such city")
    return f"{city}: {days} days of rain"

server.run()
"""


async def test_tools_of_a_real_mcp_server_are_called_by_cells(ask: Ask, tmp_path: Path) -> None:
    """Where langchain-mcp-adapters is installed, which cannot live beside mcp 2."""
    client = pytest.importorskip("langchain_mcp_adapters.client", exc_type=ImportError)
    (tmp_path / "server.py").write_text(SERVER)
    server = {"command": sys.executable, "args": [str(tmp_path / "server.py")], "transport": "stdio"}
    tools = await client.MultiServerMCPClient({"weather": server}).get_tools()
    got, _ = await said(
        ask,
        tools,
        "FINAL([get_forecast('Paris', days=3), get_forecast(city='Rome'), get_forecast('Atlantis').category])",
    )
    assert got == ["Paris: 3 days of rain", "Rome: 1 days of rain", "tool"]
