"""Documents from URLs: fetched through the guarded client, as the site allows, and kept fresh."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.knowledge.papers import pdf
from tests.knowledge.shelves import BASES, base, read, shown, texts

from chorus.db import utcnow
from chorus.knowledge.ingest import refresh
from chorus.knowledge.reader.blocks import Unreadable
from chorus.knowledge.robots import KEPT_S, REFUSED_S, Robots
from chorus.knowledge.tables import Document
from chorus.outbound import Outbound

pytestmark = pytest.mark.usefixtures("read_here")

PAGE = "<html><body><main><h1>Hours</h1><p>We are open {}.</p></main></body></html>"


class Site:
    """What a test's server has, by path."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.unchanged: dict[str, str] = {}

    def answer(self, asked: Asked) -> bytes:
        etag = self.unchanged.get(asked.target)
        if etag and asked.headers.get("if-none-match") == etag:
            return respond(304)
        return self.pages.get(asked.target, respond(404))

    def put(self, path: str, hours: str, **headers: str) -> None:
        self.pages[path] = respond(200, PAGE.format(hours), content_type="text/html", **headers)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    async with running(settings_for(tmp_path, allow_private_addresses=True)) as running_api:
        yield running_api


async def add(api: Api, url: str, **more: Any) -> tuple[str, dict[str, Any]]:
    id = await base(api)
    wish = {"name": "Page", "url": url, **more}
    made = await api.made(f"{BASES}/{id}/documents", wish)
    return id, await read(api, id, made["id"])


async def test_a_page_is_fetched_as_chorus_and_as_its_robots_txt_allows(api: Api):
    site = Site()
    site.put("/open/hours", "from nine to five")
    site.put("/closed/hours", "never")
    rules = "User-agent: *\nDisallow: /\nUser-agent: Chorus\nAllow: /open\nDisallow: /closed\n"
    site.pages["/robots.txt"] = respond(200, rules, content_type="text/plain")
    async with HttpPeer(site.answer) as peer:
        id, document = await add(api, f"{peer.url}/open/hours")
        assert (document["status"], document["format"]) == ("ready", "html")
        assert await texts(api, id, "open") == ["We are open from nine to five."]
        assert {asked.headers["user-agent"] for asked in peer.requests} == {"Chorus"}
        _, refused = await add(api, f"{peer.url}/closed/hours")
        assert refused["status"] == "failed"
        assert "does not allow this page" in refused["problem"]
        assert [a.target for a in peer.requests if a.target == "/closed/hours"] == []


async def test_a_redirect_is_asked_for_like_any_other_page(api: Api):
    site = Site()
    site.pages["/old"] = respond(302, location="/secret/page")
    site.put("/secret/page", "never")
    site.pages["/robots.txt"] = respond(200, "User-agent: *\nDisallow: /secret\n")
    async with HttpPeer(site.answer) as peer:
        _, document = await add(api, f"{peer.url}/old")
        assert "does not allow this page" in document["problem"]
        site.pages["/robots.txt"] = respond(404)
        site.pages["/round"] = respond(302, location="/round")
        _, document = await add(api, f"{peer.url}/round")
        assert document["problem"] == "The URL redirects more than 5 times"


@pytest.mark.parametrize(
    ("robots", "page", "says"),
    [
        (respond(500), b"", "nothing may be fetched now"),
        (respond(404), respond(404), "The URL answered HTTP 404"),
        (respond(404), respond(200, b"GIF89a", content_type="image/gif"), "which is not read"),
        (respond(404), b"nothing like HTTP\r\n\r\n", "The URL could not be fetched"),
    ],
)
async def test_what_cannot_be_fetched_says_why(api: Api, robots: bytes, page: bytes, says: str):
    site = Site()
    site.pages |= {"/robots.txt": robots, "/page": page}
    async with HttpPeer(site.answer) as peer:
        _, document = await add(api, f"{peer.url}/page", refreshHours=2)
    assert document["status"] == "failed"
    assert says in document["problem"]
    assert document["nextRefreshAt"] is not None  # it may be better then


async def test_a_private_address_is_refused_unless_the_operator_allows_it(sqlite_api: Api):
    site = Site()
    site.put("/hours", "never")
    async with HttpPeer(site.answer) as peer:
        id = await base(sqlite_api)
        url = peer.url.replace("http:", "https:")
        made = await sqlite_api.made(
            f"{BASES}/{id}/documents", {"name": "a", "url": f"{url}/hours"}
        )
        document = await read(sqlite_api, id, made["id"])
        assert "may not be fetched" in document["problem"]
        assert peer.requests == []


