"""What people do, from end to end, in a real browser on the real server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Route, expect
from tests.dashboard.browser import EMAIL, PASSWORD, Visit, become_owner, needed, visiting
from tests.dashboard.seed import AGENT
from tests.dashboard.vendor import BAD, GOOD, vendor
from tests.fakes.server import Server, serving

pytestmark = needed


def test_from_the_printed_link_to_the_first_agent(browser: Browser, tmp_path: Path):
    with serving(tmp_path) as server, visiting(browser, server) as visit:
        page = visit.page
        page.goto(f"{server.url}/")
        page.get_by_role("heading", name="Log in").wait_for()
        become_owner(visit, server)
        expect(page.get_by_text("To your first call")).to_be_visible()
        # A voice is a step of its own, which says whose voice it is by now.
        expect(page.get_by_role("listitem").filter(has_text="Choose a voice")).to_contain_text(
            "Hear "
        )
        page.get_by_role("button", name="Make the demo agent").click()
        page.get_by_role("heading", name="Bistro").wait_for()
        expect(page.get_by_role("textbox", name="System prompt")).to_have_value(
            httpx.get(f"{server.url}/v1/agents", headers=server.headers).json()["data"][0][
                "systemPrompt"
            ]
        )
        assert visit.complaints == []
        # The link has done its work.
        again = httpx.post(
            f"{server.url}/v1/owners",
            json={"token": "0" * 96, "email": EMAIL, "password": PASSWORD},
        )
        assert again.status_code == 404


def test_an_agent_is_changed_and_what_is_unsaved_is_not_lost(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open(f"/agents/{AGENT}")
        prompt = page.get_by_role("textbox", name="System prompt")
        prompt.fill("You are {{name}}. {{ broken")
        expect(page.get_by_text("This is no variable")).to_be_visible()
        prompt.fill("You are {{name}}. {{first-name}}")
        expect(page.get_by_text("this would be left out: {{first-name}}")).to_be_visible()
        expect(page.get_by_text("This is no variable")).to_be_hidden()
        prompt.fill("You are {{name}}. {{ broken")
        page.get_by_role("link", name="Calls", exact=True).click()
        page.get_by_role("alertdialog").get_by_role("button", name="Stay here").click()
        expect(prompt).to_have_value("You are {{name}}. {{ broken")
        # A name in letters of any script is asked for before a trial, as the server fills it.
        prompt.fill("You are {{größe}}.")
        expect(page.get_by_role("complementary").get_by_label("größe")).to_be_visible()
        # What is typed while it is being saved stays, and is saved the next time.
        held: list[Route] = []
        page.route("**/versions", lambda route: held.append(route))
        page.get_by_role("button", name="Save", exact=True).click()
        while not held:
            page.wait_for_timeout(20)
        prompt.fill("You are {{name}}.")
        held[0].continue_()
        page.unroute("**/versions")
        expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
        expect(prompt).to_have_value("You are {{name}}.")
        expect(page.get_by_text("Unsaved changes")).to_be_visible()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Unsaved changes")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("textbox", name="System prompt")).to_have_value("You are {{name}}.")
        assert visit.complaints == []


def test_a_key_is_brought_tried_replaced_and_deleted(browser: Browser, server: Server, owner: Any):
    with vendor() as url, visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/providers")
        expect(page.get_by_text("No provider key yet")).to_be_visible()
        assert visit.problems() == []
        page.get_by_role("button", name="Add a key").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Vendor").click()
        page.get_by_role("option", name="OpenAI-compatible").click()
        dialog.get_by_label("Key", exact=True).fill(BAD)
        dialog.get_by_label("Name (optional)").fill("Ours")
        dialog.get_by_label("Base URL").fill(url)
        assert visit.problems() == []
        dialog.get_by_role("button", name="Create").click()
        expect(dialog).to_have_count(0)
        expect(page.get_by_text("…evil")).to_be_visible()

        # What the vendor says is shown as it says it, and as text.
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_text("Wrong key <b>there</b>")).to_be_visible()
        expect(page.get_by_text("Wrong key", exact=True)).to_be_visible()

        page.get_by_role("button", name="More for Ours").click()
        page.get_by_role("menuitem", name="Replace the key").click()
        dialog.get_by_label("Key", exact=True).fill(GOOD)
        dialog.get_by_role("button", name="Replace the key").click()
        expect(page.get_by_text("…good")).to_be_visible()
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_text("Works")).to_be_visible()
        assert visit.problems() == []
        assert GOOD not in page.content()

        page.get_by_role("button", name="More for Ours").click()
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("No provider key yet")).to_be_visible()
        assert visit.complaints == []


def test_a_key_is_given_what_it_may_by_resource(browser: Browser, server: Server, owner: Any):
    with server.client() as api, visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/keys")
        page.get_by_role("button", name="New key").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("Reporting")
        dialog.get_by_role("button", name="May").click()
        page.get_by_role("option", name="By resource…").click()
        expect(dialog.get_by_role("button", name="Create")).to_be_disabled()
        dialog.get_by_label("calls:read").check()
        dialog.get_by_label("agents:write").check()
        assert visit.problems() == []
        dialog.get_by_role("button", name="Create").click()
        expect(dialog.get_by_text("sk_live_").first).to_be_visible()
        [made] = [k for k in api.get("/v1/api-keys").json()["data"] if k["name"] == "Reporting"]
        assert made["scopes"] == ["agents:write", "calls:read"]
        assert visit.complaints == []


# Each group of the form, and a field of it that is drawn when all of it is there.
GROUPS = {
    "prompt": "slmModelFallbackIds",
    "voice": "voiceFallbackIds",
    "turns": "fallbackSilenceMs",
    "hearing": "transcriberFallbackIds",
    "tools": "holdMusicUrl",
    "knowledge": "knowledgeSearchInstructions",
    "answering": "answering",
    "after": "postCallWebhookSecret",
    "limits": "latencyTargetMs",
}
# So that what belongs to one kind only is drawn for each.
WHOLE: dict[str, Any] = {
    "name": "Whole",
    "firstSpeaker": "agent",
    "agentGreetingEnabled": True,
    "modelOptions": {"temperature": 0.5},
    "answering": {"menu": "navigate"},
    "keyInputs": [{"name": "pin", "secret": True}],
    "pronunciations": [{"text": "SQL", "spoken": "sequel"}],
    "postCallExtractionSchema": [{"name": "mood", "type": "string", "enum": ["good", "bad"]}],
    "transferTargets": [
        {"name": "Desk", "number": "+14155550123"},
        {"name": "Boss", "number": "+14155550124", "type": "warm", "briefing": "A caller."},
    ],
}


def fields_of_agents(server: Server) -> set[str]:
    """By the API's document, with those inside of others as `transferTargets.name`."""
    schemas = httpx.get(f"{server.url}/v1/openapi.json", timeout=30).json()["components"]["schemas"]
    found: set[str] = set()
    for name, schema in schemas["AgentCreate"]["properties"].items():
        found.add(name)
        inner = schema.get("items", schema)
        inner = schemas.get(inner.get("$ref", "").rpartition("/")[2], inner)
        found |= {f"{name}.{each}" for each in inner.get("properties", {})}
    return found


