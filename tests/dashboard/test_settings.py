"""Settings, numbers, and what is found by its id."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect
from pyotp import parse_uri
from pyotp.totp import TOTP
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


def somebody(api: httpx.Client, name: str, role: str) -> dict[str, Any]:
    """A member with a password."""
    wish = {"name": name, "email": f"{name.lower()}@example.org", "role": role}
    made = api.post("/v1/members", json={**wish, "password": PASSWORD})
    assert made.status_code == 201, made.text
    return made.json()["data"]


def entering(page: Page, email: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_a_role_that_is_changed_counts_at_once(browser: Browser, server: Server, owner: Any):
    """The owner in one browser, the member in another, who does not log in again."""
    with (
        visiting(browser, server, owner) as ruling,
        visiting(browser, server) as ruled,
        server.client() as api,
    ):
        theirs = somebody(api, "Max", "viewer")
        wish = {"name": "Theirs", "systemPrompt": "One."}
        agent = api.post("/v1/agents", json=wish).raise_for_status().json()["data"]["id"]
        page, prompt = ruled.page, ruled.page.get_by_role("textbox", name="System prompt")
        save = page.get_by_role("button", name="Save", exact=True)
        ruled.open(f"/agents/{agent}")
        entering(page, theirs["email"])
        expect(prompt).to_be_disabled()

        def made(before: str, after: str) -> None:
            row = ruling.page.get_by_role("row").filter(has_text=theirs["email"])
            row.get_by_role("button", name=f"{before} Role of").click()
            ruling.page.get_by_role("option", name=after).click()
            expect(row.get_by_role("button", name=f"{after} Role of")).to_be_visible()

        ruling.open("/settings/members")
        made("Viewer", "Developer")
        page.reload()
        prompt.fill("Two.")
        save.click()
        expect(page.get_by_text("Unsaved changes")).to_have_count(0)
        assert api.get(f"/v1/agents/{agent}").json()["data"]["systemPrompt"] == "Two."

        # While the form is open and something is typed: it is refused, told, and not lost.
        prompt.fill("Three.")
        expect(page.get_by_text("Draft kept")).to_be_visible()
        made("Developer", "Viewer")
        save.click()
        expect(page.get_by_role("alert").first).to_contain_text("developer")
        expect(prompt).to_have_value("Three.")
        assert api.get(f"/v1/agents/{agent}").json()["data"]["systemPrompt"] == "Two."

        # An admin rules over all but owners, and is offered no more than that.
        made("Viewer", "Admin")
        ruled.page.goto("about:blank")
        ruled.open("/settings/members")
        expect(page.get_by_role("button", name="Invite")).to_be_visible()
        above = page.get_by_role("row").filter(has_text=EMAIL)
        expect(above).to_contain_text("Owner")
        expect(above.get_by_role("button")).to_have_count(0)
        grace = somebody(api, "Grace", "viewer")
        page.reload()
        below = page.get_by_role("row").filter(has_text=grace["email"])
        below.get_by_role("button", name="Viewer Role of").click()
        expect(page.get_by_role("option")).to_have_text(["Viewer", "Developer", "Admin"])
        page.get_by_role("option", name="Developer").click()
        expect(below.get_by_role("button", name="Developer Role of")).to_be_visible()
        assert ruled.problems() == []

        # Removed: the session is over in the midst of it.
        row = ruling.page.get_by_role("row").filter(has_text=theirs["email"])
        row.get_by_role("button", name="Remove").click()
        ruling.page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)
        below.get_by_role("button", name="Developer Role of").click()
        page.get_by_role("option", name="Viewer").click()
        expect(page.get_by_role("dialog", name="Your session has ended")).to_be_visible()
        [left] = [m for m in api.get("/v1/members").json()["data"] if m["id"] == grace["id"]]
        assert left["role"] == "developer"
        assert ruling.complaints == ruled.complaints == []


def test_a_second_factor_is_set_up_asked_for_and_taken_away(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server) as visit, server.client() as api:
        email = somebody(api, "Lin", "viewer")["email"]
        page, code = visit.page, visit.page.get_by_role("textbox", name="Code")
        visit.open("/settings/security")
        entering(page, email)
        card = page.locator("section").filter(has=page.get_by_role("heading", name="Second factor"))
        card.get_by_label("Current password").fill("not the one at all")
        card.get_by_role("button", name="Set up").click()
        expect(card.get_by_role("alert").first).to_contain_text("wrong")
        card.get_by_label("Current password").fill(PASSWORD)
        card.get_by_role("button", name="Set up").click()
        expect(card.locator("pre")).to_have_count(2)
        secret, codes = card.locator("pre").all_inner_texts()
        # What the link hands to an app is what is shown.
        link = card.get_by_role("link", name="Open the app").get_attribute("href")
        assert link is not None
        app = parse_uri(link)
        assert isinstance(app, TOTP)
        assert app.secret == secret
        assert email in app.name
        recovery = codes.split()
        assert len(recovery) == 10
        assert visit.problems() == []
        code.fill("000000")
        card.get_by_role("button", name="Use from now on").click()
        expect(card.get_by_role("alert").first).to_contain_text("Code is wrong")
        first = int(time.time()) // app.interval
        code.fill(app.generate_otp(first))
        card.get_by_role("button", name="Use from now on").click()
        expect(card.get_by_text("In use")).to_be_visible()
        expect(card.get_by_text("Recovery codes left: 10")).to_be_visible()
        assert visit.problems() == []

        leave(page)
        entering(page, email)
        expect(code).to_be_focused()
        assert visit.problems() == []
        for spent in ("000000", app.generate_otp(first)):
            code.fill(spent)
            with page.expect_response("**/v1/sessions/second-factor"):
                code.press("Enter")
            expect(page.get_by_role("button", name="Log in")).to_be_enabled()
            expect(page.get_by_role("alert")).to_contain_text("Code is wrong, or was used before")
        # One code counts once, so a later one, which may be half a minute ahead.
        code.fill(app.generate_otp(max(first + 1, int(time.time()) // app.interval)))
        code.press("Enter")
        page.get_by_role("heading", name="Home").wait_for()

        # Without the app.
        leave(page)
        entering(page, email)
        code.fill(recovery[0])
        code.press("Enter")
        page.get_by_role("heading", name="Home").wait_for()
        visit.open("/settings/security")
        expect(card.get_by_text("Recovery codes left: 9")).to_be_visible()
        for each in (recovery[0], recovery[1]):
            card.get_by_label("Current password").fill(PASSWORD)
            code.fill(each)
            card.get_by_role("button", name="Stop using it").click()
            if each == recovery[0]:
                expect(card.get_by_role("alert").first).to_contain_text("was used before")
        expect(card.get_by_role("button", name="Set up")).to_be_visible()
        leave(page)
        entering(page, email)
        page.get_by_role("heading", name="Home").wait_for()
        assert visit.complaints == []


def leave(page: Page) -> None:
    page.locator("button.who").click()
    page.get_by_role("menuitem", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()


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
