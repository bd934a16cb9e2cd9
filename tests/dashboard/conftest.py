"""One browser and one server with a past, for all journeys of a module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.dashboard.browser import EMAIL, PASSWORD, ROOT, chromium, owner_link
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


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder on SQLite, for each module's server a copy."""
    folder = tmp_path_factory.mktemp("past") / "data"
    remember(folder, {})
    return folder


def remember(folder: Path, database: dict[str, str]) -> None:
    folder.mkdir()
    # A process of its own: Playwright's loop runs in this thread.
    command = [sys.executable, "-m", "tests.dashboard.seed", str(folder), API_KEY]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **database})


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    database: dict[str, str],
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dashboard") / "data"
    if database:
        remember(folder, database)
    else:
        shutil.copytree(request.getfixturevalue("past"), folder)
    # A vendor's stand-in is at a private address; callers come over a simulated network; and a
    # balance may be topped up from its page.
    more = {
        "CHORUS_ALLOW_PRIVATE_ADDRESSES": "true",
        "CHORUS_SIMULATED": "1",
        "CHORUS_ALLOW_TOP_UP": "1",
    }
    with serving(folder, **more, **database) as running:
        yield running


@pytest.fixture(scope="module")
def owner(browser: Browser, server: Server) -> Any:
    """What the browser of a logged-in owner keeps."""
    context = browser.new_context()
    wish = {"token": owner_link(server).partition("#token=")[2], "name": "Ada Lind"}
    answer = context.request.post(
        f"{server.url}/v1/owners",
        data={**wish, "email": EMAIL, "password": PASSWORD},
        headers={"origin": server.url, "x-chorus-request": "1"},
    )
    assert answer.ok, answer.text()
    state = context.storage_state()
    context.close()
    return state
