"""LangServe: a graph under ``/invoke``, ``/batch``, ``/stream``, ``/stream_events`` and a playground, for the callers of keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph_rlm.errors import MissingDependency
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.runs.request import options_of
from langgraph_rlm.runs.run import new_id
from langgraph_rlm.server.errors import handle_errors
from langgraph_rlm.server.guard import MOST_RUNS_OF_ONE, Guard
from langgraph_rlm.server.inputs import input_model_of
from langgraph_rlm.server.tenants import USER, allowed, caller_of_request, user_of

_RUNS = ("invoke", "batch", "stream", "stream_events")
_PAGES = ("playground", "input_schema", "output_schema", "config_schema")
_INSTALL = 'LangServe is not installed:  pip install "langgraph-rlm[langserve]"'


def add_rlm_routes(app: Any, graph: RLMGraph, *, path: str = "/rlm") -> None:
    """Serve a graph of ours by LangServe, to ``RemoteRunnable`` and the playground.

    Args:
        app: a FastAPI app that has not started. For keys it is mounted by ``create_app`` or gets ``RequireKey``.
        graph: with ``corpus=`` and ``contexts=`` as functions of the config where tenants are apart.
        path: of its endpoints.

    Raises:
        MissingDependency: LangServe is not installed.

    Example:
        >>> from fastapi import FastAPI
        >>> from langgraph_rlm import ExtractiveModel, create_rlm
        >>> add_rlm_routes(FastAPI(), create_rlm(ExtractiveModel()), path="/ask")
    """
    try:
        from langserve import add_routes
    except ImportError as error:
        raise MissingDependency(_INSTALL) from error

    async def for_caller(config: dict[str, Any], request: Any) -> dict[str, Any]:
        """LangServe calls it last, so that nothing of it is overridden by a client."""
        caller, given = caller_of_request(request.scope), dict(config.get("configurable") or {})
        options = allowed(caller, options_of({"configurable": given}, routes=graph.rlm.routes))
        thread = (
            _thread_of(await request.json()) or new_id()
        )  # LangServe hands on no thread, and a checkpointer needs one
        own = {"rlm": options, USER: user_of(caller), "thread_id": json.dumps([caller.tenant, thread])}
        return {**config, "configurable": {**given, **own}, "max_concurrency": MOST_RUNS_OF_ONE}

    runs = tuple(f"{path}/{endpoint}" for endpoint in _RUNS)
    app.add_middleware(Guard, runs=lambda asked: asked.endswith(runs))
    plain = graph.copy({"rlm": replace(graph.rlm, input_model=input_model_of(graph))})
    shown: Any = {"path": path, "per_req_config_modifier": for_caller, "enabled_endpoints": (*_RUNS, *_PAGES)}
    add_routes(app, plain, **shown)
    handle_errors(app, invalid_inputs=runs)


def rlm_app(graph: RLMGraph, *, path: str = "/rlm") -> Any:
    """A FastAPI app with these routes; raises ``MissingDependency`` as above."""
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise MissingDependency(_INSTALL) from error
    app = FastAPI(title="langgraph-rlm")
    add_rlm_routes(app, graph, path=path)
    return app


def _thread_of(body: Any) -> Any:
    config = body.get("config") if isinstance(body, Mapping) else None
    configurable = config.get("configurable") if isinstance(config, Mapping) else None
    return configurable.get("thread_id") if isinstance(configurable, Mapping) else None