def look_at(visit: Visit, group: str, last: str) -> None:
    visit.page.locator(f".tablist a[href='?group={group}']").click()
    visit.page.locator(f"[data-field='{last}']").wait_for(state="attached")


def test_the_form_has_every_field_of_the_api_with_its_default(
    browser: Browser, server: Server, owner: Any
):
    with server.client() as api, visiting(browser, server, owner) as visit:
        made = [api.post("/v1/agents", json=body) for body in ({"name": "Bare"}, WHOLE)]
        bare, whole = (answer.json()["data"]["id"] for answer in made)
        drawn: set[str] = set()
        visit.open(f"/agents/{bare}")
        for group, last in GROUPS.items():
            look_at(visit, group, last)
            assert visit.page.locator(".reset").count() == 0, f"{group}: a default of its own"
        visit.open(f"/agents/{whole}")
        for group, last in GROUPS.items():
            look_at(visit, group, last)
            drawn |= set(
                visit.page.locator("[data-field]").evaluate_all(
                    "all => all.map(each => each.dataset.field)"
                )
            )
            assert visit.problems() == [], group
        assert fields_of_agents(server) - drawn == set()
        assert visit.complaints == []


def test_what_is_set_in_the_form_is_what_the_api_then_has(
    browser: Browser, server: Server, owner: Any
):
    with server.client() as api, visiting(browser, server, owner) as visit:
        page = visit.page
        id = api.post("/v1/agents", json={"name": "Set"}).json()["data"]["id"]
        visit.open(f"/agents/{id}?group=tools")
        page.get_by_role("button", name="Add a transfer target").click()
        page.get_by_label("Name", exact=True).fill("Reception")
        page.get_by_label("Number", exact=True).fill("+1")
        page.get_by_label("Type").click()
        page.get_by_role("option", name="Warm, with a briefing").click()
        page.get_by_label("Ring for at most (seconds)").fill("45")
        page.get_by_label("What the person hears first").fill("{{reason}}")
        page.get_by_label("Message on hold").fill("One moment.")
        page.get_by_role("link", name="Hearing").click()
        page.get_by_label("Words that are hard to hear").fill("Chorus\nBistro\n")
        page.get_by_role("link", name="Limits").click()
        page.get_by_label("Silence that ends the call (seconds)").fill("")
        page.get_by_label("Reminders before that").fill("0")
        # What is wrong is told at the field that it is in.
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name="Tools and transfers").click()
        wrong = page.locator("[data-field='transferTargets.number'] [role=alert]")
        expect(wrong).to_contain_text("E.164")
        page.get_by_label("Number", exact=True).fill("+1 (415) 555-0123")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Unsaved changes")).to_have_count(0)
        agent = api.get(f"/v1/agents/{id}").json()["data"]
        [target] = agent["transferTargets"]
        assert (target["number"], target["type"]) == ("+14155550123", "warm_briefing")
        assert (target["ringTimeoutSeconds"], target["briefing"]) == (45, "{{reason}}")
        assert agent["holdMessage"] == "One moment."
        assert agent["keyterms"] == ["Chorus", "Bistro"]
        assert (agent["silenceTimeoutSeconds"], agent["silenceReminders"]) == (None, 0)
        assert visit.complaints == []


