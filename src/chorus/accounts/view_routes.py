"""/v1/views: what members keep of the dashboard's lists, each for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import AfterValidator, Field, StrictStr
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, lists
from chorus.accounts.principal import Principal
from chorus.accounts.tables import View
from chorus.db import scoped
from chorus.route import InPrincipal, InSession, failures, member_router
from chorus.wire import Data, Deleted, In, ListQuery, Name, Out, Page, Time, page, patch_of

view_routes = member_router("Accounts")

MOST = 100
"""Views of one member."""


def _no_question_mark(value: str) -> str:
    if not value.isprintable() or value.startswith("?"):
        raise ValueError("must be what follows the ? in an address")
    return value


class ViewCreate(In):
    """A list as it is narrowed and shown, to come back to."""

    name: Name
    page: Annotated[Literal["calls"], Field(description="The list that it is of.")] = "calls"
    query: Annotated[
        StrictStr,
        Field(
            max_length=2000,
            description="Filters and columns, as they stand behind the ? in the page's address.",
        ),
        AfterValidator(_no_question_mark),
    ]


if TYPE_CHECKING:
    ViewPatch = ViewCreate
else:
    ViewPatch = patch_of(ViewCreate, "ViewPatch")


class ViewOut(Out):
    id: UUID
    name: str
    page: Literal["calls"]
    query: str
    created_at: Time
    updated_at: Time


async def _one(session: AsyncSession, principal: Principal, id: UUID) -> View:
    """Raises `Error` 404 for one of another member's, too."""
    found = await session.scalar(_own(principal).where(View.id == id))
    if found is None:
        raise errors.not_found("View")
    return found


def _own(principal: Principal) -> sa.Select[View]:
    return scoped(View, principal.organization_id).where(View.member_id == principal.id)


@view_routes.get("/views", operation_id="listViews", summary="List your saved views")
async def list_views(
    session: InSession, principal: InPrincipal, query: Annotated[ListQuery, Query()]
) -> Page[ViewOut]:
    rows, found = await lists.of(session, _own(principal), View, query)
    return page(ViewOut, [ViewOut.model_validate(row) for row in rows], found, query)


@view_routes.post(
    "/views",
    operation_id="createView",
    summary="Save a view",
    status_code=201,
    responses=failures(409),
)
async def create_view(
    session: InSession, principal: InPrincipal, wish: ViewCreate
) -> Data[ViewOut]:
    """A view is its member's alone. 409 `too_many_views` if there are 100."""
    if await lists.count(session, _own(principal), MOST) >= MOST:
        raise errors.conflict("too_many_views", f"At most {MOST} views can be saved")
    row = View(
        organization_id=principal.organization_id,
        member_id=principal.id,
        **wish.model_dump(),
    )
    session.add(row)
    await session.flush()
    return Data(data=ViewOut.model_validate(row))


@view_routes.get(
    "/views/{id}", operation_id="getView", summary="Get a view", responses=failures(404)
)
async def get_view(session: InSession, principal: InPrincipal, id: UUID) -> Data[ViewOut]:
    return Data(data=ViewOut.model_validate(await _one(session, principal, id)))


@view_routes.patch(
    "/views/{id}", operation_id="updateView", summary="Change a view", responses=failures(404)
)
async def update_view(
    session: InSession, principal: InPrincipal, id: UUID, wish: ViewPatch
) -> Data[ViewOut]:
    row = await _one(session, principal, id)
    for name, value in wish.changes().items():
        setattr(row, name, value)
    await session.flush()
    return Data(data=ViewOut.model_validate(row))


@view_routes.delete(
    "/views/{id}", operation_id="deleteView", summary="Delete a view", responses=failures(404)
)
async def delete_view(session: InSession, principal: InPrincipal, id: UUID) -> Data[Deleted]:
    await session.delete(await _one(session, principal, id))
    return Data(data=Deleted(id=id))
