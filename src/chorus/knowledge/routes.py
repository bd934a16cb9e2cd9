"""/v1/knowledge-bases."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from chorus import errors
from chorus.knowledge import edit, queries
from chorus.knowledge.library import Library
from chorus.knowledge.schemas import (
    FoundPassage,
    KnowledgeBaseCreate,
    KnowledgeBaseOut,
    KnowledgeBasePatch,
    KnowledgeFound,
    KnowledgeSearch,
)
from chorus.route import InOrganization, InProcess, InSession, failures, reading_router, router
from chorus.wire import Data, Deleted, Page, SearchQuery, page

TAG = "Knowledge"
SEARCH_S = 10.0

routes = router(TAG)
search_routes = reading_router(TAG)


def library_of(request: Request) -> Library:
    library: Library = request.app.state.switchboard.library
    return library


@routes.get("/knowledge-bases", operation_id="listKnowledgeBases", summary="List knowledge bases")
async def list_bases(
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[SearchQuery, Query()],
) -> Page[KnowledgeBaseOut]:
    bases, known = await queries.page(session, organization_id, query)
    shown = [KnowledgeBaseOut.model_validate(base) for base in bases]
    return page(KnowledgeBaseOut, shown, known, query)


@routes.post(
    "/knowledge-bases",
    operation_id="createKnowledgeBase",
    summary="Create a knowledge base",
    status_code=201,
)
async def create_base(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    wish: KnowledgeBaseCreate,
) -> Data[KnowledgeBaseOut]:
    base = await edit.create(session, library_of(request), organization_id, wish)
    return Data(data=KnowledgeBaseOut.model_validate(base))


@routes.get(
    "/knowledge-bases/{id}",
    operation_id="getKnowledgeBase",
    summary="Get a knowledge base",
    responses=failures(404),
)
async def get_base(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[KnowledgeBaseOut]:
    base = await queries.one(session, organization_id, id)
    return Data(data=KnowledgeBaseOut.model_validate(base))


@routes.patch(
    "/knowledge-bases/{id}",
    operation_id="updateKnowledgeBase",
    summary="Change a knowledge base",
    responses=failures(404),
)
async def update_base(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: KnowledgeBasePatch,
) -> Data[KnowledgeBaseOut]:
    """With another `embeddingModel` all its documents are read again; until that is done they are
    found by their words."""
    library = library_of(request)
    base = await edit.change(session, library, organization_id, id, wish.changes())
    return Data(data=KnowledgeBaseOut.model_validate(base))


@routes.delete(
    "/knowledge-bases/{id}",
    operation_id="deleteKnowledgeBase",
    summary="Delete a knowledge base",
    responses=failures(404, 409),
)
async def delete_base(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    """With all its documents, and everything that was made of them."""
    await edit.delete(session, organization_id, id)
    return Data(data=Deleted(id=id))


@search_routes.post(
    "/knowledge-bases/{id}/search",
    operation_id="searchKnowledgeBase",
    summary="Search a knowledge base",
    responses=failures(404, 503),
)
async def search_base(
    request: Request,
    process: InProcess,
    organization_id: InOrganization,
    id: UUID,
    wish: KnowledgeSearch,
) -> Data[KnowledgeFound]:
    """What an agent would be shown for a caller's question; a call waits 60 ms for it, this waits
    longer."""
    async with process.database.reading() as session:
        await queries.one(session, organization_id, id)
    found = await library_of(request).find(
        organization_id,
        [id],
        wish.query,
        count=wish.limit,
        within_s=SEARCH_S,
        by_meaning=wish.ways == "all",
    )
    if found.problem or not found.ways:
        raise errors.unavailable(found.problem or "The documents were not searched in time")
    return Data(
        data=KnowledgeFound(
            passages=[
                FoundPassage(
                    chunk_id=str(passage.chunk_id),
                    document_id=UUID(passage.document_id),
                    document=passage.document,
                    url=passage.url,
                    page=passage.page,
                    heading=passage.heading,
                    text=passage.text,
                    score=round(passage.score, 6),
                )
                for passage in found.passages
            ],
            ways=list(found.ways),
            elapsed_ms=round(found.elapsed_ms, 1),
        )
    )
