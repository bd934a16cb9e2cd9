"""/v1/publishable-tokens, and the one route that pages of other sites may ask."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request, Response

from chorus import errors
from chorus.calls import publishable
from chorus.calls.publishable_schemas import (
    PublishableTokenCreate,
    PublishableTokenOut,
    PublishableTokenPatch,
    PublishableTokenRevoked,
)
from chorus.calls.schemas import TestCallOut
from chorus.calls.switchboard import Switchboard
from chorus.lines.browser.carrier import media_url
from chorus.route import InOrganization, InProcess, InSession, failures, public_router, router
from chorus.wire import Data, Page, SearchQuery, page

routes = router("Calls")
page_routes = public_router("Calls", known=False)


@routes.get(
    "/publishable-tokens", operation_id="listPublishableTokens", summary="List publishable tokens"
)
async def list_tokens(
    session: InSession, organization_id: InOrganization, query: Annotated[SearchQuery, Query()]
) -> Page[PublishableTokenOut]:
    """Those that are not revoked."""
    rows, found = await publishable.page(session, organization_id, query)
    return page(
        PublishableTokenOut, [PublishableTokenOut.model_validate(row) for row in rows], found, query
    )


@routes.post(
    "/publishable-tokens",
    operation_id="createPublishableToken",
    summary="Let pages of other sites call an agent",
    status_code=201,
    responses=failures(403, 409),
)
async def create_token(
    session: InSession, organization_id: InOrganization, wish: PublishableTokenCreate
) -> Data[PublishableTokenOut]:
    """The token stands in the page, where everybody can read it: it opens nothing but calls to
    this agent, within its limits. A page says in its `Origin` whose it is, which a browser does
    not lie about; a program may, and the limits are what holds it."""
    row = await publishable.create(session, organization_id, wish)
    return Data(data=PublishableTokenOut.model_validate(row))


@routes.get(
    "/publishable-tokens/{id}",
    operation_id="getPublishableToken",
    summary="Get a publishable token",
    responses=failures(404),
)
async def get_token(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[PublishableTokenOut]:
    row = await publishable.one(session, organization_id, id)
    return Data(data=PublishableTokenOut.model_validate(row))


@routes.patch(
    "/publishable-tokens/{id}",
    operation_id="updatePublishableToken",
    summary="Change a publishable token",
    responses=failures(403, 404),
)
async def update_token(
    session: InSession, organization_id: InOrganization, id: UUID, wish: PublishableTokenPatch
) -> Data[PublishableTokenOut]:
    """What is changed counts from the next call on."""
    row = await publishable.change(session, organization_id, id, wish.changes())
    return Data(data=PublishableTokenOut.model_validate(row))


@routes.delete(
    "/publishable-tokens/{id}",
    operation_id="deletePublishableToken",
    summary="Revoke a publishable token",
    responses=failures(403, 404),
)
async def delete_token(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    end_calls: Annotated[
        bool, Query(alias="endCalls", description="End those that are talked on, too.")
    ] = False,
) -> Data[PublishableTokenRevoked]:
    """For good. Calls to which the page has not connected yet end at once."""
    switchboard: Switchboard = request.app.state.switchboard
    ended = await publishable.revoke(session, switchboard, organization_id, id, end_calls=end_calls)
    return Data(data=PublishableTokenRevoked(id=id, ended_calls=ended))


@page_routes.post(
    "/publishable-tokens/{token}/calls",
    operation_id="createPageCall",
    summary="Start a call from a page",
    status_code=201,
    responses=failures(402, 403, 404, 409, 503),
)
async def create_page_call(
    request: Request,
    response: Response,
    process: InProcess,
    token: Annotated[str, Path(description="The token itself: pk_live_…")],
) -> Data[TestCallOut]:
    """For pages of the token's origins, which need no key and no server of their own. It takes no
    body, so that a browser does not ask first: there is no preflight to answer. The answer can be
    read by the page whose `Origin` the token names, and why it was refused by any. 403
    `origin_not_allowed`, `publishable_token_revoked` or `organization_suspended`; 429
    `too_many_calls_concurrent`, `too_many_calls_hour` or `too_many_calls_address`; and what refuses
    any call: 402, 429 and 503."""
    switchboard: Switchboard = request.app.state.switchboard
    origin = request.headers.get("origin", "")
    try:
        made = await publishable.begin_for_page(
            process, switchboard, token, origin, request.state.address
        )
    except errors.Error as refused:
        refused.headers["Access-Control-Allow-Origin"] = "*"
        raise
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Vary"] = "Origin"
    response.headers["Cache-Control"] = "no-store"
    return Data(
        data=TestCallOut(
            call_id=made.begun.call_id,
            url=media_url(process.settings, str(made.begun.call_id), made.proof),
            token=made.begun.token,
            expires_at=made.begun.expires_at,
        )
    )
