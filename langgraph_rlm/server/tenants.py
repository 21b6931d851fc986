"""Who a run is for: the same answer behind LangServe and behind LangGraph's server, never taken from what a client sends.

LangGraph's server puts the user whom ``Auth`` knows into ``configurable["langgraph_auth_user"]`` and refuses that key from a
client; ``add_rlm_routes`` does the same with the caller of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from langgraph_rlm.limits import Limits, named, narrower
from langgraph_rlm.server.keys import Caller, caller_of
from langgraph_rlm.text import ContextStore

USER = "langgraph_auth_user"
"""In ``configurable``."""


def user_of(caller: Caller) -> dict[str, Any]:
    """A caller as what ``Auth`` knows about a user.

    Example:
        >>> from langgraph_rlm.server.keys import Caller
        >>> user_of(Caller("anna"))
        {'identity': 'anna', 'limits': None}
    """
    return {"identity": caller.tenant, "limits": None if caller.limits is None else asdict(caller.limits)}


def caller_in(config: Mapping[str, Any]) -> Caller:
    """The caller of a run, from its config; the local one where the server asks for no keys.

    Example:
        >>> caller_in({"configurable": {"langgraph_auth_user": {"identity": "anna"}}}).tenant
        'anna'
    """
    user = config.get("configurable", {}).get(USER)
    return Caller() if user is None else _caller(user)


def caller_of_request(scope: Mapping[str, Any]) -> Caller:
    """The caller of an HTTP request: of :class:`~langgraph_rlm.server.keys.RequireKey`, or of LangGraph's server."""
    found = caller_of(scope)
    user = scope.get("user")
    if found == Caller() and user is not None and getattr(user, "is_authenticated", False):
        return _caller(user)
    return found


def contexts_for(store: ContextStore) -> Callable[[Mapping[str, Any]], ContextStore]:
    """For ``contexts=`` of a graph: the caller's own part of a store.

    Example:
        >>> store = ContextStore()
        >>> ref = store.tenant("anna").put("secret")
        >>> contexts_for(store)({"configurable": {"langgraph_auth_user": {"identity": "anna"}}}).read(ref)
        'secret'
    """
    return lambda config: part_of(store, caller_in(config))


def part_of(store: ContextStore, caller: Caller) -> ContextStore:
    """A caller's own part of a store; all of it where the server has no keys, so that its graphs may have the store itself."""
    return store if caller == Caller() else store.tenant(caller.tenant)


def allowed(caller: Caller, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a request within the limits of its key.

    Example:
        >>> from langgraph_rlm import Limits
        >>> from langgraph_rlm.server.keys import Caller
        >>> allowed(Caller("anna", Limits(max_calls=5)), {"limits": {"max_calls": 9}})["limits"]["max_calls"]
        5
    """
    if caller.limits is None:
        return dict(options)
    asked, most = named(options.get("limits") or {}), named(caller.limits)
    return {**options, "limits": {name: narrower(asked.get(name), most[name]) for name in most}}


def _caller(user: Any) -> Caller:
    identity = _field(user, "identity")
    limits = _field(user, "limits")
    return Caller(str(identity), None if limits is None else Limits.of(limits))


def _field(user: Any, name: str) -> Any:
    """Of a mapping, or of one of LangGraph's users, which are both mapping and object."""
    if isinstance(user, Mapping):
        return user.get(name)
    try:
        return getattr(user, name)
    except AttributeError:
        pass
    try:
        return user[name]
    except (KeyError, TypeError):
        return None
