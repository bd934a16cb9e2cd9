"""/v1/sessions, /v1/invitations, /v1/password: members logging in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from chorus.accounts import (
    credentials,
    identities,
    login,
    members,
    organizations,
    second_factor,
    sessions,
)
from chorus.accounts.entering import Entered, Visitor
from chorus.accounts.identities import Membership
from chorus.accounts.principal import Principal
from chorus.accounts.schemas import (
    CurrentSessionOut,
    InvitationAccept,
    NewSecondFactorOut,
    OwnerCreate,
    PasswordChange,
    PasswordChanged,
    SecondFactorConfirm,
    SecondFactorCreate,
    SecondFactorOut,
    SecondFactorRemove,
    SessionCreate,
    SessionFinish,
    SessionMember,
    SessionMembership,
    SessionOrganization,
    SessionOut,
    SessionsEnded,
    SessionSwitch,
)
from chorus.accounts.tables import Identity, Member, MemberSession, Organization
from chorus.process import Process
from chorus.route import InPrincipal, InProcess, InSession, failures, member_router, public_router
from chorus.settings import Settings
from chorus.wire import Data, Deleted, Page, PageQuery, page

routes = member_router("Sessions")
public_sessions = public_router("Sessions", known=False)
own_sessions = public_router("Sessions", known=True)


def visitor_of(request: Request, process: Process) -> Visitor:
    """Who knocks."""
    return Visitor(
        address=request.state.address,
        user_agent=request.headers.get("user-agent", ""),
        request_id=request.state.request_id,
        token=sessions.token_of(request.headers, process.settings),
    )


def _listed(row: MemberSession, principal: Principal) -> SessionOut:
    return SessionOut(
        current=row.id == principal.session_id,
        **{n: getattr(row, n) for n in SessionOut.model_fields.keys() - {"current"}},
    )


def _current(
    row: MemberSession,
    member: Member,
    organization: Organization,
    theirs: Sequence[Membership],
    settings: Settings,
) -> CurrentSessionOut:
    return CurrentSessionOut(
        current=True,
        member=SessionMember.model_validate(member),
        organization=SessionOrganization.model_validate(organization),
        organizations=[SessionMembership.model_validate(each) for each in theirs],
        server_url=settings.url,
        **{n: getattr(row, n) for n in SessionOut.model_fields.keys() - {"current"}},
    )


def _factor(identity: Identity) -> SecondFactorOut:
    on = second_factor.is_on(identity)
    return SecondFactorOut(
        enabled=on,
        confirmed_at=identity.second_factor_at,
        recovery_codes_left=len(identity.recovery_hashes or []) if on else 0,
    )


def entered_answer(
    process: Process, response: Response, entered: Entered
) -> Data[CurrentSessionOut]:
    """What is answered to who came in, with the session's cookie."""
    sessions.set_cookie(response, process.settings, entered.token)
    return Data(
        data=_current(
            entered.session,
            entered.member,
            entered.organization,
            entered.organizations,
            process.settings,
        )
    )


@public_sessions.post(
    "/sessions",
    operation_id="createSession",
    summary="Log in",
    status_code=201,
    responses=failures(403),
)
async def create_session(
    request: Request, response: Response, process: InProcess, wish: SessionCreate
) -> Data[CurrentSessionOut]:
    """Sets the session's cookie; a session that the browser had before ends. 401 says neither
    whether the address is a member's nor what was wrong; 403 `sso_required` that the password is
    right and the organization wants its identity provider asked; 429 tells how long to wait."""
    visitor = visitor_of(request, process)
    entered = await login.log_in(process, visitor, wish.email, wish.password, wish.organization_id)
    return entered_answer(process, response, entered)


@public_sessions.post(
    "/sessions/second-factor",
    operation_id="finishSession",
    summary="Finish a log-in with a code",
    status_code=201,
    responses=failures(403),
)
async def finish_session(
    request: Request, response: Response, process: InProcess, wish: SessionFinish
) -> Data[CurrentSessionOut]:
    """For members with a second factor, whose `POST /v1/sessions` is answered 401 with the code
    `second_factor_required` and a `challenge`. A wrong code is 400; after some, 429."""
    visitor = visitor_of(request, process)
    entered = await login.show_code(process, visitor, wish.challenge, wish.code)
    return entered_answer(process, response, entered)


@public_sessions.post(
    "/invitations",
    operation_id="acceptInvitation",
    summary="Accept an invitation",
    status_code=201,
    responses=failures(403, 404, 409),
)
async def accept_invitation(
    request: Request, response: Response, process: InProcess, wish: InvitationAccept
) -> Data[CurrentSessionOut]:
    """Sets the password and logs in. Who is a member of another organization already, with the
    same address, says `existing` and gives the password that there is: from then on both belong to
    one account. 409 if that password was set by somebody else and never changed."""
    visitor = visitor_of(request, process)
    come = login.join if wish.existing else login.accept
    entered = await come(process, visitor, wish.token, wish.password, wish.name)
    return entered_answer(process, response, entered)


@public_sessions.post(
    "/owners",
    operation_id="createOwner",
    summary="Become the first owner",
    status_code=201,
    responses=failures(403, 404),
)
async def create_owner(
    request: Request, response: Response, process: InProcess, wish: OwnerCreate
) -> Data[CurrentSessionOut]:
    """Makes the owner of an organization in which nobody can log in yet, and logs in. The server
    prints the link with the token when it starts; afterwards it is 404."""
    visitor = visitor_of(request, process)
    entered = await login.create_owner(
        process, visitor, wish.token, wish.email, wish.password, wish.name
    )
    return entered_answer(process, response, entered)


