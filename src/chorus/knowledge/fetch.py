"""Fetching a page for a knowledge base: politely, and within limits.

In order, for the page and for each redirect: the site's robots.txt is asked (`robots.py`); then the
page, with what the server said of it last time, so that one that has not changed is not sent again.
All of it goes through the guarded client.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from chorus.knowledge.reader.blocks import MAX_BYTES, Unreadable
from chorus.knowledge.robots import Robots
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused

TIMEOUT_MS = 20_000
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)

_TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/x-markdown": "md",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
_ENDINGS = {
    "txt": "txt",
    "text": "txt",
    "md": "md",
    "markdown": "md",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "pdf": "pdf",
    "docx": "docx",
    "csv": "csv",
}


@dataclass(frozen=True, slots=True)
class Page:
    """`content` None: it has not changed."""

    content: bytes | None
    format: str = ""
    charset: str | None = None
    etag: str | None = None
    last_modified: str | None = None


class Pages:
    """One a process: what sites let be fetched is remembered (`robots.py`)."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._robots = Robots(outbound)

    async def fetch(self, url: str, etag: str | None, last_modified: str | None) -> Page:
        """Raises `Unreadable` with a sentence for whoever named the URL."""
        headers = [("Accept", "text/html, application/pdf, text/*;q=0.9, */*;q=0.5")]
        if etag:
            headers.append(("If-None-Match", etag))
        elif last_modified:
            headers.append(("If-Modified-Since", last_modified))
        target = url
        try:
            for _ in range(MAX_REDIRECTS + 1):
                await self._robots.ask_leave(target)
                answer = await self._outbound.send(
                    "GET",
                    target,
                    headers=headers,
                    timeout_ms=TIMEOUT_MS,
                    max_bytes=MAX_BYTES,
                    max_redirects=0,
                )
                location = answer.header("location")
                if answer.status not in _REDIRECTS or not location:
                    return _page(answer, target)
                target = urljoin(target, location)
        except OutboundRefused as refused:
            raise Unreadable(f"The URL may not be fetched: {refused}") from None
        except OutboundFailed as failed:
            raise Unreadable(f"The URL could not be fetched: {failed}") from None
        raise Unreadable(f"The URL redirects more than {MAX_REDIRECTS} times")


def _page(answer: OutboundAnswer, url: str) -> Page:
    if answer.status == 304:
        return Page(None)
    if answer.status != 200:
        raise Unreadable(f"The URL answered HTTP {answer.status}")
    kind, _, parameters = (answer.header("content-type") or "").partition(";")
    charset = parameters.partition("charset=")[2].split(";")[0].strip(" \"'") or None
    format = _TYPES.get(kind.strip().lower()) or format_of(urlsplit(url).path)
    if format is None:
        raise Unreadable(
            f"The URL is of the type {kind.strip() or 'unknown'}, which is not read: txt, md, "
            "html, pdf, docx and csv are"
        )
    return Page(
        answer.body,
        format,
        charset if charset and charset.isascii() and len(charset) <= 40 else None,
        (answer.header("etag") or "")[:1000] or None,
        (answer.header("last-modified") or "")[:100] or None,
    )


def format_of(name: str) -> str | None:
    """By the ending of a file's name."""
    return _ENDINGS.get(name.rpartition(".")[2].lower()) if "." in name else None
