"""The tools of one list: how they are made, and what each call does."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolRuntime
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.models import Model
from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.limits import Limits
from langgraph_rlm.repl import Shell
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike, known_corpus
from langgraph_rlm.tools.engines import Engines
from langgraph_rlm.tools.failing import RLMTool, noted, told
from langgraph_rlm.tools.schemas import description_of, in_plain_words, schema_of
from langgraph_rlm.tools.serving import Serving

_NEEDS: Mapping[str, str] = {
    "materialize_context": "contexts",
    "local_grep": "contexts or corpus",
    "local_search": "contexts or corpus",
    "count": "contexts or corpus",
    "read_context": "contexts or corpus",
    "list_documents": "contexts or corpus",
    "bm25_search": "corpus",
    "vector_retrieve": "corpus",
    "hybrid_search": "corpus",
    "hop_search": "corpus",
    "planned_search": "corpus",
    "plan_queries": "corpus",
    "query_lm": "model or sub_model",
    "ask_rlm": "model",
    "codex_exec": "shell",
}
"""Every tool, and the arguments of which one must be given for it."""
_OF_WORDS = ("bm25_search", "hybrid_search")
"""Where the corpus gives its texts away."""
_ON_REQUEST = ("planned_search", "plan_queries")
"""Only when ``include`` names them: each definition takes room in every prompt."""


def create_rlm_tools(
    *,
    model: Model | None = None,
    sub_model: Model | None = None,
    corpus: CorpusLike | None = None,
    contexts: ContextsLike | None = None,
    shell: Shell | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    memo: Memo | BaseStore | None = None,
    include: Iterable[str] | None = None,
) -> list[BaseTool]:
    """Tools with which any agent searches, reads and asks about texts that it never holds itself.

    They work in ``ToolNode``, ``create_agent`` and with ``bind_tools``, sync and async. A result's content is bounded (about
    4,000 tokens); the artifact of the ``ToolMessage`` holds the same as data, and ``usage``. What a model can mend is told to
    it as a message with ``status="error"``.

    Tools find only the files of their own thread (``thread_id``), store and tenant. In a graph without a thread these are the
    files of the run. Outside of any graph, calls without a ``thread_id`` share their files: give one for each user.

    Args:
        model: answers ``ask_rlm``, a whole graph that routes, searches, reads and cites.
        sub_model: answers ``query_lm``; ``model`` when None.
        corpus: what the retrieval tools search, or a function of the request's config that gives it.
        contexts: where ``materialize_context`` stores texts, or a function of the config that gives the store.
        shell: adds ``codex_exec``, a shell in a jail of its own; off when None.
        limits: of all tools of this list together, for each thread (for each call outside of one); a mapping changes the
            defaults. A request may narrow them, ``configurable={"rlm": {"limits": …}}``.
        memo: where usage, answers and the names of files are recorded: as in :func:`create_rlm`.
        include: names of the tools wanted; all whose arguments are given when None.

    Returns:
        The tools, in a fixed order.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.
        SandboxUnavailable: ``ask_rlm`` has no place for its cells, or commands cannot run here in the shell.

    Example:
        >>> store = ContextStore()
        >>> tools = {tool.name: tool for tool in create_rlm_tools(contexts=store)}
        >>> list(tools)[:2]
        ['materialize_context', 'local_grep']
    """
    given = {
        name
        for name, value in {
            "model": model, "sub_model": sub_model, "corpus": corpus, "contexts": contexts, "shell": shell,
        }.items()
        if value is not None
    }  # fmt: skip
    names = _chosen(include, [name for name, needs in _NEEDS.items() if given & set(needs.split(" or "))], corpus)
    engines = Engines.made(
        model=model, sub_model=sub_model, corpus=corpus, contexts=contexts, shell=shell, limits=limits, memo=memo,
        with_graph="ask_rlm" in names,
    )  # fmt: skip
    serving = Serving(engines, hashlib.sha256("\n".join([*names, engines.model_name]).encode()).hexdigest()[:16])
    return [_tool(name, serving) for name in names]


def _chosen(include: Iterable[str] | None, offered: Sequence[str], corpus: CorpusLike | None) -> list[str]:
    known = known_corpus(corpus)
    if known is not None and not known.keeps_names:
        offered = [name for name in offered if name != "hop_search"]
    if known is not None and not known.lists_texts:
        offered = [name for name in offered if name not in _OF_WORDS]
    if include is None:
        if not offered:
            raise InvalidInput(
                "create_rlm_tools: give at least one of model=, sub_model=, corpus=, contexts= and shell="
            )
        return [name for name in offered if name not in _ON_REQUEST]
    if isinstance(include, str):
        raise InvalidInput(f"include: expected a list of names, got the str {include!r}")
    wanted = list(include)
    for name in wanted:
        if name not in _NEEDS:
            raise InvalidInput(
                f"include: there is no tool {name!r}{nearest(name, _NEEDS)}; there are {', '.join(_NEEDS)}"
            )
        if name not in offered:
            reason = f"needs {' or '.join(f'{one}=' for one in _NEEDS[name].split(' or '))}"
            if name == "hop_search":
                reason += " that keeps names: one with a directory of its own"
            if name in _OF_WORDS:
                reason += " that gives its texts away"
            raise InvalidInput(f"include: {name} {reason}")
    return [name for name in offered if name in wanted]


def _tool(name: str, serving: Serving) -> BaseTool:
    # `ToolRuntime = None`: agents put it in by its type and hide it from the model, and without one the tool works too.
    def call(config: RunnableConfig, runtime: ToolRuntime = None, **given: Any) -> tuple[str, dict[str, Any]]:  # type: ignore[assignment]
        return serving.call(name, given, config, runtime)

    async def acall(config: RunnableConfig, runtime: ToolRuntime = None, **given: Any) -> tuple[str, dict[str, Any]]:  # type: ignore[assignment]
        return await serving.acall(name, given, config, runtime)

    return RLMTool(
        name=name,
        description=description_of(name),
        args_schema=schema_of(name),
        func=call,
        coroutine=acall,
        response_format="content_and_artifact",
        handle_tool_error=told,
        handle_validation_error=lambda error: noted(in_plain_words(error)),
    )
