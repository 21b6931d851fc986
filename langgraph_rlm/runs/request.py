"""What one request may set: ``config["configurable"]["rlm"]``, the same for a graph alone, nested or behind a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.corpus.filters import validate
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.limits import Limits
from langgraph_rlm.types import RequestOptions, Route

_KNOWN = ("limits", "route", "k", "where")


def options_of(config: RunnableConfig) -> RequestOptions:
    """The request's options, checked.

    Raises:
        InvalidInput: an unknown key (named), or a value that cannot be used.
    """
    given = config.get("configurable", {}).get("rlm")
    if given is None:
        return RequestOptions()
    if not isinstance(given, Mapping):
        raise InvalidInput(f"configurable['rlm'] must be a mapping, not {type(given).__name__}")
    if unknown := [key for key in given if key not in _KNOWN]:
        raise InvalidInput(
            f"configurable['rlm']: unknown {', '.join(map(repr, sorted(map(str, unknown))))}; known are {', '.join(_KNOWN)}"
        )
    route, k, where = given.get("route"), given.get("k"), given.get("where")
    if route is not None and route not in (allowed := ("auto", *get_args(Route))):
        raise InvalidInput(f"configurable['rlm']['route'] must be one of {', '.join(allowed)}, not {route!r}")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 1000):
        raise InvalidInput(f"configurable['rlm']['k'] must be a whole number from 1 to 1000, not {k!r}")
    if where is not None:
        validate(where)
    Limits().narrowed(given.get("limits"))  # names and values
    return cast(RequestOptions, {key: given[key] for key in _KNOWN if given.get(key) is not None})


def limits_of(limits: Limits, options: RequestOptions) -> Limits:
    """The graph's limits, narrowed by the request's."""
    return limits.narrowed(options.get("limits"))
