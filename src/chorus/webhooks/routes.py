"""/v1/webhook-endpoints, /v1/webhook-deliveries, /v1/webhook-secret and an agent's webhook."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from chorus import errors
from chorus.calls.switchboard import Switchboard
from chorus.db import utcnow
from chorus.route import InOrganization, InProcess, InSession, failures, router
from chorus.webhooks import edit, queries
from chorus.webhooks import secret as signing
from chorus.webhooks.announce import write_test
from chorus.webhooks.redeliver import redeliver
from chorus.webhooks.schemas import (
    AgentWebhookOut,
    DeliveryOut,
    DeliveryQuery,
    ListedDelivery,
    WebhookEndpointCreate,
    WebhookEndpointOut,
    WebhookEndpointPatch,
    WebhookEndpointWithSecret,
    WebhookSecretOut,
)
from chorus.webhooks.tables import TwoSecrets, WebhookEndpoint, WebhookSecret
from chorus.wire import Data, Deleted, Page, SearchQuery, page

routes = router("Webhooks")


def _switchboard(request: Request) -> Switchboard:
    return request.app.state.switchboard


InSwitchboard = Annotated[Switchboard, Depends(_switchboard)]


@routes.get(
    "/webhook-endpoints", operation_id="listWebhookEndpoints", summary="List webhook endpoints"
)
async def list_endpoints(
    session: InSession, organization_id: InOrganization, query: Annotated[SearchQuery, Query()]
) -> Page[WebhookEndpointOut]:
    """`search` looks at the description and the URL."""
    rows, found = await queries.endpoints(session, organization_id, query)
    return page(WebhookEndpointOut, [_endpoint(each) for each in rows], found, query)


@routes.post(
    "/webhook-endpoints",
    operation_id="createWebhookEndpoint",
    summary="Create a webhook endpoint",
    status_code=201,
    responses=failures(409),
)
async def create_endpoint(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    wish: WebhookEndpointCreate,
) -> Data[WebhookEndpointWithSecret]:
    """The answer holds the secret, which is shown this once."""
    endpoint, secret = await edit.create(
        session, process.settings, process.secrets, organization_id, wish
    )
    return Data(data=_with_secret(endpoint, secret))


@routes.get(
    "/webhook-endpoints/{id}",
    operation_id="getWebhookEndpoint",
    summary="Get a webhook endpoint",
    responses=failures(404),
)
async def get_endpoint(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[WebhookEndpointOut]:
    return Data(data=_endpoint(await queries.endpoint(session, organization_id, id)))


@routes.patch(
    "/webhook-endpoints/{id}",
    operation_id="updateWebhookEndpoint",
    summary="Change a webhook endpoint",
    responses=failures(404),
)
async def update_endpoint(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: WebhookEndpointPatch,
) -> Data[WebhookEndpointOut]:
    """What waits for its next try goes to the new URL. `isActive` true also takes back that an
    answer of 410 had made it inactive."""
    endpoint = await edit.change(session, process.settings, organization_id, id, wish.changes())
    return Data(data=_endpoint(endpoint))


@routes.delete(
    "/webhook-endpoints/{id}",
    operation_id="deleteWebhookEndpoint",
    summary="Delete a webhook endpoint",
    responses=failures(404),
)
async def delete_endpoint(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    await edit.delete(session, organization_id, id)
    return Data(data=Deleted(id=id))


@routes.post(
    "/webhook-endpoints/{id}/rotate-secret",
    operation_id="rotateWebhookEndpointSecret",
    summary="Replace a webhook endpoint's secret",
    responses=failures(404),
)
async def rotate_endpoint_secret(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[WebhookEndpointWithSecret]:
    """For 24 hours both secrets sign."""
    endpoint = await queries.endpoint(session, organization_id, id, lock="change")
    secret = signing.rotate(endpoint, process.secrets)
    await session.flush()
    return Data(data=_with_secret(endpoint, secret))


@routes.post(
    "/webhook-endpoints/{id}/test",
    operation_id="testWebhookEndpoint",
    summary="Send a test to a webhook endpoint",
    status_code=201,
    responses=failures(404, 409),
)
async def test_endpoint(
    switchboard: InSwitchboard, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[DeliveryOut]:
    """A `webhook.test`, tried once. What came of it is seen in the delivery."""
    endpoint = await queries.endpoint(session, organization_id, id)
    if not endpoint.is_active:
        raise errors.conflict("endpoint_inactive", "The webhook endpoint is not active")
    made = await write_test(session, switchboard, organization_id, "endpoint", id, endpoint.url)
    return Data(data=await queries.present(session, made))


@routes.get(
    "/webhook-deliveries",
    operation_id="listWebhookDeliveries",
    summary="List webhook deliveries",
)
async def list_deliveries(
    session: InSession, organization_id: InOrganization, query: Annotated[DeliveryQuery, Query()]
) -> Page[ListedDelivery]:
    """The newest first. Deliveries are kept for 30 days after they ended."""
    rows, found = await queries.deliveries(session, organization_id, query)
    return page(ListedDelivery, rows, found, query)


@routes.get(
    "/webhook-deliveries/{id}",
    operation_id="getWebhookDelivery",
    summary="Get a webhook delivery",
    responses=failures(404),
)
async def get_delivery(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[DeliveryOut]:
    """With what is sent, and every try."""
    found = await queries.delivery(session, organization_id, id)
    return Data(data=await queries.present(session, found))


@routes.post(
    "/webhook-deliveries/{id}/redeliver",
    operation_id="redeliverWebhook",
    summary="Deliver a webhook again",
    responses=failures(404, 409),
)
async def redeliver_webhook(
    switchboard: InSwitchboard, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[DeliveryOut]:
    """The same body under the same `webhook-id`, at once, and with all retries."""
    found = await redeliver(session, switchboard, organization_id, id)
    return Data(data=await queries.present(session, found))


@routes.get(
    "/webhook-secret",
    operation_id="getWebhookSecret",
    summary="Get the organization's webhook secret",
    responses=failures(403),
)
async def get_secret(
    process: InProcess, session: InSession, organization_id: InOrganization
) -> Data[WebhookSecretOut]:
    """It signs the webhooks of agents without a `postCallWebhookSecret`. Made when it is first
    needed. Not for those who may only look."""
    found = await signing.find(session, organization_id)
    if found is None:
        async with process.database.writing() as writing:
            found = await signing.ensure(writing, organization_id, process.secrets)
    return Data(data=_secret(found, process.secrets.decrypt(found.secret)))


@routes.post(
    "/webhook-secret/rotate",
    operation_id="rotateWebhookSecret",
    summary="Replace the organization's webhook secret",
)
async def rotate_secret(
    process: InProcess, session: InSession, organization_id: InOrganization
) -> Data[WebhookSecretOut]:
    """For 24 hours both secrets sign."""
    row = await signing.ensure(session, organization_id, process.secrets)
    fresh = signing.rotate(row, process.secrets)
    await session.flush()
    return Data(data=_secret(row, fresh))


@routes.get(
    "/agents/{id}/webhook",
    operation_id="getAgentWebhook",
    summary="Get the state of an agent's webhook",
    responses=failures(404),
)
async def get_agent_webhook(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[AgentWebhookOut]:
    return Data(data=await edit.agent_webhook(session, organization_id, id))


@routes.post(
    "/agents/{id}/webhook/enable",
    operation_id="enableAgentWebhook",
    summary="Send to an agent's webhook again",
    responses=failures(404),
)
async def enable_agent_webhook(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[AgentWebhookOut]:
    """After its receiver answered 410. Giving the agent another URL does the same."""
    return Data(data=await edit.enable_agent_webhook(session, organization_id, id))


@routes.post(
    "/agents/{id}/webhook/test",
    operation_id="testAgentWebhook",
    summary="Send a test to an agent's webhook",
    status_code=201,
    responses=failures(404, 409),
)
async def test_agent_webhook(
    switchboard: InSwitchboard, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[DeliveryOut]:
    """A `webhook.test`, tried once. What came of it is seen in the delivery."""
    webhook = await edit.agent_webhook(session, organization_id, id)
    if webhook.url is None or not webhook.is_active:
        raise errors.conflict("webhook_inactive", "The agent has no webhook, or it is disabled")
    made = await write_test(session, switchboard, organization_id, "agent", id, webhook.url)
    return Data(data=await queries.present(session, made))


def _until(row: TwoSecrets) -> dict[str, object]:
    until = row.previous_until
    return {"previous_secret_until": until if until is not None and until > utcnow() else None}


def _shown(endpoint: WebhookEndpoint) -> dict[str, object]:
    names = WebhookEndpointOut.model_fields.keys() - {"previous_secret_until"}
    return {name: getattr(endpoint, name) for name in names} | _until(endpoint)


def _endpoint(endpoint: WebhookEndpoint) -> WebhookEndpointOut:
    return WebhookEndpointOut.model_validate(_shown(endpoint))


def _with_secret(endpoint: WebhookEndpoint, secret: str) -> WebhookEndpointWithSecret:
    return WebhookEndpointWithSecret.model_validate(_shown(endpoint) | {"secret": secret})


def _secret(row: WebhookSecret, secret: str) -> WebhookSecretOut:
    shown = {"secret": secret, "created_at": row.created_at, "updated_at": row.updated_at}
    return WebhookSecretOut.model_validate(shown | _until(row))
