"""One vendor's address and key, with one pool of connections for all models and calls.

Requests are httpx2's; the deadlines are those of whoever asks. A connection is opened ahead of the
first turn (`warm`), and a reply that is given up in mid-stream costs its connection, so a spare is
opened in its place at once. HTTP/1.1 on purpose: closing its connection is what stops the vendor's
work. httpx and httpx2 (0.28, 2.16) speak HTTP/2 too, but never reset a stream that is given up: the
vendor would write it to its end, and be paid for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chorus.llm.model import ModelFailed
from chorus.llm.refused import Learnt

if TYPE_CHECKING:
    from httpx2 import AsyncClient

    from chorus.outbound_address import Allowed

log = logging.getLogger(__name__)

# Vendors close an idle connection after one to five minutes. The pool's own default of 5 s would
# make nearly every turn of a call pay a TLS handshake.
_KEEP_ALIVE_S = 55.0
_SPARE_S = 5.0
_MOST_LISTED = 8_000_000
_SECRET = re.compile(r"(?i)\b(?:(?:sk|pk|rk|gsk|key|xai)[-_]|bearer )[\w*.\-]{4,}")
# They send reasoning apart from the text, never in it.
_SEPARATES = ("api.openai.com", "openai.azure.com", "services.ai.azure.com", "googleapis.com")


class Endpoint:
    """`learnt`: by model, what the endpoint does not take."""

    def __init__(
        self,
        vendor: str,
        base_url: str,
        api_key: str = "",
        *,
        allowed: Allowed | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`base_url` ends where `/chat/completions` begins, but for a query (Azure's
        `?api-version=`); `api_key` may be empty for a local server. `allowed`: which addresses may
        be connected to, for a URL that is not the operator's; no redirect is followed then.
        `headers`: how the key is shown, where that is not as a bearer. Opens nothing yet."""
        self.vendor = vendor
        self._allowed = allowed
        self._headers = headers
        path, _, self._query = base_url.partition("?")
        self.base_url = path.rstrip("/")
        self._api_key = api_key
        self._client: AsyncClient | None = None
        self._spare: asyncio.Task[None] | None = None
        self.learnt: dict[str, Learnt] = {}

    def __repr__(self) -> str:
        return f"Endpoint({self.vendor!r}, {self.base_url!r})"

    @property
    def separates_reasoning(self) -> bool:
        return (urlsplit(self.base_url).hostname or "").endswith(_SEPARATES)

    @property
    def client(self) -> AsyncClient:
        if self._client is None:
            # Imported late: it takes 0.3 s, and a platform without a key never needs it.
            import httpx2

            headers = {"authorization": f"Bearer {self._api_key or 'none'}"}
            if "azure.com" in self.base_url:
                headers["api-key"] = self._api_key
            limits = httpx2.Limits(
                max_connections=1000,
                max_keepalive_connections=100,
                keepalive_expiry=_KEEP_ALIVE_S,
            )
            transport = None
            if self._allowed is not None:
                from chorus.llm.guarded import GuardedTransport

                transport = GuardedTransport(self._allowed, limits)
            self._client = httpx2.AsyncClient(
                headers=headers if self._headers is None else dict(self._headers),
                timeout=None,
                # A key that is no bearer's would go along to wherever a redirect leads.
                follow_redirects=self._allowed is None and self._headers is None,
                limits=limits,
                transport=transport,
                trust_env=self._allowed is None,
            )
        return self._client

    def url(self, path: str) -> str:
        return f"{self.base_url}{path}{'?' if self._query else ''}{self._query}"

    async def warm(self, timeout_ms: int = 3000) -> bool:
        """Open a connection ahead of the first turn, so that it pays no handshake. True if the
        endpoint answered, with whatever status."""
        import httpx2

        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self.client.head(self.url("/models"))
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            log.info("could not warm a connection to %s: %s", self.vendor, type(error).__name__)
            return False
        return True

    def replace_connection(self) -> None:
        """A reply was given up in mid-stream, and its connection with it: open another in the
        background, so that the next reply finds one."""
        if self._client is None or (self._spare is not None and not self._spare.done()):
            return
        self._spare = asyncio.get_running_loop().create_task(self._open_spare())

    async def _open_spare(self) -> None:
        await self.warm(round(_SPARE_S * 1000))

    async def models(self, timeout_ms: int = 5000) -> frozenset[str]:
        """The names of the models that it says it has. Raises `ModelFailed`."""
        import httpx2

        try:
            async with (
                asyncio.timeout(timeout_ms / 1000),
                self.client.stream("GET", self.url("/models")) as response,
            ):
                status = response.status_code
                raw = bytearray()
                async for piece in response.aiter_bytes():
                    raw += piece
                    if len(raw) > _MOST_LISTED:
                        raise ValueError("a list without end")
            if status == 200:
                listed: Any = json.loads(raw)
                return frozenset(str(each["id"]) for each in listed["data"])
            refused = status in (401, 403)
            why = "the API key is refused" if refused else f"HTTP {status}"
        except TimeoutError:
            why = f"no answer within {timeout_ms} ms"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            why = f"no connection ({type(error).__name__})"
        except (ValueError, RecursionError, TypeError, KeyError):
            why = "the answer is no list of models"
        raise ModelFailed(self.vendor, why)

    async def aclose(self) -> None:
        """Close the pool. Replies under way fail."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
            await asyncio.gather(spare, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def without_secrets(self, text: str) -> str:
        return without_secrets(text, self._api_key)


def without_secrets(text: str, api_key: str) -> str:
    """What a vendor says, less the key and whatever else looks like one."""
    if api_key:
        text = text.replace(api_key, "[key]")
    return _SECRET.sub("[key]", text)
