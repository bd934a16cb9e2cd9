"""Billing, numbers and the audit log, and what is found by its id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, expect
from tests.dashboard.browser import become_owner, needed, visiting
from tests.dashboard.seed import AGENT, CALL
from tests.fakes.server import Server, serving

pytestmark = needed

PUBLIC = "https://voice.example.com/chorus"


def test_prices_are_looked_up(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/billing")
        prices = page.get_by_role("region", name="Prices").last
        twilio = prices.get_by_role("row").filter(has_text="twilio")
        expect(twilio).to_have_count(2)
        expect(page.get_by_text("Examples that come with Chorus")).to_be_visible()
        assert visit.problems() == []
        page.get_by_role("searchbox", name="Search prices").fill("gpt-4.1-mini")
        expect(twilio).to_have_count(0)
        expect(prices.get_by_role("row").filter(has_text="openai/gpt-4.1-mini")).to_have_count(2)
        page.get_by_role("searchbox", name="Search prices").fill("nothing at all")
        expect(page.get_by_text("No such price.")).to_be_visible()


def test_home_shows_how_long_answers_took(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        visit.open("/")
        chart = visit.page.locator("section.card").filter(has_text="Answer time")
        # The table for whoever does not see the columns.
        told = chart.locator("td").filter(has_text="p50")
        expect(told.first).to_be_attached()
        assert any("p50 —" not in each and "p50 0" not in each for each in told.all_inner_texts())


def test_an_id_is_found_whatever_it_is_of(browser: Browser, server: Server, owner: Any):
    with httpx.Client(base_url=f"{server.url}/v1", headers=server.headers, timeout=30) as api:
        base = api.post("/knowledge-bases", json={"name": "By its id"}).json()["data"]["id"]
        tool = api.get("/tools?search=find_table").json()["data"][0]["id"]
        number = api.get("/phone-numbers").json()["data"][0]["id"]
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/")
        for id, note, place in (
            (str(AGENT), "Agent", f"/agents/{AGENT}"),
            (str(CALL), "Call", f"/calls/{CALL}"),
            (number, "Number", f"/numbers?open={number}"),
            (tool, "Tool", f"/tools?open={tool}"),
            (base, "Knowledge", f"/knowledge/{base}"),
        ):
            page.get_by_role("heading", level=1).wait_for()
            page.keyboard.press("Control+k")
            find = page.get_by_role("combobox")
            find.fill(id)
            options = page.get_by_role("option")
            expect(options).to_have_count(1)
            expect(options).to_contain_text(note)
            find.press("Enter")
            expect(page).to_have_url(f"{server.url}/dashboard{place}")
            page.keyboard.press("Escape")
            visit.open("/")
        page.get_by_role("heading", level=1).wait_for()
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").fill("00000000-0000-4000-8000-000000000000")
        expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_the_audit_log_is_narrowed_and_exported(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/audit")
        rows = page.locator("tbody tr")
        expect(page.get_by_text("createOwner")).to_be_visible()
        page.get_by_label("What", exact=True).fill("createOwner")
        expect(page).to_have_url(f"{server.url}/dashboard/settings/audit?action=createOwner")
        expect(rows).to_have_count(1)
        assert visit.problems() == []
        with page.expect_download() as begun:
            page.get_by_role("button", name="Export").click()
            page.get_by_role("menuitem", name="As JSON lines").click()
        assert begun.value.suggested_filename == "audit-log.jsonl"
        lines = Path(begun.value.path()).read_text().splitlines()
        assert [json.loads(line)["action"] for line in lines] == ["createOwner"]
        page.get_by_label("Resource").fill("tools")
        expect(page.get_by_text("Nothing was done")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        expect(page.get_by_text("createOwner")).to_be_visible()


def test_a_carrier_is_told_the_public_address(browser: Browser, tmp_path: Path):
    voximplant = {
        "number": "+14155550777",
        "provider": "voximplant",
        "voximplantAccountId": "1234567",
        "voximplantApiKey": "a-key-of-theirs",
        "voximplantApplicationId": "11",
        "voximplantRuleId": "22",
        "voximplantScenarioSecret": "s" * 32,
    }
    folder = tmp_path / "data"
    folder.mkdir()
    with serving(folder) as here, visiting(browser, here) as visit:
        become_owner(visit, here)
        made = httpx.post(f"{here.url}/v1/phone-numbers", json=voximplant, headers=here.headers)
        assert made.status_code == 201, made.text
        id = made.json()["data"]["id"]
        page = visit.page
        # As a server behind a proxy says it: the page itself came from elsewhere.
        page.route("**/v1/sessions/current", lambda route: _of_public(route))
        visit.open("/numbers")
        page.get_by_role("button", name="Add number").click()
        expect(page.get_by_role("dialog")).to_contain_text(f"{PUBLIC}/twilio/voice")
        page.goto(f"{here.url}/dashboard/numbers?open={id}")
        page.get_by_text("The scenario, version").click()
        expect(page.get_by_role("dialog")).to_contain_text("VoxEngine")
        assert visit.problems() == []


def _of_public(route: Any) -> None:
    answer = route.fetch()
    told = answer.json()
    assert told["data"]["serverUrl"].startswith("http://127.0.0.1:")
    told["data"]["serverUrl"] = PUBLIC
    route.fulfill(response=answer, json=told)
