"""What the tools of one list stand on: made once, when the list is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from langgraph.store.base import BaseStore

from langgraph_rlm.calls.files import FileNames
from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.calls.rooms import RoomAccounts
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.graphs.rlm import rlm_graph
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.smart_rag import smart_graph
from langgraph_rlm.limits import Limits
from langgraph_rlm.repl import Shell
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.corpora import CorpusLike, check_corpus
from langgraph_rlm.text import ContextStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What tools stand on.

    Args:
        sub: answers ``query_lm``; None without a model.
        graph: answers ``ask_rlm``; None without a model.
        corpus: what is searched; None without one.
        contexts: where texts are stored.
        accounts: what calls are paid from.
        files: names of stored texts.
        shell: runs commands; None without one.
        model_name: of the model that is asked; empty without one.
    """

    sub: ModelCaller | None
    graph: RLMGraph | None
    corpus: CorpusLike | None
    contexts: ContextsLike
    accounts: RoomAccounts
    files: FileNames
    shell: Shell | None
    model_name: str

    @classmethod
    def made(
        cls, *, model: Model | None, sub_model: Model | None, corpus: CorpusLike | None, contexts: ContextsLike | None,
        shell: Shell | None, limits: Limits | Mapping[str, Any] | None, memo: Memo | BaseStore | None, with_graph: bool,
    ) -> Self:  # fmt: skip
        """From the arguments of :func:`create_rlm_tools`, which are checked here.

        Raises:
            InvalidInput, MissingDependency, AuthenticationFailed, SandboxUnavailable: an argument cannot be used.
        """
        check_corpus(corpus, required=False)
        check_contexts(contexts)
        held = ContextStore() if contexts is None else contexts
        accounts = RoomAccounts(Limits.of(limits), memo_for(memo, held if isinstance(held, ContextStore) else None))
        root = None if model is None else ModelCaller(model)
        sub = root if sub_model is None else ModelCaller(sub_model)
        graph = None
        if with_graph and root is not None and sub is not None:
            shared = Shared(root=root, sub=sub, corpus=corpus, contexts=held, accounts=accounts)
            # No checkpoints of its own: several may run in one step of an agent, and the memo serves a resume.
            graph = (rlm_graph if corpus is None else smart_graph)(shared, checkpointer=False, name="ask_rlm")
        return cls(
            sub=sub,
            graph=graph,
            corpus=corpus,
            contexts=held,
            accounts=accounts,
            files=FileNames(accounts.memo),
            shell=None if shell is None else shell.checked(),
            model_name="" if sub is None else sub.name,
        )
