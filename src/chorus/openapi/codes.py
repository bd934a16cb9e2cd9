"""What the codes of errors and the reasons for which calls end mean, and the page that says so."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent

REASON = "reason-"
"""What the anchors of reasons begin with: some are named like the code of an error."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A code or a reason. `means` and `mend` are sentences with `code` in backticks; `mend` is
    empty where there is nothing to be done. `statuses` are those of HTTP, none for a reason and
    for what only the dashboard says."""

    name: str
    means: str
    mend: str = ""
    statuses: tuple[int, ...] = ()


@cache
def errors() -> dict[str, Explained]:
    """All that can be in an error's `code`, by name."""
    told = _read("codes.toml")
    found = [
        Explained(name, each["means"], each["mend"], tuple(each["statuses"]))
        for name, each in told["errors"].items()
    ]
    found += [_nothing(thing, words) for thing, words in told["things"].items()]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def _nothing(thing: str, words: str) -> Explained:
    mend = "Check the id, and that the key or the session is of the organization that has it."
    if thing == "agent_version":
        mend = "List the versions that there are with `GET /v1/agents/{id}/versions`."
    return Explained(f"{thing}_not_found", f"There is no such {words}.", mend, (404,))


@cache
def reasons() -> dict[str, Explained]:
    """All that can be in a call's `endedReason`, by name."""
    told = _read("reasons.toml")
    return {
        name: Explained(name, each["means"], each.get("mend", "")) for name, each in told.items()
    }


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_HERE / name).read_text("utf-8"))


def page(version: str) -> str:
    """Both as HTML, with an anchor for each; `version` is that of the page's style sheet."""
    return _PAGE.format(
        version=version,
        errors="\n".join(_sections(errors().values())),
        reasons="\n".join(_sections(reasons().values(), REASON)),
    )


def _sections(told: Iterable[Explained], prefix: str = "") -> Iterable[str]:
    for each in told:
        place = prefix + each.name
        statuses = ", ".join(map(str, each.statuses))
        yield f'<section id="{place}" aria-labelledby="{place}-name">'
        yield f'<h3 id="{place}-name"><a href="#{place}"><code>{each.name}</code></a></h3>'
        if statuses:
            yield f'<p class="status">HTTP {statuses}</p>'
        yield f"<p>{_marked(each.means)}</p>"
        if each.mend:
            yield f"<p><strong>What to do:</strong> {_marked(each.mend)}</p>"
        yield "</section>"


def _marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors · Chorus</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/{version}/errors.css">
</head>
<body>
<main>
<h1>Errors</h1>
<p>Every error is a JSON object: <code>error</code> is a sentence for people, <code>code</code> is
for programs and does not change, <code>requestId</code> is also in the server's log. This page
says what each code means and what to do about it. The operations are in the
<a href="../docs">API reference</a>.</p>
<nav aria-label="On this page">
<a href="#errors">Codes of errors</a> <a href="#reasons">Why a call ended</a>
</nav>
<h2 id="errors">Codes of errors</h2>
{errors}
<h2 id="reasons">Why a call ended</h2>
<p>A call that is over has one of these in <code>endedReason</code>. Where there is more to say,
<code>endedDetail</code> says it in a sentence.</p>
{reasons}
</main>
</body>
</html>
"""
