"""`/docs` and `/redoc` in a real browser that can reach nothing but the server."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.openapi.fuzzing import listening

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("page", ["docs", "redoc"])
async def test_a_browser_shows_the_operations(tmp_path: Path, page: str):
    async with listening(settings_for(tmp_path)) as url:
        browser = await asyncio.create_subprocess_exec(
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update"),
            f"--user-data-dir={tmp_path / 'browser'}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"),
            f"{url}/{page}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            shown, log = await asyncio.wait_for(browser.communicate(), 90)
        finally:
            if browser.returncode is None:
                browser.kill()
                await browser.wait()
    assert b"/v1/phone-numbers/{id}" in shown
    assert b"Create an agent" in shown
    told = [line for line in log.decode(errors="replace").splitlines() if "CONSOLE" in line]
    # ReDoc wants the logo of its makers from their server. It does not get it.
    assert [line for line in told if "redoc.ly/redoc/logo-mini.svg" not in line] == []
