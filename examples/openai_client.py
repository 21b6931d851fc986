"""Serve an index by OpenAI's protocol and ask it with the ``openai`` client: the answer, its citations, and a stream.

Run it as it stands: without a key the offline stand-in answers. Needs  pip install "langgraph-rlm[openai,openai-serve]".
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from langchain_core.documents import Document
from openai import OpenAI

from langgraph_rlm import Corpus

KEY = "a-key-of-your-own-choice"
QUESTION = "How many weeks is parental leave?"


def main() -> None:
    """Make an index, serve it, ask."""
    with tempfile.TemporaryDirectory() as folder:
        with Corpus.open(f"chroma:{folder}/index") as corpus:
            corpus.add(
                [Document("Parental leave is 16 weeks.\n", id="leave.md"), Document("Trains first.\n", id="travel.md")]
            )
        command = [
            sys.executable,
            "-m",
            "langgraph_rlm.cli",
            "serve",
            "--openai",
            "--index",
            f"{folder}/index",
            "--port",
            "0",
        ]
        environment = {**os.environ, "LANGGRAPH_RLM_KEYS": KEY}
        server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=Path(folder))
        try:
            ask(address_of(server))
        finally:
            server.terminate()
            server.wait()


def address_of(server: subprocess.Popen[str]) -> str:
    """What the server says when it listens."""
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise SystemExit("the server has not started")


def ask(address: str) -> None:
    """Any client of OpenAI's protocol does: here chat, then a stream."""
    client = OpenAI(base_url=address, api_key=KEY)
    done = client.chat.completions.create(model="langgraph-rlm", messages=[{"role": "user", "content": QUESTION}])
    message = done.choices[0].message
    print(message.content)
    for note in message.annotations or []:
        print(f"  {note.url_citation.title}  {note.url_citation.url}")
    stream = client.chat.completions.create(
        model="langgraph-rlm", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    print("".join(part.choices[0].delta.content or "" for part in stream if part.choices))


if __name__ == "__main__":
    main()
