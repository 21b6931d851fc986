"""Doubles and suites for tests: a chat model that plays a script, what every vector index and every sandbox has to pass."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from langgraph_rlm.budget import CHARS_PER_TOKEN
from langgraph_rlm.errors import InvalidInput, RLMError

Answer = str | AIMessage | BaseException
"""What one request gets; an exception is raised instead of answered."""
Reply = Answer | Callable[[list[BaseMessage]], Answer]


def __getattr__(name: str) -> Any:
    if name == "IndexConformance":  # needs pytest, which users of the model need not have
        from langgraph_rlm.conformance import IndexConformance

        return IndexConformance
    if name == "ReplConformance":  # as above
        from langgraph_rlm.repl_conformance import ReplConformance

        return ReplConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ScriptExhausted(RLMError, AssertionError):
    """A request came after the last reply of the script."""


class ScriptedModel(BaseChatModel):
    """Answers requests from a script and remembers each of them.

    Works like any chat model: ``invoke``, ``ainvoke``, ``stream`` and ``astream`` (in pieces of a word), ``batch``,
    ``bind_tools``. Several threads and event loops may share one; each reply of a sequence is then given once, in the
    order in which the requests arrive. Copies share the script and the requests.

    Args:
        replies: one reply per request, in order; or one function that answers them all. A reply is a text, an
            ``AIMessage``, an exception to raise, or a function from the messages to one of these.
        name: the model's name in ``response_metadata["model_name"]``; ``"scripted"`` unless given.
        usage: None reports no tokens, as some servers do; ``"auto"`` counts four characters as a token; a mapping is
            reported as it stands. Usage that an ``AIMessage`` of the script carries itself is kept.
        cost_usd: USD of each call, reported in ``response_metadata["cost_usd"]``.
        delay: seconds before each answer.
        window: tokens that fit a request, reported in ``profile["max_input_tokens"]``.

    Raises:
        InvalidInput: ``replies`` is a single text.

    Example:
        >>> model = ScriptedModel(["Paris.", lambda messages: f"You said: {messages[-1].text}"])
        >>> model.invoke("The capital of France?").text
        'Paris.'
        >>> model.invoke("Thanks").text
        'You said: Thanks'
        >>> [messages[-1].text for messages in model.requests]
        ['The capital of France?', 'Thanks']
    """

    replies: Any
    usage: Any = None
    cost_usd: float | None = None
    delay: float = 0.0
    max_tokens: int | None = None

    _requests: list[list[BaseMessage]] = PrivateAttr(default_factory=list)
    _options: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(
        self,
        replies: Sequence[Reply] | Callable[[list[BaseMessage]], Answer],
        *,
        name: str | None = None,
        usage: UsageMetadata | Literal["auto"] | None = None,
        cost_usd: float | None = None,
        delay: float = 0.0,
        window: int | None = None,
        **more: Any,
    ) -> None:
        if isinstance(replies, str):
            raise InvalidInput("ScriptedModel: replies must be a list or a function, not one text; write [text]")
        if window is not None:
            more["profile"] = {"max_input_tokens": window}
        script = replies if callable(replies) else tuple(replies)
        more.update(replies=script, name=name, usage=usage, cost_usd=cost_usd, delay=delay)
        super().__init__(**more)

    @property
    def requests(self) -> list[list[BaseMessage]]:
        """The messages of every request so far, oldest first."""
        with self._lock:
            return list(self._requests)

    @property
    def options(self) -> list[dict[str, Any]]:
        """What came with each request beside its messages: bound tools, ``response_format``, ``stop``."""
        with self._lock:
            return list(self._options)

    @property
    def model_name(self) -> str:
        """The name that answers carry."""
        return self.name or "scripted"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as any model does; the script alone decides whether an answer calls them."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    # --- one request ------------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._next(messages, stop, kwargs)
        time.sleep(self.delay)
        return ChatResult(generations=[ChatGeneration(message=self._message(reply, messages))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = self._next(messages, stop, kwargs)
        await asyncio.sleep(self.delay)
        return ChatResult(generations=[ChatGeneration(message=self._message(reply, messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._next(messages, stop, kwargs)
        time.sleep(self.delay)
        for chunk in _pieces(self._message(reply, messages)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = self._next(messages, stop, kwargs)
        await asyncio.sleep(self.delay)
        for chunk in _pieces(self._message(reply, messages)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    # --- the script -------------------------------------------------------------------------------------------------

    def _next(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Reply:
        """Record a request and take the reply that is its own, as one step: the two stay in the same order."""
        with self._lock:
            number = len(self._requests)
            self._requests.append(list(messages))
            self._options.append({**options, **({"stop": stop} if stop else {})})
        if callable(self.replies):
            reply: Reply = self.replies
            return reply
        if number >= len(self.replies):
            last = messages[-1].text if messages else ""
            raise ScriptExhausted(
                f"ScriptedModel {self.model_name!r}: request {number + 1} came, but its script has {len(self.replies)} "
                f"replies; the request ends with {last[-200:]!r}"
            )
        given: Reply = self.replies[number]
        return given

    def _message(self, reply: Reply, messages: list[BaseMessage]) -> AIMessage:
        """The reply as a message of its own, with name, cost and usage. Functions run here, outside the lock."""
        answer = reply(list(messages)) if callable(reply) else reply
        if isinstance(answer, BaseException):
            raise answer
        message = AIMessage(answer) if isinstance(answer, str) else answer
        if not isinstance(message, AIMessage):
            raise InvalidInput(
                f"ScriptedModel {self.model_name!r}: a reply must be a text, an AIMessage or an exception, "
                f"not {type(message).__name__}"
            )
        metadata = {"model_name": self.model_name, **message.response_metadata}
        if self.cost_usd is not None:
            metadata.setdefault("cost_usd", self.cost_usd)
        usage = message.usage_metadata or self._usage(messages, message)
        return message.model_copy(update={"response_metadata": metadata, "usage_metadata": usage})

    def _usage(self, messages: list[BaseMessage], answer: AIMessage) -> UsageMetadata | None:
        if self.usage is None:
            return None
        if self.usage != "auto":
            return cast("UsageMetadata", dict(self.usage))
        read = sum(len(message.text) for message in messages) // CHARS_PER_TOKEN + 1
        written = len(answer.text) // CHARS_PER_TOKEN + 1
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _pieces(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """The message in pieces of a word; the last, empty one carries what is known only at the end."""
    for word in re.findall(r"\s*\S+\s*|\s+", message.text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    calls: list[ToolCallChunk] = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        for index, call in enumerate(message.tool_calls)
    ]
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            tool_call_chunks=calls,
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata,
            chunk_position="last",
        )
    )
