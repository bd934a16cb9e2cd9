"""Failures as a member meets them: told where they happen, with a link to what they mean."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Route, expect
from tests.dashboard.browser import Visit, needed, visiting
from tests.dashboard.seed import CALL
from tests.fakes.server import Server

pytestmark = needed


def test_a_failure_leads_to_what_it_means(browser: Browser, server: Server, owner: Any):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/agents")
        # Forms do not let one ask for what is wrong, so it is made so on its way.
        page.route(
            "**/v1/agents",
            lambda route: route.continue_(
                **({"post_data": '{"name": 7}'} if route.request.method == "POST" else {})
            ),
        )
        page.get_by_role("button", name="New agent").click()
        page.get_by_role("button", name="Create").click()
        told = page.get_by_role("alert")
        expect(told).to_contain_text("validation_failed")
        assert visit.problems() == []
        with page.context.expect_page() as opened:
            told.get_by_role("link", name="What this means").click()
        explained = opened.value
        expect(explained).to_have_url(f"{server.url}/docs/errors#validation_failed")
        expect(explained.locator("section:target")).to_contain_text("Mend the fields")
        assert Visit(explained, server.url).problems() == []


def test_what_has_no_place_on_the_page_is_told_until_it_is_closed(
    browser: Browser, server: Server, owner: Any
):
    refusal = {"error": "Too many exports", "code": "too_many_exports", "requestId": "r-1"}
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open("/calls")
        page.route("**/v1/calls/export?*", lambda route: route.fulfill(status=429, json=refusal))
        downloads: list[Any] = []
        page.on("download", lambda each: downloads.append(each))
        page.get_by_role("button", name="Export").click()
        page.get_by_role("menuitem").first.click()
        told = page.get_by_role("alert")
        expect(told).to_contain_text("Too many exports")
        expect(told.get_by_role("link")).to_have_attribute("href", "/docs/errors#too_many_exports")
        assert visit.problems() == []
        page.get_by_role("button", name="Close").click()
        expect(told).to_be_hidden()
        assert downloads == []


def test_a_side_of_a_call_that_cannot_be_read_says_so(browser: Browser, server: Server, owner: Any):
    refusal = {"error": "Internal server error", "code": "internal_error", "requestId": "r-2"}
    with visiting(browser, server, owner) as visit:
        page = visit.page
        for path, tab in (("ledger", "cost"), ("audit-log", "audit")):
            page.route(f"**/v1/{path}?*", lambda route: route.fulfill(status=500, json=refusal))
            page.goto(f"{server.url}/dashboard/calls/{CALL}?tab={tab}")
            expect(page.get_by_role("alert")).to_contain_text("internal_error")


def test_why_a_call_ended_is_told_in_its_sentence(browser: Browser, server: Server, owner: Any):
    def with_detail(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["data"] |= {"status": "failed", "endedReason": "provider_error"}
        told["data"] |= {"endedDetail": "Deepgram answered 402: no credit"}
        route.fulfill(response=answer, json=told)

    with visiting(browser, server, owner) as visit:
        page = visit.page
        page.route(f"**/v1/calls/{CALL}", with_detail)
        visit.open(f"/calls/{CALL}")
        why = page.locator(".note.bad")
        expect(why).to_contain_text("Deepgram answered 402: no credit")
        link = why.get_by_role("link")
        expect(link).to_have_attribute("href", "/docs/errors#reason-provider_error")
        assert visit.problems() == []
