"""/v1/sso: an organization's identity provider; /v1/sessions/sso: coming in by it."""

from __future__ import annotations

import secrets as random
import time

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts import audit
from chorus.accounts.entering import count
from chorus.accounts.principal import Principal
from chorus.accounts.schemas import CurrentSessionOut
from chorus.accounts.session_routes import entered_answer, visitor_of
from chorus.accounts.sso import connections, domains, flows, provider, sign_in
from chorus.accounts.sso.policy import domain_of
from chorus.accounts.sso.provider import ProviderFailed
from chorus.accounts.sso.schemas import (
    SsoBeginWish,
    SsoBegunOut,
    SsoConnectionOut,
    SsoDeleted,
    SsoDomainOut,
    SsoDomainWish,
    SsoFindWish,
    SsoFoundOut,
    SsoLinkWish,
    SsoOrganizationsOut,
    SsoOut,
    SsoPut,
    SsoReturnWish,
    SsoTestOut,
    SsoTestWish,
)
from chorus.accounts.throttle import Attempt
from chorus.errors import invalid_field, unavailable
from chorus.outbound import Outbound
from chorus.process import Process
from chorus.route import (
    InPrincipal,
    InProcess,
    InSession,
    failures,
    member_router,
    public_router,
)
from chorus.wire import Data

routes = member_router("Single sign-on")
asking_routes = member_router("Single sign-on", reading=True)
public_routes = public_router("Single sign-on", known=False)


def _net(request: Request) -> Outbound:
    return request.app.state.switchboard.outbound


async def _shown(session: AsyncSession, process: Process, principal: Principal) -> SsoOut:
    id = principal.organization_id
    row = await connections.of(session, id)
    shown = None
    if row is not None:
        shown = SsoConnectionOut(
            issuer=row.issuer,
            client_id=row.client_id,
            default_role=row.default_role,  # pyright: ignore[reportArgumentType]  the column allows these
            required=row.required,
            created_at=row.created_at,
            updated_at=row.updated_at,
            domains=[
                SsoDomainOut(
                    domain=each.domain,
                    verified_at=each.verified_at,
                    record_name=domains.record_name(each.domain),
                    record_value=domains.record_value(process.secrets, id, each.domain),
                )
                for each in await connections.domains(session, id)
            ],
        )
    return SsoOut(
        redirect_uri=sign_in.redirect_uri(process, id),
        sign_in_url=f"{process.settings.url}/dashboard/login?organization={id}",
        connection=shown,
    )


@routes.get("/sso", operation_id="getSso", summary="Get the identity provider")
async def get_sso(process: InProcess, session: InSession, principal: InPrincipal) -> Data[SsoOut]:
    return Data(data=await _shown(session, process, principal))


@routes.put(
    "/sso",
    operation_id="putSso",
    summary="Set the identity provider",
    responses=failures(403),
)
async def put_sso(
    process: InProcess, session: InSession, principal: InPrincipal, wish: SsoPut
) -> Data[SsoOut]:
    """The provider is not asked: see the test. With `required`, members whom it holds for and who
    are logged in with a password are logged out, but for who asks; with another issuer or client,
    those who came in by the one before."""
    await connections.put(
        session,
        process.settings,
        process.secrets,
        process.sessions,
        principal,
        wish.model_dump(),
    )
    return Data(data=await _shown(session, process, principal))


@routes.delete(
    "/sso",
    operation_id="deleteSso",
    summary="Take the identity provider away",
    responses=failures(403, 404),
)
async def delete_sso(
    process: InProcess, session: InSession, principal: InPrincipal
) -> Data[SsoDeleted]:
    """Who came in by it is logged out, but for who asks. Members stay; those without a password get
    one by an invitation."""
    await connections.remove(session, process.sessions, principal)
    return Data(data=SsoDeleted())


@asking_routes.post(
    "/sso/test",
    operation_id="testSso",
    summary="Test an identity provider",
    responses=failures(403),
)
async def test_sso(request: Request, process: InProcess, wish: SsoTestWish) -> Data[SsoTestOut]:
    """Reads the provider's discovery document and its keys, for up to twenty seconds. Client and
    secret are seen to be right only when somebody signs in."""
    started, net = time.monotonic(), _net(request)
    try:
        found = await provider.discover(net, process.settings, wish.issuer)
        listed = (await provider.keys(net, process.settings, found)).get("keys")
        if not isinstance(listed, list) or not listed:
            raise ProviderFailed("the provider shows no keys that it signs by")
        ok, message = True, f"People are sent to {found.authorization_endpoint}."
    except ProviderFailed as failure:
        said = str(failure)
        ok, message = False, f"{said[:1].upper()}{said[1:]}."
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Data(data=SsoTestOut(ok=ok, message=message, elapsed_ms=elapsed_ms))


