"""What sites let be fetched: their robots.txt (RFC 9309), remembered for a while.

What it forbids `Chorus` or everybody is not fetched; a site that answers 5xx or not at all forbids
everything, one without the file nothing. The RFC lets a copy be used for a day; here it is an hour,
and no page is refused by a copy older than a minute, because whoever was told to change the file
tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from chorus.knowledge.reader.blocks import Unreadable
from chorus.outbound import Outbound, OutboundFailed

AGENT = "Chorus"
KEPT_S = 3600.0
REFUSED_S = 60.0
MOST_SITES = 1000
_TIMEOUT_MS = 10_000
_MAX_BYTES = 512 * 1024
_MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class _Rules:
    """`parsed` None: nothing is forbidden. `problem`: nothing is allowed."""

    asked_s: float
    parsed: Protego | None = None
    problem: str | None = None

    def refusal(self, url: str) -> str | None:
        if self.problem is not None:
            return self.problem
        if self.parsed is None or self.parsed.can_fetch(url, AGENT):
            return None
        return (
            f"robots.txt of {urlsplit(url).hostname} does not allow this page to be fetched: ask "
            "whoever keeps the site to allow Chorus, or send the page as a file"
        )


class Robots:
    """One a process. `now_s` tells the time."""

    def __init__(self, outbound: Outbound, now_s: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._now_s = now_s
        self._known: dict[str, _Rules] = {}

    async def ask_leave(self, url: str) -> None:
        """Raises `Unreadable` with a sentence for whoever named the URL, and `OutboundRefused`."""
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        rules = self._known.pop(site, None)
        age_s = self._now_s() - rules.asked_s if rules is not None else KEPT_S
        refusal = rules.refusal(url) if rules is not None else None
        if rules is None or age_s >= (REFUSED_S if refusal else KEPT_S):
            rules = await self._ask(site)
            refusal = rules.refusal(url)
        self._known[site] = rules  # the one that was asked for last is the last
        while len(self._known) > MOST_SITES:
            self._known.pop(next(iter(self._known)))
        if refusal:
            raise Unreadable(refusal)

    async def _ask(self, site: str) -> _Rules:
        now_s = self._now_s()
        try:
            answer = await self._outbound.send(
                "GET",
                f"{site}/robots.txt",
                timeout_ms=_TIMEOUT_MS,
                max_bytes=_MAX_BYTES,
                truncate=True,
                max_redirects=_MAX_REDIRECTS,
            )
        except OutboundFailed as failed:
            return _Rules(now_s, problem=f"robots.txt could not be fetched: {failed}")
        if 200 <= answer.status < 300:
            return _Rules(now_s, Protego.parse(answer.body.decode("utf-8", "replace")))
        if answer.status >= 500 or answer.status == 429:
            host = urlsplit(site).hostname
            problem = (
                f"robots.txt of {host} answered HTTP {answer.status}, which means that nothing may "
                "be fetched now: try again later"
            )
            return _Rules(now_s, problem=problem)
        return _Rules(now_s)
