"""From a clone to an answer that was heard, in a browser: how long each step takes (`make first`).

    python -m bench.first_minutes [--cold] [--models FOLDER]

1. this repository, as it was committed, is cloned into a folder of its own;
2. `make run` there, until it prints the link for the first owner;
3. the link in a real Chromium: first owner, "Make the demo agent", "Talk to it";
4. a recorded person is the microphone; until the greeting, their words, and the answer to them are
   in the page.

Each time is told when the step is done, and all of them as one line of JSON. Nobody reads or
chooses here, so to them comes what a person takes to type an address and a password. With `--cold`
the caches of uv and npm begin empty too, so that everything comes over the network, whose speed is
then most of it. `--models` are the models of speech as `chorus models pull` fetches them, here
already; without them PocketSphinx hears and espeak-ng speaks. Needs Chromium, and the recorded
people of `scripts/material.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from scripts.material import MODELS
from tests.dashboard.browser import EMAIL, PASSWORD, microphone

from bench.prompts import RATE_HZ, pcm16, prompts
from bench.servers import ROOT, free_port

SAID = "please-try-call-later"
BEFORE_S = 12
"""From the microphone's opening until somebody speaks: by then the agent has greeted."""
START_WITHIN_S = 1800
SHOWN_WITHIN_MS = 120_000
LINK = re.compile(r"\S+/dashboard/welcome#token=\w+")
CLEAN = ("CHORUS_", "VIRTUAL_ENV", "PYTHON", "UV_", "npm_")


class Steps:
    """Each from the end of the one before."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._since = time.monotonic()

    def done(self, name: str) -> None:
        now = time.monotonic()
        self.taken[name] = round(now - self._since, 1)
        self._since = now
        print(f"{self.taken[name]:7.1f} s  {name}", file=sys.stderr, flush=True)


def environment(folder: Path, cold: bool, models: Path | None) -> dict[str, str]:
    """That of somebody who has done nothing yet."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(CLEAN)}
    clean["CHORUS_PORT"] = str(free_port())
    if models:
        clean["CHORUS_MODELS_DIR"] = str(models)
    if cold:
        clean |= {"UV_CACHE_DIR": str(folder / "uv"), "npm_config_cache": str(folder / "npm")}
    return clean


@contextmanager
def made_and_running(clone: Path, env: dict[str, str]) -> Generator[str]:
    """`make run`; the link that it prints."""
    log = clone.parent / "make-run.log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_WITHIN_S
        while not (found := LINK.search(log.read_text())):
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"make run did not come up:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield found[0]
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(60)


def talked(page: Page, link: str, steps: Steps) -> dict[str, Any]:
    """The call as the server has it afterwards."""
    begun: list[str] = []

    def answered(response: Any) -> None:
        if response.url.endswith("/v1/calls/test"):
            begun.append(response.json()["data"]["callId"])

    page.on("response", answered)
    page.goto(link)
    page.get_by_label("Your name").fill("Ada Lind")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("New password").fill(PASSWORD)
    steps.done("the page for the first owner")
    page.get_by_role("button", name="Create owner").click()
    page.get_by_text("To your first call").wait_for()
    steps.done("first owner, and Home")
    page.get_by_role("button", name="Make the demo agent").click()
    page.get_by_role("heading", name="Bistro").wait_for()
    talk = page.get_by_role("button", name="Talk to it")
    talk.wait_for()
    steps.done("the demo agent, and its page")
    talk.click()
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
    steps.done("Talk to it, until connected")
    lines = page.get_by_role("list", name="Transcript")
    expect(lines.locator("li.agent").first).to_contain_text("good evening")
    steps.done("the greeting")
    expect(lines.locator("li.caller").first).to_be_visible()
    steps.done("the caller's first words")
    expect(lines.locator("li.agent").nth(1)).to_contain_text("You can book a table")
    steps.done("the answer")
    page.get_by_role("button", name="Hang up").click()
    page.get_by_text("You have hung up.").wait_for()
    origin = link.partition("/dashboard")[0]
    said = [each.strip() for each in lines.locator("li").all_inner_texts()]
    call = page.request.get(f"{origin}/v1/calls/{begun[0]}?wait=20").json()["data"]
    return {"said": said, "status": call["status"], "reason": call["endedReason"]}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.first_minutes")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--models", type=Path, default=MODELS if MODELS.exists() else None)
    wish = parser.parse_args()
    [said] = [prompt for prompt in prompts("en") if prompt.name == SAID]
    quiet = bytes(2 * RATE_HZ)
    sound = quiet * BEFORE_S + pcm16(said.audio) + quiet * 120
    with tempfile.TemporaryDirectory(prefix="chorus-first-") as name:
        folder, clone = Path(name), Path(name) / "chorus"
        env = environment(folder, wish.cold, wish.models)
        steps = Steps()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, env=env)
        steps.done("git clone")
        with made_and_running(clone, env) as link, microphone(folder, sound, RATE_HZ) as browser:
            steps.done("make run, until its link")
            context = browser.new_context(permissions=["microphone"])
            context.set_default_timeout(SHOWN_WITHIN_MS)
            expect.set_options(timeout=SHOWN_WITHIN_MS)
            try:
                call = talked(context.new_page(), link, steps)
            finally:
                context.close()
    total = round(sum(steps.taken.values()), 1)
    told = {"seconds": steps.taken, "total": total, "beforeSpeakingS": BEFORE_S, "cold": wish.cold}
    print(json.dumps({**told, "models": bool(wish.models), "call": call}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
