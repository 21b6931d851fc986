"""The gRPC face of the loopback server: requests are translated by qdrant-client's own converters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as q
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc, grpc_to_payload

_MISSING = grpc.StatusCode.NOT_FOUND


class QdrantGrpcServer:
    """Answers from `:memory:`; stopped by ``with``."""

    def __init__(self) -> None:
        self.memory = QdrantClient(":memory:")
        self._server = grpc.server(ThreadPoolExecutor(1))  # local mode knows one thread
        q.add_CollectionsServicer_to_server(_Collections(self.memory), self._server)
        q.add_PointsServicer_to_server(_Points(self.memory), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.stop(0).wait()


class _Collections(q.CollectionsServicer):
    def __init__(self, memory: QdrantClient) -> None:
        self.memory = memory

    def List(self, request: Any, context: Any) -> Any:
        names = [q.CollectionDescription(name=one.name) for one in self.memory.get_collections().collections]
        return q.ListCollectionsResponse(collections=names)

    def CollectionExists(self, request: Any, context: Any) -> Any:
        there = self.memory.collection_exists(request.collection_name)
        return q.CollectionExistsResponse(result=q.CollectionExists(exists=there))

    def Create(self, request: Any, context: Any) -> Any:
        config = GrpcToRest.convert_vectors_config(request.vectors_config)
        return _answer(
            context,
            lambda: q.CollectionOperationResponse(
                result=self.memory.create_collection(request.collection_name, vectors_config=config)
            ),
        )

    def Update(self, request: Any, context: Any) -> Any:
        metadata = grpc_to_payload(request.metadata)
        done = self.memory.update_collection(request.collection_name, metadata=metadata)
        return q.CollectionOperationResponse(result=done)

    def Delete(self, request: Any, context: Any) -> Any:
        return q.CollectionOperationResponse(result=self.memory.delete_collection(request.collection_name))

    def Get(self, request: Any, context: Any) -> Any:
        return _answer(
            context,
            lambda: q.GetCollectionInfoResponse(
                result=RestToGrpc.convert_collection_info(self.memory.get_collection(request.collection_name))
            ),
        )


class _Points(q.PointsServicer):
    def __init__(self, memory: QdrantClient) -> None:
        self.memory = memory

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        schema: Any = None
        if request.HasField("field_index_params"):
            schema = GrpcToRest.convert_payload_schema_params(request.field_index_params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.memory.create_payload_index(request.collection_name, request.field_name, schema)
        return _done()

    def Upsert(self, request: Any, context: Any) -> Any:
        points = [GrpcToRest.convert_point_struct(one) for one in request.points]
        return _answer(context, lambda: (self.memory.upsert(request.collection_name, points), _done())[1])

    def Delete(self, request: Any, context: Any) -> Any:
        selector = GrpcToRest.convert_points_selector(request.points)
        return _answer(context, lambda: (self.memory.delete(request.collection_name, selector), _done())[1])

    def Get(self, request: Any, context: Any) -> Any:
        ids = [GrpcToRest.convert_point_id(one) for one in request.ids]
        shown = GrpcToRest.convert_with_payload_selector(request.with_payload)
        return _answer(
            context,
            lambda: q.GetResponse(
                result=[
                    RestToGrpc.convert_retrieved_point(one.model_copy(update={"payload": one.payload or {}}))
                    for one in self.memory.retrieve(request.collection_name, ids, with_payload=shown)
                ]
            ),
        )

    def Count(self, request: Any, context: Any) -> Any:
        where = _filter(request)
        return _answer(
            context,
            lambda: q.CountResponse(
                result=q.CountResult(count=self.memory.count(request.collection_name, where, exact=True).count)
            ),
        )

    def Scroll(self, request: Any, context: Any) -> Any:
        offset = GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None

        def page() -> Any:
            records, after = self.memory.scroll(
                request.collection_name, _filter(request), limit=request.limit, offset=offset, with_payload=True
            )
            found = [RestToGrpc.convert_retrieved_point(one) for one in records]
            following = None if after is None else RestToGrpc.convert_extended_point_id(after)
            return q.ScrollResponse(result=found, next_page_offset=following)

        return _answer(context, page)

    def Query(self, request: Any, context: Any) -> Any:
        query = GrpcToRest.convert_query(request.query)
        prefetch = [GrpcToRest.convert_prefetch_query(one) for one in request.prefetch]

        def run() -> Any:
            found = self.memory.query_points(
                request.collection_name,
                query=query,
                using=request.using or None,
                prefetch=prefetch or None,
                query_filter=_filter(request),
                limit=request.limit,
                with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            )
            return q.QueryResponse(result=[RestToGrpc.convert_scored_point(one) for one in found.points])

        return _answer(context, run)


def _filter(request: Any) -> models.Filter | None:
    return GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None


def _answer(context: Any, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ValueError as error:
        there = grpc.StatusCode.ALREADY_EXISTS if "already" in str(error) else grpc.StatusCode.INVALID_ARGUMENT
        context.abort(_MISSING if "not found" in str(error) else there, str(error))


def _done() -> Any:
    return q.PointsOperationResponse(result=q.UpdateResult(operation_id=0, status=q.UpdateStatus.Completed))
