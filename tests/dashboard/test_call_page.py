"""The page of one call: its sound is played and followed, its events are searched."""

from __future__ import annotations

import wave
from typing import Any

from playwright.sync_api import Browser, expect
from tests.dashboard.browser import needed, visiting
from tests.dashboard.seed import CALL, RATE_HZ
from tests.fakes.server import Server

pytestmark = needed


def test_a_recording_is_played_and_its_words_are_followed(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open(f"/calls/{CALL}")
        position = page.get_by_role("slider", name="Position in the call")
        transcript = page.get_by_role("region", name="Transcript")
        answer = transcript.get_by_role("listitem").filter(has_text="For how many people?")
        word = transcript.locator("mark")

        # A line's time goes to where it was said, and keys go on from there.
        answer.get_by_role("button").first.click()
        expect(position).to_have_attribute("aria-valuenow", "7")
        expect(word).to_have_text("With")
        position.focus()
        page.keyboard.press("ArrowRight")
        expect(position).to_have_attribute("aria-valuenow", "8")
        expect(word).to_have_count(1)
        expect(word).not_to_have_text("With")
        page.keyboard.press("End")
        expect(position).to_have_attribute("aria-valuenow", "38")
        expect(word).to_have_count(0)
        page.keyboard.press("Home")
        expect(position).to_have_attribute("aria-valuenow", "0")

        page.get_by_label("Speed").select_option("2")
        page.get_by_role("button", name="Mute caller").click()
        unmute = page.get_by_role("button", name="Unmute caller")
        expect(unmute).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Play", exact=True).click()
        pause = page.get_by_role("button", name="Pause", exact=True)
        expect(pause).to_be_visible()
        # It plays at the speed that was asked for, and the words go with it.
        while page.evaluate("document.querySelector('audio').currentTime") < 1:
            page.wait_for_timeout(50)
        assert page.evaluate("document.querySelector('audio').playbackRate") == 2
        expect(word).to_have_count(1)
        pause.click()
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()

        with page.expect_download() as started:
            page.get_by_role("link", name="Download").click()
        with wave.open(str(started.value.path())) as file:
            assert (file.getnchannels(), file.getframerate()) == (2, RATE_HZ)
            assert file.getnframes() == 38 * RATE_HZ
        assert visit.complaints == []


def test_raw_events_are_searched_and_the_request_is_shown(
    browser: Browser, server: Server, owner: Any
):
    with visiting(browser, server, owner) as visit:
        page = visit.page
        visit.open(f"/calls/{CALL}")
        page.get_by_role("tab", name="Events").click()
        events = page.get_by_role("list", name="Events").get_by_role("listitem")
        assert events.count() > 20
        page.get_by_role("searchbox", name="Filter events").fill("find_table")
        expect(events).to_have_count(2)
        expect(events.first).to_contain_text("tool_called")
        # An event's time leads to what was heard then.
        events.first.get_by_role("button").click()
        position = page.get_by_role("slider", name="Position in the call")
        expect(position).to_have_attribute("aria-valuenow", "24")
        page.get_by_role("button", name="More").click()
        page.get_by_role("menuitem", name="Show the API request").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(f"{server.url}/v1/calls/{CALL}?include=turns")
        assert visit.problems() == []
        assert visit.complaints == []
