"""Watches the model calls of one run from outside: what the graphs do not tell when they fail, and how large prompts get."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from langgraph_rlm.calls.models import estimated_tokens


class Meter(BaseCallbackHandler):
    """Counts the calls and tokens of every model in a run, sub-models in cells too; give it as a callback.

    Tokens are what the server reports, else estimates of four bytes each.
    """

    def __init__(self) -> None:
        self.calls = self.input_tokens = self.output_tokens = self.largest_prompt = 0
        self._prompts = dict[UUID, int]()
        self._lock = threading.Lock()

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: Sequence[Sequence[BaseMessage]], *, run_id: UUID, **more: Any
    ) -> None:
        """A prompt is sent."""
        with self._lock:
            self._prompts[run_id] = sum(estimated_tokens(message.text) for one in messages for message in one)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **more: Any) -> None:
        """An answer came."""
        message = getattr(response.generations[0][0], "message", None) if response.generations else None
        usage = getattr(message, "usage_metadata", None)
        with self._lock:
            prompt = self._prompts.pop(run_id, 0)
            self.calls += 1
            self.input_tokens += (read := usage["input_tokens"] if usage else prompt)
            self.output_tokens += usage["output_tokens"] if usage else estimated_tokens(getattr(message, "text", ""))
            self.largest_prompt = max(self.largest_prompt, read)
