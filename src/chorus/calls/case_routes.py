"""/v1/test-cases: calls that are kept to be held again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from chorus.accounts.permissions import TABLE, permit
from chorus.calls import cases
from chorus.calls.case_schemas import (
    ListedTestCase,
    TestCaseCreate,
    TestCaseOut,
    TestCasePatch,
    TestCaseQuery,
)
from chorus.route import InOrganization, InPrincipal, InSession, failures, router
from chorus.wire import Data, Deleted, Page, page

routes = router("Calls")


@routes.get("/test-cases", operation_id="listTestCases", summary="List test cases")
async def list_test_cases(
    session: InSession, organization_id: InOrganization, query: Annotated[TestCaseQuery, Query()]
) -> Page[ListedTestCase]:
    """Without their scripts."""
    rows, found = await cases.page(session, organization_id, query)
    return page(ListedTestCase, [ListedTestCase.model_validate(row) for row in rows], found, query)


@routes.post(
    "/test-cases",
    operation_id="createTestCase",
    summary="Make a test of a call",
    status_code=201,
    responses=failures(403, 404, 409),
)
async def create_test_case(
    session: InSession, principal: InPrincipal, wish: TestCaseCreate
) -> Data[TestCaseOut]:
    """Copies what was said in the call, turn by turn with times, the variables that it was given,
    the tools that were called, how it ended and what was extracted. A key needs `calls:read` for
    it, too. The copy is kept until it or its agent is deleted, or the call's transcript by request;
    the retention of transcripts does not end it. 409 `call_not_ended`, `nothing_said`, and
    `too_many_test_cases` for more than 1000."""
    permit(principal, "GET", TABLE["calls"])
    row = await cases.create(session, principal.organization_id, wish)
    return Data(data=TestCaseOut.model_validate(row))


@routes.get(
    "/test-cases/{id}",
    operation_id="getTestCase",
    summary="Get a test case",
    responses=failures(404),
)
async def get_test_case(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[TestCaseOut]:
    """All of it, to be run or taken elsewhere."""
    row = await cases.one(session, organization_id, id)
    return Data(data=TestCaseOut.model_validate(row))


@routes.patch(
    "/test-cases/{id}",
    operation_id="updateTestCase",
    summary="Change a test case",
    responses=failures(404),
)
async def update_test_case(
    session: InSession, organization_id: InOrganization, id: UUID, wish: TestCasePatch
) -> Data[TestCaseOut]:
    """Its name, its note, and what is expected of it; `expected` is replaced whole."""
    row = await cases.change(session, organization_id, id, wish.changes())
    return Data(data=TestCaseOut.model_validate(row))


@routes.delete(
    "/test-cases/{id}",
    operation_id="deleteTestCase",
    summary="Delete a test case",
    responses=failures(404),
)
async def delete_test_case(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    await session.delete(await cases.one(session, organization_id, id))
    return Data(data=Deleted(id=id))
