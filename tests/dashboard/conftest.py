"""One browser and one server with a past, for all journeys of a module."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.dashboard.browser import ROOT, become_owner, chromium, visiting
from tests.fakes.server import API_KEY, Server, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """What a server's environment says of its database."""
    if request.param == "sqlite":
        return {}
    made = {"CHORUS_DATABASE_URL": request.getfixturevalue("postgres").empty()}
    command = [sys.executable, "-m", "chorus", "migrate"]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **made})
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: dict[str, str]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dashboard") / "data"
    folder.mkdir()
    # A process of its own: Playwright's loop runs in this thread.
    command = [sys.executable, "-m", "tests.dashboard.seed", str(folder), API_KEY]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **database})
    # A vendor's stand-in is at a private address; callers come over a simulated network.
    more = {"CHORUS_ALLOW_PRIVATE_ADDRESSES": "true", "CHORUS_SIMULATED": "1"}
    with serving(folder, **more, **database) as running:
        yield running


@pytest.fixture(scope="module")
def owner(browser: Browser, server: Server) -> Any:
    """What the browser of a logged-in owner keeps."""
    with visiting(browser, server) as made:
        become_owner(made, server)
        return made.page.context.storage_state()
