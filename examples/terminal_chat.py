"""The answer in a terminal, word by word, with what the run does on the line above.

Run it as it stands: python examples/terminal_chat.py "How many times does \"upstream timeout\" occur?"
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from langgraph_rlm import ExtractiveModel, create_rlm
from langgraph_rlm.server.progress import progress_line

LOG = "".join(f"{n:06d} {'ERROR upstream timeout' if n % 2_500 == 2_499 else 'INFO served'}\n" for n in range(50_000))


def parts_of(graph: Any, said: Any) -> Iterator[str]:
    """What to write: progress on a line of its own, the answer as it comes."""
    begun = False
    for mode, part in graph.stream(said, stream_mode=["messages", "custom"]):
        if mode == "messages":
            yield ("" if begun else "\r\033[K") + part[0].text
            begun = True
        elif part["event"] == "withdrawn":
            yield "\n(withdrawn; another route goes on)\n"
            begun = False
        elif not begun and (line := progress_line(part)):
            yield f"\r\033[K{line}"
    yield "\n"


def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else 'How many times does "upstream timeout" occur?'
    graph = create_rlm("openai:gpt-5-mini" if "OPENAI_API_KEY" in os.environ else ExtractiveModel())
    for part in parts_of(graph, {"question": question, "context": LOG}):
        sys.stdout.write(part)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
