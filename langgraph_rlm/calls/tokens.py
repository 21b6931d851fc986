"""A model's reply as it is written: a callback handler that makes a LangChain model stream, and hands its tokens on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig


class Tokens(Protocol):
    """Takes a reply as it is written; from any thread, one call at a time."""

    @property
    def heard(self) -> bool:
        """Whether the reply is wanted as it is written."""
        ...

    def restart(self) -> None:
        """A request is sent: what came before belongs to one that has failed."""
        ...

    def write(self, text: str) -> None:
        """The model has written this."""
        ...


@contextmanager
def written_to(tokens: Tokens | None, config: RunnableConfig) -> Iterator[RunnableConfig]:
    """The config of one call whose tokens go there, as long as somebody waits for it."""
    if tokens is None or not tokens.heard:
        yield config
        return
    handler = _Writing(tokens)
    try:
        yield with_handler(config, handler)
    finally:
        handler.over = True  # a thread cannot be stopped: what it still reads is nobody's


def with_handler(config: RunnableConfig, handler: BaseCallbackHandler) -> RunnableConfig:
    """The config, with this among its callbacks."""
    given = config.get("callbacks")
    if given is None or isinstance(given, list):
        return {**config, "callbacks": [*(given or []), handler]}
    manager = given.copy()
    manager.add_handler(handler, inherit=True)
    return {**config, "callbacks": manager}


class _Writing(BaseCallbackHandler):
    """Has what LangChain looks for in a handler that wants tokens (``tap_output_*``), so that a model streams for it."""

    run_inline = True  # in their order

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.over = False

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        return output

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        return output

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        if not self.over:
            self._tokens.restart()

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        message = getattr(chunk, "message", None)
        if not self.over and (text := token if message is None else message.text):
            self._tokens.write(text)
