"""`/docs` and `/redoc` in a real browser that can reach nothing but the server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright
from tests.conftest import settings_for
from tests.openapi.fuzzing import listening

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("page", ["docs", "redoc"])
async def test_a_browser_shows_the_operations(tmp_path: Path, page: str):
    told: list[str] = []
    async with listening(settings_for(tmp_path)) as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        shown = await browser.new_page()
        shown.on("console", lambda message: told.append(f"{message.text} {message.location}"))
        shown.on("pageerror", lambda error: told.append(str(error)))
        await shown.goto(f"{url}/{page}")
        for text in ("/v1/phone-numbers/{id}", "Create an agent"):
            await shown.wait_for_function(
                "text => document.body.innerHTML.includes(text)", arg=text, timeout=60_000
            )
        await browser.close()
    # ReDoc wants the logo of its makers from their server. It does not get it.
    assert [line for line in told if "redoc.ly/redoc/logo-mini.svg" not in line] == []
