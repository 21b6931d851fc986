"""What one request may set: ``configurable={"rlm": …}`` or ``context={"rlm": …}``, the same for a graph alone, nested or behind
a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast, get_args

from typing_extensions import TypedDict

from langgraph_rlm.corpus.filters import validate
from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.limits import Limits, named, narrower
from langgraph_rlm.types import RequestOptions, Stream

_KNOWN = tuple(RequestOptions.__annotations__)


class RequestContext(TypedDict, total=False):
    """What graphs take as ``context=``. A parent graph's own context object may stand in its place."""

    rlm: RequestOptions


def options_of(
    config: Mapping[str, Any], context: Any = None, *, routes: Collection[str] | None = None
) -> RequestOptions:
    """The request's options, checked. Those of ``context`` come first; of both limits the narrower holds.

    Args:
        config: its ``configurable["rlm"]`` is looked at.
        context: of the request: a mapping or an object with ``rlm``; any other is somebody else's.
        routes: that a request may ask for; None where whoever reads the route knows them.

    Raises:
        InvalidInput: an unknown key (named), or a value that cannot be used.
    """
    configured = _checked(config.get("configurable", {}).get("rlm"), "configurable['rlm']", routes)
    given = context.get("rlm") if isinstance(context, Mapping) else getattr(context, "rlm", None)
    return _joined(configured, _checked(given, "context['rlm']", routes))


def limits_of(limits: Limits, options: RequestOptions) -> Limits:
    """The graph's limits, narrowed by the request's."""
    return limits.narrowed(options.get("limits"))


def check_stream(stream: Any, place: str) -> None:
    """Refuse what is no way of streaming.

    Raises:
        InvalidInput: naming the place.
    """
    if stream not in get_args(Stream):
        raise InvalidInput(f"{place} must be one of {', '.join(get_args(Stream))}, not {stream!r}")


def _checked(given: Any, place: str, routes: Collection[str] | None) -> RequestOptions:
    if given is None:
        return RequestOptions()
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{place} must be a mapping, not {type(given).__name__}")
    if unknown := [key for key in given if key not in _KNOWN]:
        named = ", ".join(map(repr, sorted(map(str, unknown))))
        raise InvalidInput(f"{place}: unknown {named}{nearest(unknown[0], _KNOWN)}; known are {', '.join(_KNOWN)}")
    route, k, where, limits = given.get("route"), given.get("k"), given.get("where"), given.get("limits")
    if route is not None and not isinstance(route, str):
        raise InvalidInput(f"{place}['route'] must be the name of a route, not {route!r}")
    if route is not None and routes is not None and route not in (allowed := ("auto", *routes)):
        raise InvalidInput(f"{place}['route'] must be one of {', '.join(allowed)}, not {route!r}")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 1000):
        raise InvalidInput(f"{place}['k'] must be a whole number from 1 to 1000, not {k!r}")
    if where is not None:
        validate(where)
    if (stream := given.get("stream")) is not None:
        check_stream(stream, f"{place}['stream']")
    Limits().narrowed(limits)  # names and values
    return cast(RequestOptions, {key: given[key] for key in _KNOWN if given.get(key) is not None})


def _joined(configured: RequestOptions, given: RequestOptions) -> RequestOptions:
    joined = cast(RequestOptions, {**configured, **given})
    if "limits" in configured and "limits" in given:
        one, other = named(configured["limits"]), named(given["limits"])
        joined["limits"] = {name: narrower(one.get(name), other.get(name)) for name in {**one, **other}}
    return joined
