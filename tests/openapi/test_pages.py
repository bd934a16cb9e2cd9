"""`/docs` and `/redoc` in a real browser that can reach nothing but the server."""

from __future__ import annotations

import asyncio
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
        # Of what is below the window Swagger draws nothing yet.
        shown = await browser.new_page(viewport={"width": 1200, "height": 30_000})
        shown.on("console", lambda message: told.append(f"{message.text} {message.location}"))
        shown.on("pageerror", lambda error: told.append(str(error)))
        await shown.goto(f"{url}/{page}")
        async with asyncio.timeout(60):
            for text in ("/v1/phone-numbers/{id}", "Create an agent"):
                while text not in await shown.content():
                    await asyncio.sleep(0.1)
        await browser.close()
    # ReDoc wants the logo of its makers from their server. It does not get it.
    assert [line for line in told if "redoc.ly/redoc/logo-mini.svg" not in line] == []