async def test_other_formats_come_from_urls_too(api: Api):
    site = Site()
    paper = pdf([["We are open at night."]])
    site.pages["/paper"] = respond(200, paper, content_type="application/pdf")
    site.pages["/list.csv"] = respond(
        200, "Tag;Öffnung\nMontag;früh\n".encode("latin-1"), content_type="text/csv;charset=latin-1"
    )
    async with HttpPeer(site.answer) as peer:
        _, document = await add(api, f"{peer.url}/paper")
        assert (document["format"], document["pageCount"]) == ("pdf", 1)
        id, document = await add(api, f"{peer.url}/list.csv")
        assert await texts(api, id, "Montag") == ["Tag: Montag; Öffnung: früh."]


async def test_what_is_due_is_fetched_again_and_read_only_if_it_has_changed(api: Api):
    site = Site()
    site.put("/hours", "from nine to five", etag='"one"')
    async with HttpPeer(site.answer) as peer:
        id, document = await add(api, f"{peer.url}/hours", refreshHours=1)
        assert document["nextRefreshAt"] > document["fetchedAt"]
        read_at = document["readAt"]

        async def due() -> dict[str, Any]:
            async with api.process.database.writing() as session:
                await session.execute(
                    sa.update(Document)
                    .where(Document.id == uuid.UUID(document["id"]))
                    .values(next_refresh_at=utcnow() - timedelta(hours=1))
                )
            await refresh(api.app.state.switchboard)
            assert (await shown(api, id, document["id"]))["status"] == "waiting"
            return await read(api, id, document["id"])

        site.unchanged["/hours"] = '"one"'
        same = await due()
        assert (same["status"], same["readAt"]) == ("ready", read_at)
        assert peer.requests[-1].headers["if-none-match"] == '"one"'
        site.unchanged.clear()
        site.put("/hours", "from nine to five", etag='"two"')  # another name for the same
        assert (await due())["readAt"] == read_at
        site.put("/hours", "only at night", etag='"three"')
        assert (await due())["readAt"] > read_at
        assert await texts(api, id, "open") == ["We are open only at night."]
        await refresh(api.app.state.switchboard)  # nothing is due
        assert (await shown(api, id, document["id"]))["status"] == "ready"


async def test_robots_txt_is_asked_for_once_an_hour_and_again_where_it_refuses(
    monkeypatch: pytest.MonkeyPatch,
):
    site = Site()
    site.pages["/robots.txt"] = respond(200, "User-agent: *\nDisallow: /secret\n")
    now_s = 1000.0
    outbound = Outbound(allow_private=True)
    try:
        async with HttpPeer(site.answer) as peer:
            asked = Robots(outbound, lambda: now_s)

            async def allowed(path: str) -> bool:
                try:
                    await asked.ask_leave(peer.url + path)
                except Unreadable:
                    return False
                return True

            assert await allowed("/open")
            assert not await allowed("/secret")
            assert len(peer.requests) == 1
            site.pages["/robots.txt"] = respond(404)
            now_s += REFUSED_S
            assert await allowed("/open")
            assert len(peer.requests) == 1
            assert await allowed("/secret")
            assert len(peer.requests) == 2
            site.pages["/robots.txt"] = respond(500)
            now_s += KEPT_S - 1
            assert await allowed("/open")
            now_s += 1
            assert not await allowed("/open")
            assert not await allowed("/open")
            assert len(peer.requests) == 3
            site.pages["/robots.txt"] = respond(404)
            now_s += REFUSED_S
            assert await allowed("/open")
            # Of many sites, those that were asked for last are remembered.
            monkeypatch.setattr("chorus.knowledge.robots.MOST_SITES", 1)
            await asked.ask_leave(peer.url.replace("127.0.0.1", "localhost") + "/open")
            assert await allowed("/open")
            assert len(peer.requests) == 6
    finally:
        await outbound.aclose()


async def test_documents_of_one_site_ask_for_its_robots_txt_once(api: Api):
    site = Site()
    site.put("/one", "at nine")
    site.put("/two", "at ten")
    async with HttpPeer(site.answer) as peer:
        await add(api, f"{peer.url}/one")
        await add(api, f"{peer.url}/two")
        assert [asked.target for asked in peer.requests] == ["/robots.txt", "/one", "/two"]
