"""Messages and documents as clients write them in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, create_model, model_validator

from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.graphs.questions import question_in

_CONTEXT = "A text, a list of texts, texts by name, documents, or the reference of an upload (POST /contexts)."


def messages_of(given: Any) -> list[BaseMessage] | None:
    """Messages in every form: a text, one message or a list of them; each a mapping with ``role`` or ``type``, or a pair.

    Raises:
        ValueError: it is no message; says which forms there are.

    Example:
        >>> [message.type for message in messages_of([["human", "Hi"], {"role": "assistant", "content": "Hello"}])]
        ['human', 'ai']
    """
    if given is None:
        return None
    listed = given if isinstance(given, list | tuple) and not _is_pair(given) else [given]
    try:
        return convert_to_messages([tuple(one) if _is_pair(one) else one for one in listed])
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ValueError(
            "messages: expected a text, or messages such as {'role': 'user', 'content': '…'}, "
            f"{{'type': 'human', 'content': '…'}} or ['human', '…'] ({type(error).__name__})"
        ) from None


def documents_of(given: Any) -> Any:
    """A context, with mappings that are documents (``page_content``) made into such.

    Example:
        >>> documents_of([{"page_content": "text", "metadata": {"source": "a.md"}}])[0].page_content
        'text'
    """
    if not isinstance(given, list) or not given or not all(_is_document(one) for one in given):
        return given
    return [
        one
        if isinstance(one, Document)
        else Document(one["page_content"], id=one.get("id"), metadata=one.get("metadata") or {})
        for one in given
    ]


def _is_pair(given: Any) -> bool:
    return (
        isinstance(given, list | tuple)
        and len(given) == 2
        and all(isinstance(one, str) for one in given)
        and given[0] in _ROLES
    )


_ROLES = ("human", "user", "ai", "assistant", "system", "developer")


def _is_document(given: Any) -> bool:
    return isinstance(given, Document) or (isinstance(given, Mapping) and isinstance(given.get("page_content"), str))


def input_model_of(graph: RLMGraph) -> type[BaseModel]:
    """What a client may send to a graph, as types that a form can show; a question that is none is a validation error.

    Example:
        >>> from langgraph_rlm import ExtractiveModel, create_rlm
        >>> sorted(input_model_of(create_rlm(ExtractiveModel())).model_fields)
        ['context', 'messages', 'question']
    """
    shown_messages = WithJsonSchema({"type": "array", "items": {"type": "object"}})
    shown_context = WithJsonSchema({"type": "string", "description": _CONTEXT})
    taken: dict[str, Any] = {
        "question": str,
        "messages": Annotated[Any, BeforeValidator(messages_of), shown_messages],
        "context": Annotated[Any, BeforeValidator(documents_of), shown_context],
    }
    ours = {graph.rlm.keys.name(name): kind for name, kind in taken.items()}
    known = list(graph.get_input_jsonschema()["properties"])
    fields: Any = {name: (ours.get(name, Any) | None, Field(None)) for name in known}

    def asked(given: BaseModel) -> BaseModel:  # before a stream begins, which could only say "Internal Server Error"
        question_in(graph.rlm.keys.read({name: getattr(given, name) for name in known}))
        return given

    checks: Any = {"asked": model_validator(mode="after")(asked)}
    return create_model(f"{graph.name}_input", __validators__=checks, **fields)
