"""An organization with an identity provider, and people who go there and back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from tests.accounts.people import VirtualClock, browser, member, prepared, stranger
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.identity_provider import (
    CLIENT,
    SECRET,
    IdentityProvider,
    identity_provider,
)

OWNER = "owner@acme.example"


def wish(provider: IdentityProvider, **changes: Any) -> dict[str, Any]:
    """What an admin sets."""
    return {
        "issuer": provider.issuer,
        "clientId": CLIENT,
        "clientSecret": SECRET,
        "domains": ["acme.example"],
        "defaultRole": "developer",
    } | changes


@dataclass
class Company:
    """An organization, its owner's browser, and its provider."""

    api: Api
    id: str
    owner: httpx.AsyncClient
    provider: IdentityProvider

    async def put(self, **changes: Any) -> dict[str, Any]:
        answer = await self.owner.put("/v1/sso", json=wish(self.provider, **changes))
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def there(
        self, login: str, client: httpx.AsyncClient, organization: str = ""
    ) -> dict[str, Any]:
        """To the provider, as somebody, and what it sends the browser back with."""
        begun = await client.post(
            "/v1/sso/authorizations", json={"organizationId": organization or self.id}
        )
        assert begun.status_code == 201, begun.text
        url = begun.json()["data"]["url"]
        assert url.startswith(f"{self.provider.issuer}/authorize?"), url
        async with httpx.AsyncClient() as web:
            sent = await web.get(url, params={**_query(url), "login": login})
        back = urlsplit(sent.headers["location"])
        assert back.path == f"/dashboard/sso/{organization or self.id}"
        return {"organizationId": organization or self.id, **_query(back.geturl())}

    async def come(self, login: str, client: httpx.AsyncClient | None = None) -> httpx.Response:
        """There and back in one browser."""
        client = client or stranger(self.api)
        return await client.post("/v1/sessions/sso", json=await self.there(login, client))


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@asynccontextmanager
async def company(
    folder: Path, **settings: Any
) -> AsyncGenerator[tuple[Company, VirtualClock], None]:
    """The first organization, its provider set, on a server that may ask loopback."""
    wanted = settings_for(folder, **{"allow_private_addresses": True, **settings})
    with identity_provider() as provider:
        async with running(wanted) as api:
            clock = prepared(api)
            id = await api.organization_id()
            row = await member(api.process, id, "owner", email=OWNER)
            made = Company(api, str(id), await browser(api, row), provider)
            await made.put()
            yield made, clock


async def another(of: Company, provider: IdentityProvider, email: str) -> Company:
    """A second organization on the same server, with a provider of its own."""
    key = await of.api.another_organization()
    id: str = (await key.get("/v1/organization")).json()["data"]["id"]
    row = await member(of.api.process, uuid.UUID(id), "owner", email=email)
    made = Company(of.api, id, await browser(of.api, row), provider)
    await made.put()
    return made