@own_sessions.post(
    "/sessions/switch",
    operation_id="switchOrganization",
    summary="Go over to another of one's organizations",
    status_code=201,
    responses=failures(403, 404),
)
async def switch_organization(
    request: Request,
    response: Response,
    process: InProcess,
    principal: InPrincipal,
    wish: SessionSwitch,
) -> Data[CurrentSessionOut]:
    """A new session there takes the place of this one, and ends when this one would have ended. 404
    for an organization in which the account has no member; 403 from a session of an organization's
    identity provider, and to an organization that requires its own."""
    visitor = visitor_of(request, process)
    entered = await login.switch(process, visitor, principal, wish.organization_id)
    return entered_answer(process, response, entered)


@own_sessions.post(
    "/password",
    operation_id="changePassword",
    summary="Change the own password",
    responses=failures(403, 409),
)
async def change_password(
    request: Request, process: InProcess, principal: InPrincipal, wish: PasswordChange
) -> Data[PasswordChanged]:
    """It is one for all organizations of the member. All other sessions end."""
    visitor = visitor_of(request, process)
    await credentials.change_password(
        process, visitor, principal, wish.current_password, wish.new_password
    )
    return Data(data=PasswordChanged())


@routes.get(
    "/second-factor",
    operation_id="getSecondFactor",
    summary="Say whether there is a second factor",
)
async def get_second_factor(session: InSession, principal: InPrincipal) -> Data[SecondFactorOut]:
    member = await members.one(session, principal.organization_id, principal.id)
    assert member.identity is not None
    return Data(data=_factor(member.identity))


@own_sessions.post(
    "/second-factor",
    operation_id="createSecondFactor",
    summary="Begin to use a second factor",
    status_code=201,
    responses=failures(403, 409),
)
async def create_second_factor(
    request: Request, process: InProcess, principal: InPrincipal, wish: SecondFactorCreate
) -> Data[NewSecondFactorOut]:
    """Nothing changes until a first code has confirmed it. 409 while there is one in use."""
    visitor = visitor_of(request, process)
    begun = await credentials.begin_second_factor(process, visitor, principal, wish.password)
    return Data(data=NewSecondFactorOut.model_validate(begun))


@own_sessions.post(
    "/second-factor/confirmation",
    operation_id="confirmSecondFactor",
    summary="Use the second factor from now on",
    responses=failures(403, 409),
)
async def confirm_second_factor(
    request: Request, process: InProcess, principal: InPrincipal, wish: SecondFactorConfirm
) -> Data[SecondFactorOut]:
    """All other sessions end, in all organizations."""
    visitor = visitor_of(request, process)
    found = await credentials.confirm_second_factor(process, visitor, principal, wish.code)
    return Data(data=_factor(found))


@own_sessions.post(
    "/second-factor/removal",
    operation_id="deleteSecondFactor",
    summary="Stop using a second factor",
    responses=failures(403, 409),
)
async def delete_second_factor(
    request: Request, process: InProcess, principal: InPrincipal, wish: SecondFactorRemove
) -> Data[SecondFactorOut]:
    """Takes the password and a code."""
    visitor = visitor_of(request, process)
    found = await credentials.remove_second_factor(
        process, visitor, principal, wish.password, wish.code
    )
    return Data(data=_factor(found))


@routes.get("/sessions", operation_id="listSessions", summary="List the own sessions")
async def list_sessions(
    process: InProcess,
    session: InSession,
    principal: InPrincipal,
    query: Annotated[PageQuery, Query()],
) -> Page[SessionOut]:
    rows, total = await sessions.page(
        session, principal, process.clock.utcnow(), query.limit, query.offset
    )
    return page(SessionOut, [_listed(row, principal) for row in rows], total, query)


@routes.get("/sessions/current", operation_id="getCurrentSession", summary="Say who is logged in")
async def get_current_session(
    process: InProcess, session: InSession, principal: InPrincipal
) -> Data[CurrentSessionOut]:
    row = await sessions.current(session, principal)
    member = await members.one(session, principal.organization_id, principal.id)
    organization = await organizations.one(session, principal.organization_id)
    theirs = await identities.memberships(session, member, by_sso=principal.by_sso)
    return Data(data=_current(row, member, organization, theirs, process.settings))


@routes.delete("/sessions/current", operation_id="deleteCurrentSession", summary="Log out")
async def delete_current_session(
    response: Response, process: InProcess, session: InSession, principal: InPrincipal
) -> Data[Deleted]:
    assert principal.session_id is not None
    await sessions.end(session, process.sessions, principal, principal.session_id)
    sessions.clear_cookie(response, process.settings)
    return Data(data=Deleted(id=principal.session_id))


@routes.delete(
    "/sessions", operation_id="deleteOtherSessions", summary="End all other own sessions"
)
async def delete_other_sessions(
    process: InProcess, session: InSession, principal: InPrincipal
) -> Data[SessionsEnded]:
    ended = await sessions.end_others(session, process.sessions, principal)
    return Data(data=SessionsEnded(ended=ended))


@routes.delete(
    "/sessions/{id}",
    operation_id="deleteSession",
    summary="End one of the own sessions",
    responses=failures(404),
)
async def delete_session(
    process: InProcess, session: InSession, principal: InPrincipal, id: UUID
) -> Data[Deleted]:
    await sessions.end(session, process.sessions, principal, id)
    return Data(data=Deleted(id=id))
