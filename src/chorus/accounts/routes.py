"""/v1/api-keys, /v1/organization, /v1/audit-log."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from chorus.accounts import audit_log, keys, organizations
from chorus.accounts.ring import forgotten
from chorus.accounts.schemas import (
    ApiKeyCreate,
    ApiKeyOut,
    ApiKeyPatch,
    ApiKeyQuery,
    AuditEntryOut,
    AuditQuery,
    NewApiKeyOut,
    OrganizationOut,
    OrganizationPatch,
)
from chorus.accounts.tables import ApiKey, Organization
from chorus.errors import invalid_field, not_found
from chorus.process import Process
from chorus.route import InOrganization, InPrincipal, InProcess, InSession, failures, router
from chorus.wire import Data, Deleted, Page, page

routes = router("Accounts")


def _key(row: ApiKey) -> ApiKeyOut:
    return ApiKeyOut.model_validate(_shown(row))


def _shown(row: ApiKey) -> dict[str, object]:
    names = ApiKeyOut.model_fields.keys() - {"scopes"}
    return {
        **{name: getattr(row, name) for name in names},
        "scopes": list(row.scopes or keys.SCOPES),
    }


def _organization(row: Organization, process: Process) -> OrganizationOut:
    return OrganizationOut(
        id=row.id,
        name=row.name,
        rate_limit_per_minute=row.rate_limit_per_minute,
        rate_limit_ceiling=row.rate_limit_ceiling,
        max_concurrent_calls=row.max_concurrent_calls or process.settings.max_concurrent_calls,
        max_concurrent_calls_ceiling=organizations.ceiling_of_calls(row, process.settings),
        max_queued_calls=row.max_queued_calls,
        supervision_tone=row.supervision_tone,
        supervision_announcement=row.supervision_announcement,
        recording_retention_days=row.recording_retention_days,
        transcript_retention_days=row.transcript_retention_days,
        audit_retention_days=row.audit_retention_days,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@routes.get("/api-keys", operation_id="listApiKeys", summary="List API keys")
async def list_keys(
    session: InSession, organization_id: InOrganization, query: Annotated[ApiKeyQuery, Query()]
) -> Page[ApiKeyOut]:
    """Those that are not revoked, without the keys themselves."""
    rows, found = await keys.page(session, organization_id, query)
    return page(ApiKeyOut, [_key(row) for row in rows], found, query)


@routes.post(
    "/api-keys",
    operation_id="createApiKey",
    summary="Create an API key",
    status_code=201,
    responses=failures(403),
)
async def create_key(
    process: InProcess, session: InSession, principal: InPrincipal, wish: ApiKeyCreate
) -> Data[NewApiKeyOut]:
    """The answer is the only one that has the key. A key that makes one gives at most the scopes,
    the limit and the time that it has itself, and the new one is revoked with it."""
    if wish.expires_at is not None and wish.expires_at <= process.clock.utcnow():
        raise invalid_field("expiresAt", "Expires at must be in the future")
    limit, ends_at = keys.bounded(
        principal, wish.scopes, wish.rate_limit_per_minute, wish.expires_at
    )
    row, key = await keys.create(
        session,
        principal.organization_id,
        wish.name,
        scopes=tuple(wish.scopes),
        rate_limit_per_minute=limit,
        expires_at=ends_at,
        created_by=principal.id,
    )
    return Data(data=NewApiKeyOut.model_validate({**_shown(row), "key": key}))


@routes.get(
    "/api-keys/{id}",
    operation_id="getApiKey",
    summary="Get an API key",
    responses=failures(404),
)
async def get_key(session: InSession, organization_id: InOrganization, id: UUID) -> Data[ApiKeyOut]:
    return Data(data=_key(await keys.one(session, organization_id, id)))


@routes.patch(
    "/api-keys/{id}",
    operation_id="updateApiKey",
    summary="Change an API key's name or limit",
    responses=failures(403, 404),
)
async def update_key(
    process: InProcess,
    session: InSession,
    principal: InPrincipal,
    id: UUID,
    wish: ApiKeyPatch,
) -> Data[ApiKeyOut]:
    changes = wish.changes()
    if "rate_limit_per_minute" in changes:
        changes["rate_limit_per_minute"] = keys.within_limit(
            principal, changes["rate_limit_per_minute"]
        )
    row = await keys.change(session, process.keys, principal.organization_id, id, changes)
    return Data(data=_key(row))


@routes.delete(
    "/api-keys/{id}",
    operation_id="deleteApiKey",
    summary="Revoke an API key",
    responses=failures(403, 404),
)
async def delete_key(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    """With the keys that it made."""
    if not await keys.revoke(session, organization_id, id, process.keys):
        raise not_found("API key")
    return Data(data=Deleted(id=id))


@routes.get("/organization", operation_id="getOrganization", summary="Get the organization")
async def get_organization(
    process: InProcess, session: InSession, organization_id: InOrganization
) -> Data[OrganizationOut]:
    found = await organizations.one(session, organization_id)
    return Data(data=_organization(found, process))


@routes.patch(
    "/organization",
    operation_id="updateOrganization",
    summary="Change the organization's name, limits or rules",
    responses=failures(403),
)
async def update_organization(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    wish: OrganizationPatch,
) -> Data[OrganizationOut]:
    """A limit may be as high as its ceiling, which the operator sets."""
    found = await organizations.change(session, process.settings, organization_id, wish.changes())
    await forgotten(
        session,
        lambda: process.keys.forget_organization(organization_id),
        lambda: process.sessions.forget_organization(organization_id),
    )
    return Data(data=_organization(found, process))


@routes.get(
    "/audit-log",
    operation_id="listAuditLog",
    summary="List who changed and who saw what",
    responses=failures(403),
)
async def list_audit_log(
    session: InSession, organization_id: InOrganization, query: Annotated[AuditQuery, Query()]
) -> Page[AuditEntryOut]:
    """The newest first: changes, log-ins and those that failed, and who looked at what was said and
    at secrets. Placing a call is no entry: the call is its own record."""
    rows, found = await audit_log.page(session, organization_id, query)
    return page(AuditEntryOut, rows, found, query)
