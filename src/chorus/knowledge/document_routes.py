"""/v1/knowledge-bases/{id}/documents."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request

from chorus.knowledge import edit, queries
from chorus.knowledge.routes import TAG, library_of
from chorus.knowledge.schemas import ChunkOut, DocumentCreate, DocumentOut, DocumentPatch
from chorus.knowledge.upload import UploadRoute, upload_of
from chorus.route import InOrganization, InSession, failures, router
from chorus.wire import Data, Deleted, Page, PageQuery, SearchQuery, page

document_routes = router(TAG)
upload_routes = router(TAG, UploadRoute)

DocumentId = Annotated[UUID, Path(alias="documentId", description="The document.")]

_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "txt, md, html, pdf, docx or csv, by its name's ending.",
                        },
                        "name": {
                            "type": "string",
                            "maxLength": 255,
                            "description": "Instead of the file's own name.",
                        },
                    },
                    "required": ["file"],
                    "additionalProperties": False,
                }
            }
        },
    }
}


@document_routes.get(
    "/knowledge-bases/{id}/documents",
    operation_id="listDocuments",
    summary="List the documents of a knowledge base",
    responses=failures(404),
)
async def list_documents(
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    query: Annotated[SearchQuery, Query()],
) -> Page[DocumentOut]:
    base = await queries.one(session, organization_id, id)
    found, known = await queries.documents(session, base, query)
    shown = [DocumentOut.model_validate(document) for document in found]
    return page(DocumentOut, shown, known, query)


@document_routes.post(
    "/knowledge-bases/{id}/documents",
    operation_id="createDocument",
    summary="Add a text or a URL",
    status_code=201,
    responses=failures(404, 409),
)
async def create_document(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: DocumentCreate,
) -> Data[DocumentOut]:
    """It is read at once, in the background: `status` says when it can be found."""
    document = await edit.add_text_or_url(session, library_of(request), organization_id, id, wish)
    return Data(data=DocumentOut.model_validate(document))


@upload_routes.post(
    "/knowledge-bases/{id}/documents/upload",
    operation_id="uploadDocument",
    summary="Add a file",
    status_code=201,
    responses=failures(404, 409),
    openapi_extra=_UPLOAD,
)
async def upload_document(
    request: Request, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[DocumentOut]:
    """As multipart/form-data. It is read at once, in the background: `status` says when it can be
    found."""
    document = await edit.add_file(
        session, library_of(request), organization_id, id, upload_of(request)
    )
    return Data(data=DocumentOut.model_validate(document))


@document_routes.get(
    "/knowledge-bases/{id}/documents/{documentId}",
    operation_id="getDocument",
    summary="Get a document",
    responses=failures(404),
)
async def get_document(
    session: InSession, organization_id: InOrganization, id: UUID, document_id: DocumentId
) -> Data[DocumentOut]:
    base = await queries.one(session, organization_id, id)
    document = await queries.document(session, base, document_id)
    return Data(data=DocumentOut.model_validate(document))


@document_routes.get(
    "/knowledge-bases/{id}/documents/{documentId}/chunks",
    operation_id="listChunks",
    summary="See what was read of a document",
    responses=failures(404),
)
async def list_chunks(
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    document_id: DocumentId,
    query: Annotated[PageQuery, Query()],
) -> Page[ChunkOut]:
    """The pieces that can be found, in their order."""
    base = await queries.one(session, organization_id, id)
    document = await queries.document(session, base, document_id)
    found = await queries.chunks(session, document, limit=query.limit, offset=query.offset)
    shown = [
        ChunkOut(
            id=str(chunk.id),
            position=chunk.position,
            heading=chunk.heading,
            page=chunk.page,
            text=chunk.text,
        )
        for chunk in found
    ]
    return page(ChunkOut, shown, document.chunk_count, query)


@document_routes.patch(
    "/knowledge-bases/{id}/documents/{documentId}",
    operation_id="updateDocument",
    summary="Change a document",
    responses=failures(404),
)
async def update_document(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    document_id: DocumentId,
    wish: DocumentPatch,
) -> Data[DocumentOut]:
    document = await edit.change_document(
        session, library_of(request), organization_id, id, document_id, wish.changes()
    )
    return Data(data=DocumentOut.model_validate(document))


@document_routes.post(
    "/knowledge-bases/{id}/documents/{documentId}/ingest",
    operation_id="ingestDocument",
    summary="Read a document again",
    responses=failures(404),
)
async def ingest_document(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    document_id: DocumentId,
) -> Data[DocumentOut]:
    """What was stored of it, or what its URL has now."""
    document = await edit.read_again(session, library_of(request), organization_id, id, document_id)
    return Data(data=DocumentOut.model_validate(document))


@document_routes.delete(
    "/knowledge-bases/{id}/documents/{documentId}",
    operation_id="deleteDocument",
    summary="Delete a document",
    responses=failures(404),
)
async def delete_document(
    session: InSession, organization_id: InOrganization, id: UUID, document_id: DocumentId
) -> Data[Deleted]:
    """With everything that was made of it."""
    await edit.delete_document(session, organization_id, id, document_id)
    return Data(data=Deleted(id=document_id))
