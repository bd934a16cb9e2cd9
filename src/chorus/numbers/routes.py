"""/v1/phone-numbers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from chorus.errors import not_found
from chorus.lines.voximplant.carrier import VOXIMPLANT
from chorus.lines.voximplant.scenario import VERSION, scenario
from chorus.numbers import edit, queries
from chorus.numbers.schemas import (
    PhoneNumberCreate,
    PhoneNumberOut,
    PhoneNumberPatch,
    PhoneNumberQuery,
    ScenarioOut,
)
from chorus.route import InOrganization, InProcess, InSession, failures, router
from chorus.wire import Data, Deleted, Page, page

routes = router("Phone numbers")


@routes.get(
    "/phone-numbers",
    operation_id="listPhoneNumbers",
    summary="List phone numbers",
)
async def list_numbers(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[PhoneNumberQuery, Query()],
) -> Page[PhoneNumberOut]:
    numbers, found = await queries.page(session, organization_id, query)
    return page(PhoneNumberOut, [queries.present(number) for number in numbers], found, query)


@routes.post(
    "/phone-numbers",
    operation_id="createPhoneNumber",
    summary="Create a phone number",
    status_code=201,
)
async def create_number(
    process: InProcess, session: InSession, organization_id: InOrganization, wish: PhoneNumberCreate
) -> Data[PhoneNumberOut]:
    number = await edit.create(session, organization_id, wish, process.secrets)
    return Data(data=queries.present(number))


@routes.get(
    "/phone-numbers/{id}",
    operation_id="getPhoneNumber",
    summary="Get a phone number",
    responses=failures(404),
)
async def get_number(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[PhoneNumberOut]:
    number = await queries.one(session, organization_id, id)
    return Data(data=queries.present(number))


@routes.get(
    "/phone-numbers/{id}/scenario",
    operation_id="getPhoneNumberScenario",
    summary="Get the scenario that runs at Voximplant",
    responses=failures(404),
)
async def get_scenario(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[ScenarioOut]:
    """JavaScript to be copied into a scenario of the number's application, with this server's
    addresses in it and no secret. 404 for a number of another provider."""
    number = await queries.one(session, organization_id, id)
    if number.provider != VOXIMPLANT.name:
        raise not_found("Scenario")
    settings = process.settings
    text = scenario(settings.url, settings.media_base)
    return Data(data=ScenarioOut(version=VERSION, script=text))


@routes.patch(
    "/phone-numbers/{id}",
    operation_id="updatePhoneNumber",
    summary="Change a phone number",
    responses=failures(404, 409),
)
async def update_number(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: PhoneNumberPatch,
) -> Data[PhoneNumberOut]:
    number = await edit.change(session, organization_id, id, wish.changes(), process.secrets)
    return Data(data=queries.present(number))


@routes.delete(
    "/phone-numbers/{id}",
    operation_id="deletePhoneNumber",
    summary="Delete a phone number",
    responses=failures(404, 409),
)
async def delete_number(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    await edit.delete(session, organization_id, id)
    return Data(data=Deleted(id=id))
