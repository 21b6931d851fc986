"""The chat models behind a Runnable: a model, its fallbacks, what is bound to them; their names, windows, caps, addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.retry import RunnableRetry
from pydantic import SecretStr

from langgraph_rlm.errors import AuthenticationFailed, InvalidInput, MissingDependency
from langgraph_rlm.redaction import redacted

Model = str | BaseChatModel | Runnable[LanguageModelInput, AIMessage]
"""A chat model, anything that maps messages to an ``AIMessage``, or ``"provider:name"`` (needs the extra ``openai``)."""

OUTPUT_TOKENS = 4_096
"""Output cap of a call, for models that say nothing of themselves."""
KNOWN_OUTPUT_TOKENS = 8_192
"""Output cap for a model with a profile, if it can write so much."""
REASONING_OUTPUT_TOKENS = 32_768
"""The same for one that thinks before it answers: the cap counts its thoughts too."""
_CAPS = ("max_tokens", "max_output_tokens")
_ADDRESSES = (
    "openai_api_base",
    "base_url",
    "azure_endpoint",
    "anthropic_api_url",
    "endpoint_url",
    "endpoint",
    "api_base",
)


class Link(NamedTuple):
    """One model of a chain, and what is bound to its calls."""

    model: Any
    bound: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The model's, as its provider knows it."""
        for attribute in ("model_name", "model", "name"):
            name = getattr(self.model, attribute, None)
            if isinstance(name, str) and name:
                return name
        return type(self.model).__name__

    @property
    def window(self) -> int | None:
        """Tokens that fit a request, where the model says so."""
        profile = getattr(self.model, "profile", None)
        window = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
        return window if isinstance(window, int) and window > 0 else None

    @property
    def cap_option(self) -> str | None:
        """The name of the call option that caps the output."""
        fields = type(self.model).model_fields if isinstance(self.model, BaseChatModel) else {}
        return next((name for name in _CAPS if name in fields), None)

    @property
    def most_output(self) -> int:
        """What to cap the output at: the model's own setting, else what its profile allows."""
        name = self.cap_option
        own = None if name is None else self.bound.get(name, getattr(self.model, name, None))
        if type(own) is int and own > 0:
            return own
        profile = getattr(self.model, "profile", None)
        if not isinstance(profile, Mapping) or not isinstance(most := profile.get("max_output_tokens"), int):
            return OUTPUT_TOKENS
        return min(most, REASONING_OUTPUT_TOKENS if profile.get("reasoning_output") else KNOWN_OUTPUT_TOKENS)

    @property
    def address(self) -> str | None:
        """Where the model's requests go; None where it does not say."""
        return next((a for name in _ADDRESSES if isinstance(a := getattr(self.model, name, None), str) and a), None)

    def secrets(self) -> Iterator[str]:
        """The keys that its client sends, as far as it holds any."""
        for name in type(self.model).model_fields if isinstance(self.model, BaseChatModel) else ():
            value = getattr(self.model, name, None)
            if isinstance(value, SecretStr):
                yield value.get_secret_value()
            elif isinstance(value, str) and name.endswith(("api_key", "token", "secret")):
                yield value
            elif name in ("default_headers", "default_query", "additional_headers", "headers") and isinstance(
                value, Mapping
            ):
                yield from (one for one in value.values() if isinstance(one, str) and len(one) >= 16)


def links_of(model: Any) -> list[Link]:
    """The models behind bindings, retries and fallbacks, however deep, in the order in which they are asked."""
    if isinstance(model, RunnableWithFallbacks):
        return [link for one in (model.runnable, *model.fallbacks) for link in links_of(one)]
    if isinstance(model, RunnableBindingBase):
        return [Link(one, {**kwargs, **model.kwargs}) for one, kwargs in links_of(model.bound)]
    return [Link(model, {})]


def asks_once(model: Any) -> bool:
    """Whether one call of it is at most one request, as far as LangChain's own wrappers go."""
    if isinstance(model, RunnableWithFallbacks | RunnableRetry):
        return False
    return not isinstance(model, RunnableBindingBase) or asks_once(model.bound)


def is_chat_model(value: Any) -> TypeGuard[Model]:
    """Whether this is a chat model or the name of one, also behind bindings and fallbacks."""
    return isinstance(value, str) or (
        isinstance(value, Runnable) and isinstance(links_of(value)[0].model, BaseChatModel)
    )


def window_of(links: Sequence[Link]) -> int | None:
    """Tokens that fit a request to whichever of them answers; None when one does not say."""
    windows = [link.window for link in links]
    known = [window for window in windows if window is not None]
    return min(known) if len(known) == len(windows) else None


def cap_of(links: Sequence[Link]) -> tuple[str | None, int]:
    """The call option that caps the output, if all of them have the same, and what to cap it at.

    Without a common option none is sent: then each writes as much as it is set to, and the most of it counts.
    """
    names = {link.cap_option for link in links}
    most = [link.most_output for link in links]
    name = names.pop() if len(names) == 1 else None
    return name, max(most) if name is None else min(most)


def endpoint_of(links: Sequence[Link]) -> tuple[str, str] | None:
    """What stands for address and models, and for the keys too; None where one of them tells no address and no key."""
    places, keys = list[str](), list[str]()
    for link in links:
        secrets = sorted(set(link.secrets()))
        if link.address is None and not secrets:
            return None
        places.append(f"{type(link.model).__name__} {link.address} {link.name}")
        keys.extend(secrets)
    place = "\n".join(places)
    return place, hashlib.sha256("\n".join([place, *keys]).encode("utf-8", "backslashreplace")).hexdigest()


def resolved(model: Model) -> Runnable[Any, Any]:
    """A model, made from its name where that was given.

    Raises:
        MissingDependency: langchain or the provider's package is not installed.
        AuthenticationFailed: the provider's client found no key.
        InvalidInput: no model, or a name that nobody knows.
    """
    if isinstance(model, Runnable):
        return model
    if not isinstance(model, str) or not model.strip():
        raise InvalidInput(f"model: expected a chat model or 'provider:name', got {model!r}")
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingDependency(
            f"model {model!r}: model names need langchain; run: pip install 'langgraph-rlm[openai]'"
        ) from error
    from langgraph_rlm.calls.guarded import guarded_clients

    try:
        # The retries are ours: the client's own would multiply with them.
        made: Runnable[Any, Any] = init_chat_model(model, max_retries=0)
        clients = guarded_clients(made)
        return made if clients is None else init_chat_model(model, max_retries=0, **clients)
    except ImportError as error:
        raise MissingDependency(f"model {model!r}: {error}") from error
    except ValueError as error:
        raise InvalidInput(f"model {model!r}: {redacted(str(error))}") from error
    except Exception as error:
        if "api_key" in str(error) or "credentials" in str(error):
            raise AuthenticationFailed(
                f"model {model!r}: no API key was found; set the provider's variable (OPENAI_API_KEY for OpenAI "
                "and for local servers that speak its protocol, these with OPENAI_BASE_URL)"
            ) from error
        raise
