"""The ASGI app that every surface mounts: contexts are uploaded first, and questions refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from langgraph_rlm.errors import MissingDependency
from langgraph_rlm.server.errors import handle_errors
from langgraph_rlm.server.guard import RETRY_AFTER_SECONDS
from langgraph_rlm.server.keys import Keys, RequireKey
from langgraph_rlm.server.tenants import caller_of_request, part_of
from langgraph_rlm.server.uploads import MOST_BYTES, UploadRefused, received
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef

if TYPE_CHECKING:
    from starlette.applications import Starlette

PREVIEW_CHARS = 500
"""Of a context, as it is shown: some ten lines."""
SHOWN_DOCUMENTS = 20
"""Ids of documents that are named: a list may have a million."""
UPLOADS_AT_ONCE = 32
"""Of all clients: each holds a file and a megabyte."""


def create_app(
    contexts: ContextStore,
    *,
    keys: Keys | None = None,
    mounts: Mapping[str, Any] | None = None,
    most_upload_bytes: int = MOST_BYTES,
) -> Starlette:
    """``POST /contexts``, ``GET`` and ``DELETE /contexts/{ref}``, ``GET /health``, and the surfaces that are mounted.

    Args:
        contexts: where uploads go, each to its caller's tenant.
        keys: who may call, everything but ``/health``; None where something before this app asks for keys, such as
            LangGraph's server (``enable_custom_route_auth``). With no keys everybody is the tenant ``local``.
        mounts: ASGI apps by path, such as a FastAPI app with ``add_rlm_routes``; behind the same keys.
        most_upload_bytes: of one context.

    Raises:
        MissingDependency: Starlette is not installed.

    Example:
        >>> from starlette.testclient import TestClient
        >>> client = TestClient(create_app(ContextStore()))
        >>> ref = client.post("/contexts", content="one\\ntwo", headers={"content-type": "text/plain"}).json()
        >>> client.get(f"/contexts/{ref['context_ref']}").json()["preview"]
        'one\\ntwo'
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Mount, Route
    except ModuleNotFoundError as error:
        raise MissingDependency('a server needs Starlette:  pip install "langgraph-rlm[server]"') from error
    uploading = 0

    def mine(request: Any) -> ContextStore:
        return part_of(contexts, caller_of_request(request.scope))

    async def upload(request: Any) -> Response:
        nonlocal uploading
        if uploading >= UPLOADS_AT_ONCE:
            return JSONResponse(
                {"detail": "too many uploads at once: try again later"},
                429,
                {"retry-after": str(RETRY_AFTER_SECONDS), "connection": "close"},
            )
        uploading += 1
        try:
            ref = await received(request.stream(), request.headers, mine(request), most_bytes=most_upload_bytes)
        except UploadRefused as error:
            told = {"detail": str(error), "error": type(error).__name__}
            return JSONResponse(told, error.status, {"connection": "close"})  # the rest of the body is not read
        finally:
            uploading -= 1
        return JSONResponse(dict(ref), 201, {"location": f"{request.url.path}/{ref['context_ref']}"})

    async def show(request: Any) -> Response:
        ref, store = cast(ContextRef, {"context_ref": request.path_params["ref"]}), mine(request)
        known = await store.astat(ref)
        ids = (await store.adocuments(ref))[:SHOWN_DOCUMENTS]
        preview = await store.aread(ref, ids[0], end=PREVIEW_CHARS)
        return JSONResponse({**ref, **known, "documents": ids, "preview": preview})

    async def remove(request: Any) -> Response:
        ref = cast(ContextRef, {"context_ref": request.path_params["ref"]})
        if await mine(request).aremove(ref):
            return Response(status_code=204)
        return JSONResponse({"detail": "the context is in use: try again later"}, 409)

    async def health(request: Any) -> Response:
        return JSONResponse({"status": "ok"})

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/contexts", upload, methods=["POST"]),
            Route("/contexts/{ref}", show, methods=["GET"]),
            Route("/contexts/{ref}", remove, methods=["DELETE"]),
            *(Mount(path, mounted) for path, mounted in (mounts or {}).items()),
        ],
        middleware=[Middleware(RequireKey, keys=keys)] if keys is not None else [],
    )
    handle_errors(app)
    return app