def test_a_draft_outlives_its_page_and_a_version_comes_back(
    browser: Browser, server: Server, owner: Any
):
    first, second, third = "One.\nTwo.\nThree.", "One.\n2.\nThree.", "One.\nII.\nThree."
    with server.client() as api, visiting(browser, server, owner) as visit:
        page = visit.page
        id = api.post("/v1/agents", json={"name": "Old", "systemPrompt": first}).json()["data"][
            "id"
        ]
        visit.open(f"/agents/{id}")
        prompt = page.get_by_role("textbox", name="System prompt")
        prompt.fill(second)
        expect(page.get_by_text("Draft kept")).to_be_visible()
        visit.open(f"/agents/{id}")
        expect(prompt).to_have_value(second)
        # Somebody else works on it, and whoever is late is told.
        headers = {"If-Match": api.get(f"/v1/agents/{id}/draft").headers["etag"]}
        theirs = {"agent": {"systemPrompt": third}, "base": 1}
        assert api.put(f"/v1/agents/{id}/draft", json=theirs, headers=headers).status_code == 200
        prompt.fill("Mine.")
        expect(page.get_by_text("is working on this agent too")).to_be_visible()
        assert visit.problems() == []
        page.get_by_role("button", name="Take theirs").click()
        expect(prompt).to_have_value(third)
        # What calls use is still the first.
        assert api.get(f"/v1/agents/{id}").json()["data"]["systemPrompt"] == first

        page.get_by_role("button", name="Save with a name").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("del")).to_contain_text("Two.")
        expect(dialog.locator("ins")).to_contain_text("II.")
        dialog.get_by_label("Name (optional)").fill("Roman")
        assert visit.problems() == []
        dialog.get_by_role("button", name="Publish").click()
        expect(page.get_by_text("Unsaved changes")).to_have_count(0)

        page.get_by_role("link", name="Versions").click()
        expect(page.locator("[data-version='2']")).to_contain_text("Roman")
        older = page.locator("[data-version='1']")
        older.get_by_role("button", name="Restore").click()
        ask = page.get_by_role("alertdialog")
        expect(ask.locator("del")).to_contain_text("II.")
        assert visit.problems() == []
        ask.get_by_role("button", name="Restore").click()
        expect(page.locator("[data-version='3']")).to_contain_text("as version 1")
        assert api.get(f"/v1/agents/{id}").json()["data"]["systemPrompt"] == first
        assert visit.problems() == []
        assert visit.complaints == []


