"""Settings, numbers, and what is found by its id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, expect
from tests.dashboard.answering import answering
from tests.dashboard.browser import EMAIL, PASSWORD, needed, visiting
from tests.dashboard.seed import AGENT, CALL
from tests.fakes.identity_provider import CLIENT, SECRET, identity_provider
from tests.fakes.server import Server

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


def test_people_come_by_the_organizations_provider(browser: Browser, server: Server, owner: Any):
    with identity_provider("localhost") as provider:
        with visiting(browser, server, owner) as visit:
            page = visit.page
            visit.open("/settings/security")
            card = page.get_by_role("region", name="Single sign-on")
            redirect = card.locator("code").inner_text()
            assert redirect.startswith(f"{server.url}/dashboard/sso/")
            card.get_by_label("Issuer").fill(provider.issuer + "/")
            card.get_by_role("button", name="Test").click()
            expect(card.get_by_text("the issuer must be exactly this")).to_be_visible()
            card.get_by_label("Issuer").fill(provider.issuer)
            card.get_by_role("button", name="Test").click()
            expect(card.get_by_text(f"sent to {provider.issuer}/authorize")).to_be_visible()
            card.get_by_label("Client ID").fill(CLIENT)
            card.get_by_label("Client secret").fill(SECRET)
            card.get_by_role("textbox", name="Domains").fill("acme.example\nexample.com")
            card.get_by_role("button", name="Who comes without").click()
            page.get_by_role("option", name="Viewer").click()
            assert visit.problems() == []
            card.get_by_role("button", name="Save").click()
            # What it takes to be found by a domain, and that nobody has said so yet.
            expect(card.get_by_text('_chorus-sso.acme.example TXT "chorus-sso=')).to_be_visible()
            expect(card.get_by_label("Client secret")).to_have_value("")
            assert visit.problems() == []
            way = card.locator("code").filter(has_text="/login?organization=").inner_text()
            assert visit.complaints == []
        with visiting(browser, server) as visit:
            page = visit.page
            page.goto(f"{server.url}/dashboard/agents")
            page.get_by_role("button", name="Sign in with your organization").click()
            page.get_by_label("E-mail at your organization").fill("carl@acme.example")
            page.get_by_role("button", name="Go to your identity provider").click()
            expect(page.get_by_text("No organization has verified this domain")).to_be_visible()
            assert visit.problems() == []
            # By the organization's own page; first the provider does not want to.
            provider.error = "access_denied"
            page.goto(f"{way}&next=/agents")
            for error in ("access_denied", ""):
                provider.error = error
                page.get_by_role("button", name="Go to your identity provider").click()
                page.get_by_label("Who are you?").fill("carl@acme.example")
                page.get_by_role("button", name="Go on").click()
                if error:
                    expect(page.get_by_text("ask whoever runs it for access")).to_be_visible()
                    assert visit.problems() == []
                    page.get_by_role("link", name="Back to the log-in").click()
            page.get_by_role("heading", name="Home").wait_for()
            assert "code=" not in page.url
            visit.open("/settings/members")
            expect(page.get_by_role("row").filter(has_text="carl@acme.example")).to_contain_text(
                "Viewer"
            )
            assert visit.complaints == []
        # Who has a password shows it the first time.
        with visiting(browser, server) as visit:
            page = visit.page
            page.goto(f"{way}&next=/agents")
            page.get_by_role("button", name="Go to your identity provider").click()
            page.get_by_label("Who are you?").fill(EMAIL)
            page.get_by_role("button", name="Go on").click()
            page.get_by_role("heading", name="Is this you?").wait_for()
            assert visit.problems() == []
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Link and log in").click()
            page.get_by_role("heading", name="Agents").wait_for()
            visit.open("/settings/security")
            expect(page.get_by_text("by the identity provider").first).to_be_visible()
            assert visit.complaints == []


def test_a_carrier_is_told_the_public_address_and_asked_about_a_number(
    browser: Browser, server: Server, owner: Any
):
    with (
        answering(200, b'{"error": {"code": 401, "msg": "Wrong <b>key</b>"}}') as carrier,
        visiting(browser, server, owner) as visit,
        server.client() as api,
    ):
        voximplant = {
            "number": "+14155550777",
            "provider": "voximplant",
            "voximplantAccountId": "1234567",
            "voximplantApiKey": "a-key-of-theirs",
            "voximplantApplicationId": "11",
            "voximplantRuleId": "22",
            "voximplantScenarioSecret": "s" * 32,
            "voximplantBaseUrl": carrier.url,
        }
        made = api.post("/v1/phone-numbers", json=voximplant)
        assert made.status_code == 201, made.text
        page, dialog = visit.page, visit.page.get_by_role("dialog")
        # As a server behind a proxy says it: the page itself came from elsewhere.
        page.route("**/v1/sessions/current", lambda route: _of_public(route))
        visit.open("/numbers")
        page.get_by_role("button", name="Add number").click()
        expect(dialog).to_contain_text(f"{PUBLIC}/twilio/voice")
        visit.open(f"/numbers?open={made.json()['data']['id']}")
        page.get_by_text("The scenario, version").click()
        expect(dialog).to_contain_text("VoxEngine")
        assert visit.problems() == []

        found = dialog.get_by_role("list", name="Check the set-up").get_by_role("listitem")
        dialog.get_by_role("button", name="Check the set-up").click()
        settings = found.filter(has_text="Voximplant says: error 401: Wrong <b>key</b>")
        expect(settings.locator(".badge.bad")).to_have_text("Settings")
        # What is wrong here is named too, and what is only not there yet is no error.
        address = found.filter(has_text="CHORUS_PUBLIC_URL is not set")
        expect(address.locator(".badge.bad")).to_have_text("Address")
        expect(found.locator(".badge.warn")).to_have_text(["Agent", "Calls"])
        assert visit.problems() == []
        carrier.body = b'{"result": 1, "total_count": 1}'
        dialog.get_by_role("button", name="Check the set-up").click()
        taken = found.filter(has_text="The carrier takes these settings")
        expect(taken.locator(".badge.good")).to_have_text("Settings")
        assert all(b"a-key-of-theirs" in form for form in carrier.received)
        assert visit.complaints == []


def _of_public(route: Any) -> None:
    answer = route.fetch()
    told = answer.json()
    assert told["data"]["serverUrl"].startswith("http://127.0.0.1:")
    told["data"]["serverUrl"] = PUBLIC
    route.fulfill(response=answer, json=told)


def test_a_balance_is_topped_up(browser: Browser, server: Server, owner: Any):
    with server.client() as api, visiting(browser, server, owner) as visit:
        page = visit.page
        before = api.get("/v1/balance").json()["data"]["balance"]
        visit.open("/settings/billing")
        page.get_by_role("button", name="Top up").click()
        amount = page.get_by_label("Dollars")
        expect(amount).to_be_focused()
        amount.fill("-5")
        amount.press("Enter")  # the browser says that it is too little, and asks nobody
        expect(amount).to_be_focused()
        assert visit.problems() == []
        amount.fill("12.5")
        amount.press("Enter")
        expect(amount).to_have_count(0)
        balance = page.locator(".tile").filter(has_text="Balance")
        expect(balance).to_contain_text(f"${before + 12.5:.2f}")
        line = page.get_by_role("row").filter(has_text="Top up")
        expect(line).to_have_count(1)
        expect(line).to_contain_text("$12.50")
        assert api.get("/v1/balance").json()["data"]["balance"] == before + 12.5
        assert visit.complaints == []


def test_a_webhook_that_failed_is_sent_again(browser: Browser, server: Server, owner: Any):
    with (
        answering(500, b"<b>It is broken</b>") as receiver,
        server.client() as api,
        visiting(browser, server, owner) as visit,
    ):
        page, dialog = visit.page, visit.page.get_by_role("dialog")
        visit.open("/settings/webhooks")
        page.get_by_role("button", name="New endpoint").click()
        dialog.get_by_label("URL").fill(receiver.url)
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Copy it now")).to_be_visible()
        assert visit.problems() == []
        dialog.get_by_role("button", name="I have it").click()
        page.get_by_role("button", name="Send a test").click()
        delivery = page.get_by_role("row").filter(has_text="webhook.test")
        expect(delivery).to_contain_text("Failed")
        expect(delivery).to_contain_text("500")
        receiver.status = 204
        receiver.body = b""
        delivery.get_by_role("button", name="Send again").click()
        expect(delivery).to_contain_text("Delivered")
        expect(delivery).to_contain_text("204")
        # It is one delivery, of two tries, and the same was sent.
        delivery.get_by_role("button", name="Show tries").click()
        expect(dialog).to_contain_text("#1")
        expect(dialog).to_contain_text("<b>It is broken</b>")
        expect(dialog).to_contain_text("#2")
        assert visit.problems() == []
        first, second = receiver.received
        assert first == second
        [made] = api.get("/v1/webhook-deliveries").json()["data"]
        assert (made["status"], made["attemptCount"]) == ("delivered", 2)
        assert visit.complaints == []
