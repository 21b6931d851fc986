"""A sentence of help for mistakes that models make again and again, found by the last line of an error."""

from __future__ import annotations

from collections.abc import Collection

_SUBMIT = "Submit the answer with FINAL(value), or FINAL_VAR('name') for a variable."
_LINES = (
    'A string in simple quotes ends with its line: write a text of several lines in triple quotes, FINAL("""…"""), or '
    "put it into a variable first."
)
_ADVICE = (
    # Names by which other REPLs of this kind take an answer.
    (
        r"NameError: name '(?:SUBMIT|submit|submit_answer|final_answer|FINAL_ANSWER|Final|final|finish|FINISH)' ",
        _SUBMIT,
    ),
    # As CPython 3.11 to 3.13 and Monty's parser have it, and dspy's interpreter tells it.
    (
        r"SyntaxError: .{0,40}?(?:unterminated (?:f-)?string literal|missing closing quote|f-string: unterminated string)",
        _LINES,
    ),
)


_ELSEWHERE = {
    "grep": "local_grep regex_search search_regex grep_search ripgrep grep_context re_search",
    "search": "local_search find_text text_search search_text",
    "llm_query": "query_lm ask ask_llm call_llm llm llm_call query_llm llm_ask sub_llm ask_model query_model lm",
    "llm_query_batched": "llm_batch batch_llm_query llm_query_batch query_lm_batch ask_batch llm_query_many batch_query map_llm",
    "rlm_query": "ask_rlm call_rlm recursive_query sub_rlm rlm_call rlm",
    "hybrid_search": "retrieve es_search retriever rag_search retrieve_documents search_documents similarity_search",
    "vector_retrieve": "vector_search semantic_search embedding_search vector_query",
    "bm25_search": "keyword_search bm25 lexical_search",
    "read": "read_context read_document read_file get_document fetch_document open_document",
    "list_documents": "list_docs get_documents list_files documents",
}
"""Functions here, and what other REPLs and papers of this kind call them."""
_NAMES = {name: function for function, names in _ELSEWHERE.items() for name in names.split()}
_MATERIALIZED = "The text needs no call: it is the variable `context` already."


def advised(error: str, functions: Collection[str] = ()) -> str:
    """The text of an error, with the sentence that helps where there is one.

    Args:
        error: as Python tells it.
        functions: what a cell may call.

    Example:
        >>> advised("NameError: name 'SUBMIT' is not defined").splitlines()[1]
        "Submit the answer with FINAL(value), or FINAL_VAR('name') for a variable."
        >>> advised("NameError: name 'local_grep' is not defined", ["grep"]).splitlines()[1]
        'Here it is called grep.'
    """
    import re  # 5 ms that a fresh process need not wait for

    last = error.rpartition("\n")[2]
    for pattern, sentence in _ADVICE:
        if re.match(pattern, last):
            return f"{error}\n{sentence}"
    unknown = re.match(r"NameError: name '(\w{1,80})' is not defined", last)
    sentence = _called_here(unknown[1], functions) if unknown else ""
    return f"{error}\n{sentence}" if sentence else error


def _called_here(name: str, functions: Collection[str]) -> str:
    if name in ("materialize_context", "load_context", "get_context", "context_text"):
        return _MATERIALIZED
    here = _NAMES.get(name.lower())
    if here in functions:
        return f"Here it is called {here}."
    from difflib import get_close_matches

    near = get_close_matches(name, functions, n=1, cutoff=0.75)  # further off they mislead
    return f"Did you mean {near[0]}?" if near else ""
