"""An organization with more of everything than the API gives at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.dashboard.browser import become_owner, needed, visiting
from tests.fakes.server import Server, serving

pytestmark = needed

MANY = 101
TOOL: dict[str, Any] = {
    "description": "Asks.",
    "config": {"url": "https://api.example.com/x", "method": "GET"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: dict[str, str]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("many") / "data"
    with serving(folder, CHORUS_SIMULATED="1", **database) as running:
        yield running


def test_what_is_beyond_the_first_hundred_is_named_and_can_be_chosen(
    browser: Browser, server: Server
):
    with visiting(browser, server) as visit, server.client() as http:

        def made(path: str, wish: dict[str, Any]) -> dict[str, Any]:
            answer = http.post(path, json=wish)
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        page = visit.page
        become_owner(visit, server)
        # Lists begin with the newest, so the first of each is the last of its list.
        agents = [made("/v1/agents", {"name": f"Agent {n:03}"}) for n in range(MANY)]
        for n in range(MANY):
            made("/v1/tools", TOOL | {"name": f"tool_{n:03}"})
            made("/v1/knowledge-bases", {"name": f"Base {n:03}"})
            made("/v1/phone-numbers", {"number": f"+1415555{n:04}", "provider": "loopback"})
            made("/v1/api-keys", {"name": f"Key {n:03}", "scopes": ["calls:read"]})
        made("/v1/calls/test", {"agentId": agents[0]["id"]})

        visit.open("/calls")
        row = page.get_by_role("row").filter(has_text="browser")
        expect(row).to_contain_text("Agent 000")
        page.get_by_role("button", name="Any Agent").click()
        page.get_by_role("option", name="Agent 000").click()
        expect(row).to_contain_text("Agent 000")
        page.get_by_role("button", name="Any Number").click()
        expect(page.get_by_role("option", name="+14155550000")).to_be_attached()
        page.keyboard.press("Escape")

        visit.open("/settings/keys")
        for n in (0, MANY - 1):
            expect(page.get_by_text(f"Key {n:03}", exact=True)).to_be_attached()

        visit.open(f"/agents/{agents[0]['id']}?group=tools")
        expect(page.get_by_role("checkbox", name="tool_000")).to_be_attached()
        visit.open(f"/agents/{agents[0]['id']}?group=knowledge")
        page.get_by_role("checkbox", name="Base 000").check()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
        kept = http.get(f"/v1/agents/{agents[0]['id']}").json()["data"]
        assert len(kept["knowledgeBaseIds"]) == 1
        assert visit.complaints == []
