"""/v1/members."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from chorus.accounts import members, second_factor
from chorus.accounts.schemas import InvitedMemberOut, MemberCreate, MemberOut, MemberPatch
from chorus.accounts.tables import Member
from chorus.route import (
    InOrganization,
    InPrincipal,
    InProcess,
    InSession,
    failures,
    hashing_router,
    router,
)
from chorus.wire import Data, Deleted, Page, SearchQuery, page

routes = router("Accounts")
new_members = hashing_router("Accounts")


def _shown(row: Member) -> dict[str, object]:
    names = MemberOut.model_fields.keys() - {"has_password", "has_second_factor"}
    return {
        **{name: getattr(row, name) for name in names},
        "has_password": row.identity is not None and row.identity.password_hash is not None,
        "has_second_factor": row.identity is not None and second_factor.is_on(row.identity),
    }


def _member(row: Member) -> MemberOut:
    return MemberOut.model_validate(_shown(row))


@routes.get("/members", operation_id="listMembers", summary="List members")
async def list_members(
    session: InSession, organization_id: InOrganization, query: Annotated[SearchQuery, Query()]
) -> Page[MemberOut]:
    rows, found = await members.page(session, organization_id, query)
    return page(MemberOut, [_member(row) for row in rows], found, query)


@new_members.post(
    "/members",
    operation_id="createMember",
    summary="Add or invite a member",
    status_code=201,
    responses=failures(403, 409),
)
async def create_member(
    request: Request,
    process: InProcess,
    session: InSession,
    principal: InPrincipal,
    wish: MemberCreate,
) -> Data[InvitedMemberOut]:
    """With a password the member can log in at once. Without one the answer has an invitation
    token, which lasts a week; Chorus sends no mail, so hand it on by a way that you trust."""
    members.require_rank(principal, wish.role)
    member, token = await members.add(
        session,
        principal.organization_id,
        email=wish.email,
        role=wish.role,
        name=wish.name,
        password_hash=request.state.password_hash,
        now=process.clock.utcnow(),
    )
    shown = {**_shown(member), "invitation_token": token}
    return Data(data=InvitedMemberOut.model_validate(shown))


@routes.get(
    "/members/{id}", operation_id="getMember", summary="Get a member", responses=failures(404)
)
async def get_member(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[MemberOut]:
    return Data(data=_member(await members.one(session, organization_id, id)))


@routes.patch(
    "/members/{id}",
    operation_id="updateMember",
    summary="Change a member's role or name",
    responses=failures(403, 404, 409),
)
async def update_member(
    process: InProcess, session: InSession, principal: InPrincipal, id: UUID, wish: MemberPatch
) -> Data[MemberOut]:
    """409 for the last owner, who cannot become anything else."""
    changes = wish.changes()
    return Data(
        data=_member(await members.change(session, process.sessions, principal, id, changes))
    )


@routes.delete(
    "/members/{id}",
    operation_id="deleteMember",
    summary="Remove a member",
    responses=failures(403, 404, 409),
)
async def delete_member(
    process: InProcess, session: InSession, principal: InPrincipal, id: UUID
) -> Data[Deleted]:
    """The member's sessions end. 409 for the last owner."""
    await members.remove(session, process.sessions, principal, id)
    return Data(data=Deleted(id=id))


@routes.delete(
    "/members/{id}/second-factor",
    operation_id="deleteMemberSecondFactor",
    summary="Take a member's second factor away",
    responses=failures(403, 404),
)
async def delete_member_second_factor(
    process: InProcess, session: InSession, principal: InPrincipal, id: UUID
) -> Data[MemberOut]:
    """For one who lost both the app and the recovery codes. The member's sessions end. Not for API
    keys, and for an owner's only by an owner."""
    return Data(data=_member(await members.drop_factor(session, process.sessions, principal, id)))


@routes.post(
    "/members/{id}/invitation",
    operation_id="inviteMember",
    summary="Invite a member again, or let one set a new password",
    status_code=201,
    responses=failures(403, 404),
)
async def invite_member(
    process: InProcess, session: InSession, principal: InPrincipal, id: UUID
) -> Data[InvitedMemberOut]:
    """For an invitation that has ended and for a password that is lost. Until it is accepted,
    the old password still works."""
    member, token = await members.invite_again(session, principal, id, process.clock.utcnow())
    shown = {**_shown(member), "invitation_token": token}
    return Data(data=InvitedMemberOut.model_validate(shown))