@asking_routes.post(
    "/sso/domains/verify",
    operation_id="verifySsoDomain",
    summary="Verify a domain by its DNS",
    responses=failures(403),
)
async def verify_sso_domain(
    request: Request, process: InProcess, principal: InPrincipal, wish: SsoDomainWish
) -> Data[SsoOut]:
    """Looks for the TXT record that the domain's `recordName` and `recordValue` say. 400 while it
    is not there."""
    name = domains.record_name(wish.domain)
    try:
        records = await process.txt_records.of(name)
    except OSError:
        raise unavailable(f"No name server tells the records of {name}") from None
    if not domains.proves(process.secrets, principal.organization_id, wish.domain, records):
        raise invalid_field("domain", f"Domain has no TXT record of yours at {name} (yet)")
    async with process.database.writing() as session:
        now = process.clock.utcnow()
        await connections.mark_verified(session, principal.organization_id, wish.domain, now)
        audit.note(session, domain=wish.domain)
        audit.record(
            session,
            principal,
            "verifySsoDomain",
            "sso",
            None,
            fields=["domain"],
            request_id=request.state.request_id,
            address=request.state.address,
        )
        return Data(data=await _shown(session, process, principal))


@public_routes.post(
    "/sso/organizations",
    operation_id="findSsoOrganizations",
    summary="Find who signs in by an identity provider",
)
async def find_sso_organizations(
    request: Request, process: InProcess, wish: SsoFindWish
) -> Data[SsoOrganizationsOut]:
    """By the domain of an e-mail address, if an organization has verified it. Whether the address
    is a member's makes no difference."""
    attempt = Attempt(None, visitor_of(request, process).address)
    await count(process, attempt)
    async with process.database.reading() as session:
        found = await connections.find(session, domain_of(wish.email))
    shown = [SsoFoundOut.model_validate(each) for each in found]
    if shown:
        async with process.database.writing() as session:
            await attempt.succeeded(session, process.clock.utcnow())
    return Data(data=SsoOrganizationsOut(organizations=shown))


@public_routes.post(
    "/sso/authorizations",
    operation_id="beginSso",
    summary="Begin to sign in by an identity provider",
    status_code=201,
    responses=failures(403, 404),
)
async def begin_sso(
    request: Request, response: Response, process: InProcess, wish: SsoBeginWish
) -> Data[SsoBegunOut]:
    """Sets a cookie that the return must come with, in the same browser within ten minutes. 503
    says what the provider answered instead."""
    browser = random.token_urlsafe(32)
    visitor = visitor_of(request, process)
    url = await sign_in.begin(process, _net(request), visitor, wish.organization_id, browser)
    flows.set_cookie(response, process.settings, browser)
    return Data(data=SsoBegunOut(url=url))


@public_routes.post(
    "/sessions/sso",
    operation_id="createSsoSession",
    summary="Log in by an identity provider",
    status_code=201,
    responses=failures(403),
)
async def create_sso_session(
    request: Request, response: Response, process: InProcess, wish: SsoReturnWish
) -> Data[CurrentSessionOut]:
    """Once for each beginning, in the browser that began. Sets the session's cookie; the session
    lasts a day and reaches this organization alone. Who has a password here and comes so for the
    first time is answered 401 `link_required` with a `challenge`."""
    returned = sign_in.Return(wish.organization_id, wish.state, wish.code, wish.error, wish.iss)
    browser = flows.browser_of(request.headers, process.settings)
    entered = await sign_in.finish(
        process, _net(request), visitor_of(request, process), returned, browser
    )
    return entered_answer(process, response, entered)


@public_routes.post(
    "/sessions/sso/link",
    operation_id="linkSso",
    summary="Link an identity provider's account, and log in",
    status_code=201,
    responses=failures(403),
)
async def link_sso(
    request: Request, response: Response, process: InProcess, wish: SsoLinkWish
) -> Data[CurrentSessionOut]:
    """Takes the password that the member has here, and a code where there is a second factor; from
    then on the provider is enough."""
    entered = await sign_in.link(
        process,
        visitor_of(request, process),
        wish.organization_id,
        wish.challenge,
        wish.password,
        wish.code,
        flows.browser_of(request.headers, process.settings),
    )
    return entered_answer(process, response, entered)