def test_what_has_no_value_is_told_and_a_voice_is_heard(
    browser: Browser, server: Server, owner: Any
):
    wish = {"name": "Sound", "systemPrompt": "{{shop}} {{city}}", "agentGreeting": "Good day."}
    with server.client() as api, visiting(browser, server, owner) as visit:
        page = visit.page
        id = api.post("/v1/agents", json=wish).json()["data"]["id"]
        visit.open(f"/agents/{id}")
        unknown = page.locator("[data-unknown]")
        expect(unknown).to_contain_text("{{shop}} {{city}}")
        page.get_by_role("complementary").get_by_label("city").fill("Oslo")
        expect(unknown).to_contain_text("{{shop}}")
        expect(unknown).not_to_contain_text("{{city}}")
        estimate = page.get_by_role("region", name="Estimate per minute")
        expect(estimate).to_contain_text("there was no answered turn")
        assert visit.problems() == []
        page.get_by_role("link", name="Voice").click()
        page.get_by_role("button", name="Hear ").click()
        sound = page.locator("audio")
        sound.evaluate("one => one.readyState || new Promise(go => (one.onloadedmetadata = go))")
        assert 1 < sound.evaluate("one => one.duration") < 20
        assert visit.problems() == []
        assert visit.complaints == []


def test_from_one_organization_to_the_other(
    browser: Browser, server: Server, owner: Any, database: dict[str, str]
):
    """Invited with the account that there is, and over by the menu, which is there from then on."""
    assert owner
    chorus = {**os.environ, "CHORUS_DATA_DIR": str(server.data_dir), **database}

    def orgs(*arguments: str) -> str:
        """The last line of what the operator's command prints."""
        command = [sys.executable, "-m", "chorus", "orgs", *arguments]
        run = subprocess.run(command, env=chorus, check=True, capture_output=True, text=True)
        return run.stdout.split()[-1]

    other = orgs("create", "Other Bistro")
    token = orgs("add-member", EMAIL, "--role", "viewer", "--invite", "--organization", other)
    with visiting(browser, server) as visit:
        page = visit.page
        page.goto(f"{server.url}/dashboard/invitation#token={token}")
        page.get_by_text("I have an account with this address").click()
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Accept invitation").click()
        page.get_by_role("heading", name="Home").wait_for()
        menu = page.locator("button.who")
        expect(menu).to_contain_text("Other Bistro")
        visit.open("/agents")
        expect(page.get_by_role("link", name="Bistro")).to_have_count(0)
        menu.click()
        mine = page.get_by_role("menuitemradio", name="Other Bistro")
        expect(mine).to_have_attribute("aria-checked", "true")
        assert visit.problems() == []
        page.get_by_role("group", name="Organizations").get_by_role("menuitemradio").filter(
            has_not_text="Other Bistro"
        ).click()
        expect(menu).not_to_contain_text("Other Bistro")
        page.get_by_role("heading", name="Home").wait_for()
        visit.open("/agents")
        expect(page.get_by_role("link", name="Bistro").first).to_be_visible()
        assert visit.complaints == []


def test_what_is_filtered_says_so_and_pages_are_found(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/settings/webhooks?status=failed")
        expect(page.get_by_text("Nothing found.")).to_be_visible()
        page.get_by_role("button", name="Failed State").click()
        page.get_by_role("option", name="All").click()
        expect(page.get_by_text("No webhook was sent.")).to_be_visible()
        assert "status=" not in page.url
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").fill("pages")
        page.get_by_role("option", name="Pages").click()
        page.get_by_text("No page calls yet").wait_for()
        assert visit.complaints == []


def test_who_is_invited_to_look_may_only_look(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        visit.open("/settings/members")
        page = visit.page
        page.get_by_role("button", name="Invite").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("E-mail").fill("vera@example.com")
        dialog.get_by_role("button", name="Role").click()
        page.get_by_role("option", name="Viewer").click()
        dialog.get_by_role("button", name="Invite").click()
        link = page.locator(".code code").inner_text()
        assert visit.problems() == []
        assert visit.complaints == []
    with visiting(browser, server) as visit:
        page = visit.page
        page.goto(link)
        page.get_by_label("New password").fill("another horse battery")
        page.get_by_role("button", name="Accept invitation").click()
        page.get_by_role("heading", name="Home").wait_for()
        visit.open(f"/agents/{AGENT}")
        expect(page.get_by_role("textbox", name="System prompt")).to_be_disabled()
        expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
        visit.open("/settings/members")
        expect(page.get_by_text("vera@example.com").first).to_be_visible()
        expect(page.get_by_role("button", name="Invite")).to_have_count(0)
        answer = page.evaluate(
            f"fetch('/v1/agents/{AGENT}', {{method: 'DELETE'}}).then((got) => got.status)"
        )
        assert answer == 403
        assert visit.complaints == []
