"""Ask about a text that is larger than any prompt: four megabytes of log, kept out of the prompts altogether.

Run it as it stands: without a key the offline stand-in counts and quotes. With OPENAI_API_KEY a model is asked.
"""

from __future__ import annotations

import os

from langgraph_rlm import ExtractiveModel, Limits, create_rlm


def make_log(lines: int = 80_000) -> str:
    """A web server's log with a timeout now and then."""
    entries = []
    for n in range(lines):
        what = "ERROR upstream timeout" if n % 2_500 == 2_499 else "INFO served"
        entries.append(f"2026-11-20 12:{n // 60 % 60:02d}:{n % 60:02d} {what} request={n} worker={n % 16}\n")
    return "".join(entries)


def main() -> None:
    model = (
        os.environ.get("LANGGRAPH_RLM_MODEL", "openai:gpt-5-mini")
        if "OPENAI_API_KEY" in os.environ
        else ExtractiveModel()
    )
    graph = create_rlm(model, limits=Limits(max_calls=50, max_cost_usd=0.25))
    log = make_log()
    result = graph.invoke({"question": 'How many times does "upstream timeout" occur?', "context": log})
    print(result["answer"])
    for citation in result["citations"][:3]:
        print(f"  {citation['doc_id']}:{citation['line']}: {citation['quote']}")
    usage = result["usage"]
    print(f"{usage['calls']} calls, {usage['input_tokens']:,} tokens read; the log alone has about {len(log) // 4:,}")


if __name__ == "__main__":
    main()
