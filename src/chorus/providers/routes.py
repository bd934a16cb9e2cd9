"""/v1/provider-keys."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from chorus import errors
from chorus.accounts.secrets import SecretsUnreadable
from chorus.db import utcnow
from chorus.providers import edit, queries, trial, trial_embeddings
from chorus.providers.in_force import KeyInForce
from chorus.providers.schemas import (
    ProviderKeyCreate,
    ProviderKeyOut,
    ProviderKeyPatch,
    ProviderKeyRotate,
    ProviderKeyTestOut,
)
from chorus.providers.vendors import BY_NAME
from chorus.route import (
    InOrganization,
    InProcess,
    InSession,
    failures,
    reading_router,
    router,
)
from chorus.wire import Data, Deleted, Page, SearchQuery, page

routes = router("Provider keys")
test_routes = reading_router("Provider keys")


@routes.get("/provider-keys", operation_id="listProviderKeys", summary="List provider keys")
async def list_keys(
    session: InSession, organization_id: InOrganization, query: Annotated[SearchQuery, Query()]
) -> Page[ProviderKeyOut]:
    keys, found = await queries.page(session, organization_id, query)
    return page(ProviderKeyOut, [queries.present(key) for key in keys], found, query)


@routes.post(
    "/provider-keys",
    operation_id="createProviderKey",
    summary="Bring a key of a vendor",
    status_code=201,
    responses=failures(409),
)
async def create_key(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    wish: ProviderKeyCreate,
) -> Data[ProviderKeyOut]:
    """It is used from the next call on, before the operator's key of the same vendor. It is not
    tried: see the test."""
    key = await edit.create(session, process.settings, process.secrets, organization_id, wish)
    return Data(data=queries.present(key))


@routes.get(
    "/provider-keys/{id}",
    operation_id="getProviderKey",
    summary="Get a provider key",
    responses=failures(404),
)
async def get_key(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[ProviderKeyOut]:
    return Data(data=queries.present(await queries.one(session, organization_id, id)))


@routes.patch(
    "/provider-keys/{id}",
    operation_id="updateProviderKey",
    summary="Change a provider key",
    responses=failures(404, 409),
)
async def update_key(
    session: InSession, organization_id: InOrganization, id: UUID, wish: ProviderKeyPatch
) -> Data[ProviderKeyOut]:
    """The name and the models. The key and its address change together, by rotation."""
    return Data(
        data=queries.present(await edit.change(session, organization_id, id, wish.changes()))
    )


@routes.delete(
    "/provider-keys/{id}",
    operation_id="deleteProviderKey",
    summary="Delete a provider key",
    responses=failures(404),
)
async def delete_key(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    """Agents whose voice, model or transcriber it opened use what else there is from the next
    call on."""
    await edit.delete(session, organization_id, id)
    return Data(data=Deleted(id=id))


@routes.post(
    "/provider-keys/{id}/rotate",
    operation_id="rotateProviderKey",
    summary="Replace a provider key",
    responses=failures(404),
)
async def rotate_key(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: ProviderKeyRotate,
) -> Data[ProviderKeyOut]:
    """The new key is used from the next call on; calls under way keep the old one."""
    key = await edit.rotate(session, process.settings, process.secrets, organization_id, id, wish)
    return Data(data=queries.present(key))


@test_routes.post(
    "/provider-keys/{id}/test",
    operation_id="testProviderKey",
    summary="Test a provider key",
    responses=failures(404, 409),
)
async def test_key(
    request: Request, process: InProcess, organization_id: InOrganization, id: UUID
) -> Data[ProviderKeyTestOut]:
    """Sends one small request to the vendor, which may cost a fraction of a cent, and waits for
    the answer for up to ten seconds. Embedding models of the vendor that knowledge bases name, at
    most three, are asked for a vector each, up to three seconds. The result is kept as
    `lastTest`."""
    async with process.database.reading() as session:
        key = await queries.one(session, organization_id, id)
        vectors_by = await trial_embeddings.named(session, organization_id, key.provider)
    sent = key.secret
    try:
        api_key = process.secrets.decrypt(sent)
    except SecretsUnreadable as failure:
        raise errors.conflict("secrets_unreadable", str(failure)) from None
    vendor = BY_NAME[key.provider]
    outbound = request.app.state.switchboard.outbound
    if key.models and key.provider == "custom":
        # Of several servers, the one that says that it has the model makes its vectors.
        vectors_by = [model for model in vectors_by if model in key.models]
    others = tuple(model for model in key.models if model not in vectors_by)
    verdict = None
    if others or not vectors_by or not key.models:
        tried = trial.Tried(vendor, api_key, key.base_url, others)
        verdict = await trial.test(outbound, tried)
    if verdict is None or (verdict.ok and vectors_by):
        base_url = (key.base_url or vendor.base_url or "").rstrip("/")
        used = KeyInForce(vendor, api_key, base_url, tuple(key.models), key.id)
        verdict = await trial_embeddings.test(outbound, used, vectors_by, verdict)
    shown = ProviderKeyTestOut(
        ok=verdict.ok,
        problem=verdict.problem,
        message=verdict.message,
        elapsed_ms=verdict.elapsed_ms,
        tested_at=utcnow(),
    )
    async with process.database.writing() as session:
        await edit.note_test(session, id, sent, shown)
    return Data(data=shown)
