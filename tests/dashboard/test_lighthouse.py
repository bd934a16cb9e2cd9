"""What Lighthouse finds of the dashboard: `make lighthouse`.

Each page is loaded anew by a logged-in owner, with nothing in the browser's cache, as a desktop
and as a mobile telephone sees it (Lighthouse's own profiles: the telephone has a fourth of the
processor and slow 4G). The table that is printed is in docs/dashboard.md. `PAGES="home call"` looks
at these pages only, `PROFILES=mobile` at one profile, and with `RUNS=3` each row is the median by
performance of three runs, whose scores stand at its end.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.dashboard.browser import ARGUMENTS, CHROMIUM, NODE_TOOLS, needed, node_tools
from tests.dashboard.seed import AGENT, CALL
from tests.fakes.server import Server

LIGHTHOUSE = NODE_TOOLS / "node_modules" / "lighthouse" / "cli" / "index.js"
TRIES = 4
"""Of a trace that Lighthouse says it could not record, and asks to run again (NO_NAVSTART)."""
pytestmark = [*needed, pytest.mark.slow, pytest.mark.timeout(1800)]

PAGES = {
    "log-in": "/login",
    "home": "/",
    "agents": "/agents",
    "agent": f"/agents/{AGENT}",
    "calls": "/calls",
    "call": f"/calls/{CALL}",
    "live": "/live",
}
PROFILES: dict[str, list[str]] = {"desktop": ["--preset=desktop"], "mobile": []}
GOALS = {
    "desktop": {"performance": 95, "accessibility": 100, "best-practices": 100},
    "mobile": {"performance": 90, "accessibility": 100, "best-practices": 100},
}


def judged(node: Path, url: str, cookie: str, profile: str, into: Path) -> dict[str, Any]:
    """Lighthouse's report on one page."""
    headers = json.dumps({"Cookie": cookie} if cookie else {})
    command = [
        *(
            str(node),
            str(LIGHTHOUSE),
            url,
            "--quiet",
            "--output=json",
            "--no-enable-error-reporting",
            f"--output-path={into}",
        ),
        "--only-categories=performance,accessibility,best-practices",
        f"--extra-headers={headers}",
        f"--chrome-flags=--headless=new {' '.join(ARGUMENTS)}",
        *PROFILES[profile],
    ]
    environment = {**os.environ, "CHROME_PATH": str(CHROMIUM)}
    for _ in range(TRIES):
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        if "NO_NAVSTART" not in ran.stderr:
            break
    assert ran.returncode == 0, ran.stderr
    return json.loads(into.read_text())


def failed(report: dict[str, Any], category: str) -> list[str]:
    audits = report["audits"]
    return [
        f"{ref['id']} {audits[ref['id']].get('displayValue', '')}"
        for ref in report["categories"][category]["auditRefs"]
        if ref["weight"] and (audits[ref["id"]]["score"] or 0) < 1
        if audits[ref["id"]]["scoreDisplayMode"] not in ("notApplicable", "manual", "informative")
    ]


def wished(name: str, among: Iterable[str]) -> list[str]:
    """Those that a variable of the environment names; all where it is not set."""
    wish = os.environ.get(name, "").split() or list(among)
    assert not set(wish) - set(among), f"{name}={' '.join(wish)}: there are {', '.join(among)}"
    return wish


def performance(report: dict[str, Any]) -> int:
    return round(100 * report["categories"]["performance"]["score"])


def test_every_page_reaches_its_goals(server: Server, owner: Any, tmp_path: Path):
    node = node_tools()
    runs = int(os.environ.get("RUNS") or 1)
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in owner["cookies"])
    short: list[str] = []
    columns = ["page", "profile", *GOALS["mobile"], "largest paint", "blocked"]
    columns += ["of"] * (runs > 1)
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in wished("PAGES", PAGES):
        for profile in wished("PROFILES", GOALS):
            goals = GOALS[profile]
            url = f"{server.url}/dashboard{PAGES[name]}"
            cookie_here = "" if name == "log-in" else cookie
            into = tmp_path / f"{name}-{profile}.json"
            reports = [judged(node, url, cookie_here, profile, into) for _ in range(runs)]
            report = sorted(reports, key=performance)[(runs - 1) // 2]
            assert report["finalDisplayedUrl"].startswith(url), report["finalDisplayedUrl"]
            scores = {each: round(100 * report["categories"][each]["score"]) for each in goals}
            took = report["audits"]["largest-contentful-paint"]["numericValue"]
            blocked = report["audits"]["total-blocking-time"]["numericValue"]
            row = [name, profile, *scores.values(), f"{took / 1000:.1f} s", f"{blocked:.0f} ms"]
            row += [" ".join(str(performance(each)) for each in reports)] * (runs > 1)
            print(f"| {' | '.join(str(each) for each in row)} |", flush=True)
            short += [
                f"{name} {profile} {category}: {scores[category]}, {failed(report, category)}"
                for category, goal in goals.items()
                if scores[category] < goal
            ]
    assert not short, "\n".join(short)
