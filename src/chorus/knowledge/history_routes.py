"""GET /v1/knowledge-bases/{id}/history."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chorus.accounts import audit_log
from chorus.accounts.schemas import AuditEntryOut
from chorus.knowledge import history, queries
from chorus.knowledge.routes import TAG
from chorus.route import InOrganization, InSession, failures, router
from chorus.wire import Data, Out, Time

history_routes = router(TAG)

_MOST = 100


class HistoryQuery(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    document_id: Annotated[UUID | None, Field(description="Of this document alone.")] = None


class KnowledgeChange(Out):
    """What somebody did to the base or to a document of it."""

    at: Annotated[Time, Field(description="When.")]
    actor: Annotated[
        Literal["key", "member", "operator"], Field(description="What kind of caller it was.")
    ]
    actor_name: Annotated[str, Field(description="What the key or the member was called then.")]
    action: Annotated[
        str,
        Field(
            description="The operation's name, as `uploadDocument`.", examples=["createDocument"]
        ),
    ]
    document_id: Annotated[UUID | None, Field(description="Null: it was done to the base.")]
    document: Annotated[str | None, Field(description="What it was called then.")]
    fields: Annotated[list[str], Field(description="Names of the fields that were sent.")]


class DocumentReading(Out):
    """One time that a document was read, or is to be."""

    document_id: Annotated[UUID, Field(description="The document.")]
    document: Annotated[str, Field(description="What it is called now.")]
    asked_at: Annotated[Time, Field(description="When it was to be read.")]
    ended_at: Annotated[Time | None, Field(description="Null: it has not ended.")]
    status: Annotated[
        Literal["waiting", "ready", "failed", "replaced"],
        Field(description="`replaced`: it was to be read anew before that had ended."),
    ]
    problem: Annotated[str | None, Field(description="Why it failed.")]
    chunk_count: Annotated[int, Field(description="Pieces that it made.")]
    characters: Annotated[int, Field(description="Of the document's text.")]
    embedding_model: Annotated[str | None, Field(description="Null: found by its words alone.")]
    embedding_tokens: Annotated[int, Field(description="That a vendor made vectors of.")]
    embedding_cost: Annotated[float, Field(description="Dollars, by the price list of the time.")]


class KnowledgeHistory(Out):
    changes: Annotated[
        list[KnowledgeChange], Field(description=f"The newest first, {_MOST} at most.")
    ]
    readings: Annotated[
        list[DocumentReading],
        Field(
            description=f"The newest first, {_MOST} at most, of each document the latest "
            f"{history.KEPT}."
        ),
    ]


@history_routes.get(
    "/knowledge-bases/{id}/history",
    operation_id="getKnowledgeHistory",
    summary="See what was done to a knowledge base",
    responses=failures(404),
)
async def get_knowledge_history(
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    query: Annotated[HistoryQuery, Query()],
) -> Data[KnowledgeHistory]:
    """Who changed the base and its documents, and how each reading of a document went. A URL that
    was fetched again and had not changed leaves no reading. What was done to a document before this
    was kept names no document."""
    base = await queries.one(session, organization_id, id)
    only = query.document_id
    entries = await audit_log.of_resource(
        session,
        organization_id,
        "knowledge-bases",
        id,
        limit=_MOST,
        detail=None if only is None else ("documentId", str(only)),
    )
    read = await history.readings(session, base, only, _MOST)
    return Data(
        data=KnowledgeHistory(
            changes=[_change(entry) for entry in entries],
            readings=[
                DocumentReading(
                    document_id=reading.document_id,
                    document=name,
                    asked_at=reading.created_at,
                    ended_at=reading.ended_at,
                    status=reading.status,  # pyright: ignore[reportArgumentType]  checked by the table
                    problem=reading.problem,
                    chunk_count=reading.chunk_count,
                    characters=reading.characters,
                    embedding_model=reading.embedding_model,
                    embedding_tokens=reading.embedding_tokens,
                    embedding_cost=reading.embedding_cost_micros / 1_000_000,
                )
                for reading, name in read
            ],
        )
    )


def _change(entry: AuditEntryOut) -> KnowledgeChange:
    noted: dict[str, Any] = entry.detail or {}
    return KnowledgeChange(
        at=entry.created_at,
        actor=entry.actor,
        actor_name=entry.actor_name,
        action=entry.action,
        document_id=noted.get("documentId"),
        document=noted.get("document"),
        fields=entry.fields,
    )
