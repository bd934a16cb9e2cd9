"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Groq, vLLM, Ollama and the like.

A reply: the prompt becomes one streaming request, text is passed on as it comes, tool calls are
put together from their pieces and passed on whole when the vendor says that it has finished, the
token counts come last. Two deadlines watch over it: the first item, and the gap between items.
A refusal is learnt from and a short wait that the vendor asks for is waited out, both within the
first deadline. The protocol is OpenAI's API reference, "Chat Completions: streaming"; deviations
of compatible servers that are known in the field are allowed for where they are read.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast

from chorus.llm.endpoint import Endpoint
from chorus.llm.model import ModelFailed, ModelItem, Prompt, TextDelta
from chorus.llm.openai_parts import Parts, VendorError
from chorus.llm.openai_request import body_of
from chorus.llm.options import OpenAIOptions
from chorus.llm.refused import Learnt, learn
from chorus.llm.refused_sound import learn_of_sound
from chorus.llm.sse import Events
from chorus.llm.window import size_of

if TYPE_CHECKING:
    from httpx2 import Response

__all__ = ["Endpoint", "OpenAIModel", "OpenAIOptions"]

log = logging.getLogger(__name__)

# How long the token counts may take once the reply is complete: its last words wait for them.
_COUNTS_S = 0.3
# Of text and arguments; far beyond what anybody would listen to or a tool would take.
_MOST_CHARS = 200_000
_MOST_ERROR_BYTES = 64_000
_MOST_LESSONS = 6
"""Refusals of one request that are learnt from."""
_LONGEST_WAIT_S = 2.0
"""A vendor that asks for more patience is not waited for: somebody is on the line."""


class _Refused(Exception):
    """The endpoint answered with a status of 400 or more."""

    def __init__(self, status: int, body: object, wait_s: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.wait_s = wait_s


class OpenAIModel:
    """One model of an endpoint. Many calls share it."""

    separates_reasoning = False
    """Whether the protocol itself tells reasoning from text."""

    def __init__(
        self, endpoint: Endpoint, model: str, options: OpenAIOptions | None = None
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.options = options or OpenAIOptions()

    @property
    def name(self) -> str:
        return f"{self.endpoint.vendor}/{self.model}"

    def phrases(self, system: str) -> tuple[str, ...]:
        return ()

    @property
    def longest_sound_ms(self) -> int:
        """See `HearsSound`."""
        takes = self.options.hears and not self._learnt.deaf
        return self.options.most_sound_ms if takes else 0

    @property
    def _learnt(self) -> Learnt:
        known = self.endpoint.learnt.get(self.model)
        if known is None:
            new = "//api.openai.com" in self.endpoint.base_url
            separates = self.separates_reasoning or self.endpoint.separates_reasoning
            known = Learnt(new_max=new, streams=separates or None)
        thinks = self.options.thinks_in_content
        return known if thinks is None else replace(known, streams=not thinks)

    def _learn(self, learnt: Learnt) -> None:
        if learnt != self._learnt:
            log.info("%s: learnt that %s", self.name, learnt)
        self.endpoint.learnt[self.model] = learnt

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        """See `LanguageModel.reply`."""
        import httpx2

        # ValueError: JSON, text or a URL that is none; RecursionError: JSON nested without end.
        failures = (
            *(_Refused, VendorError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError),
            *(TimeoutError, OSError, ValueError, RecursionError),
        )
        _ = self.endpoint.client  # made before the clock runs: the first time takes long
        loop = asyncio.get_running_loop()
        options = self.options
        deadline = loop.time() + options.first_item_ms / 1000
        response: Response | None = None
        chunks: AsyncGenerator[object, None] | None = None
        parts = Parts(
            [tool.name for tool in prompt.tools],
            vendor=self.endpoint.vendor,
            streams=self._learnt.streams,
        )
        events = Events()
        ended = False
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    response = await self._request(prompt, deadline)
            except failures as error:
                raise self._failure(error, parts) from None
            chunks = _translated(_chunks(events, response), self._translation())
            while not ended:
                try:
                    async with asyncio.timeout_at(deadline):
                        chunk = await anext(chunks, None)
                    ended = chunk is None
                    text = "" if chunk is None else parts.take(chunk)
                except failures as error:
                    if parts.finished:
                        break  # only the token counts were still to come
                    raise self._failure(error, parts) from None
                if parts.filtered:
                    raise self._failed("the vendor's content filter withheld the reply")
                if parts.size > _MOST_CHARS:
                    raise self._failed(f"the reply is longer than {_MOST_CHARS:,} characters")
                if parts.finished or events.done:  # `[DONE]` alone is an end too
                    text += parts.end()
                    self._tell_of_thoughts(parts)
                if text:
                    yield TextDelta(text)
                if parts.finished:
                    for call in parts.take_calls():
                        yield call
                if parts.begun:
                    gap_s = _COUNTS_S if parts.finished else options.stall_ms / 1000
                    deadline = loop.time() + gap_s
            if not parts.finished:
                raise self._failed("the stream ended before the reply was finished")
            if parts.usage is not None:
                yield parts.usage
        finally:
            if chunks is not None:
                await chunks.aclose()
            if response is not None:
                await response.aclose()
                if not ended:
                    self.endpoint.replace_connection()

    def _tell_of_thoughts(self, parts: Parts) -> None:
        """Whether the model's replies begin in reasoning, for the next one."""
        learnt = self._learnt
        thoughts = parts.thoughts
        if thoughts.unopened:
            self._learn(replace(learnt, streams=False))
        elif learnt.streams is None and parts.begun and parts.size and not parts.cut_off:
            self._learn(replace(learnt, streams=True))

    async def _request(self, prompt: Prompt, deadline: float) -> Response:
        """Send it, as often as it takes to learn what the endpoint wants; returns a response of
        status 200 whose body is still to be read."""
        loop = asyncio.get_running_loop()
        learnt = self._learnt
        waited = False
        for lesson in range(_MOST_LESSONS + 1):
            body = self._body(prompt, learnt)
            try:
                response = await self._post(body)
            except _Refused as refused:
                if lesson < _MOST_LESSONS:
                    said = _vendor_message(refused.body)
                    better = learn_of_sound(learnt, refused.status, said, body)
                    if better is None and refused.status in (400, 413, 422):
                        better = learn(learnt, said, body, size_of(prompt))
                    if better is not None:
                        learnt = better
                        continue
                wait_s = refused.wait_s
                if refused.status == 429 and wait_s is not None and not waited:
                    waited = True
                    if wait_s <= _LONGEST_WAIT_S and loop.time() + wait_s < deadline:
                        await asyncio.sleep(wait_s)
                        continue
                raise
            if lesson and learnt != self._learnt:
                self._learn(learnt)
            return response
        raise AssertionError("the last try raises or returns")

    async def _post(self, body: dict[str, Any]) -> Response:
        import httpx2

        client = self.endpoint.client

        async def send() -> Response:
            url = self.endpoint.url(self._path)
            request = client.build_request("POST", url, json=body)
            return await client.send(request, stream=True)

        try:
            response = await send()
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            # A pooled connection that the vendor closed just now: nothing has been answered, so
            # asking again, once, on a fresh connection is safe.
            response = await send()
        if response.status_code == 200:
            return response
        try:
            raw = bytearray()
            async for piece in response.aiter_bytes():
                raw += piece
                if len(raw) > _MOST_ERROR_BYTES:
                    break
        finally:
            await response.aclose()
        try:
            said: object = json.loads(raw)
        except (ValueError, RecursionError):
            said = None
        raise _Refused(response.status_code, said, _wait_s(response))

    # A vendor with a protocol of its own: `anthropic.py`, `google.py`.

    @property
    def _path(self) -> str:
        return "/chat/completions"

    def _body(self, prompt: Prompt, learnt: Learnt) -> dict[str, Any]:
        return body_of(
            prompt,
            vendor=self.endpoint.vendor,
            model=self.model,
            options=self.options,
            learnt=learnt,
        )

    def _translation(self) -> Callable[[Any], Sequence[object]] | None:
        """For one reply: what turns an event into chunks of a chat completion."""
        return None

    def _failed(self, detail: str, *, retryable: bool = True) -> ModelFailed:
        safe = self.endpoint.without_secrets(detail)
        return ModelFailed(self.name, safe, retryable=retryable)

    def _failure(self, error: Exception, parts: Parts) -> ModelFailed:
        failure = self._why(error, parts)
        refused = isinstance(error, _Refused)
        failure.kind = str(error.status) if refused else type(error).__name__
        return failure

    def _why(self, error: Exception, parts: Parts) -> ModelFailed:
        """What went wrong, in a sentence without secrets."""
        import httpx2

        if isinstance(error, TimeoutError):
            if parts.begun:
                return self._failed(f"nothing came for {self.options.stall_ms} ms in mid-reply")
            return self._failed(f"no answer within {self.options.first_item_ms} ms")
        if isinstance(error, _Refused):
            return self._refused(error.status, _vendor_message(error.body))
        if isinstance(error, VendorError):
            said = _told(_vendor_message(error.body))
            return self._failed(f"the endpoint reported an error{said}")
        if isinstance(error, httpx2.HTTPError):
            where = "the connection dropped in mid-reply" if parts.begun else "no connection"
            return self._failed(f"{where} ({type(error).__name__})")
        if isinstance(error, (ValueError, RecursionError)):
            return self._failed("the stream held something that is no chat completion")
        return self._failed(f"the request failed ({type(error).__name__})")

    def _refused(self, status: int, message: str) -> ModelFailed:
        said = _told(message)
        if status in (401, 403):
            return self._failed(f"the endpoint refused the API key (HTTP {status})")
        if status == 404:
            return self._failed(f"there is no model {self.model!r} at this endpoint (HTTP 404)")
        if status == 429:
            return self._failed(f"rate limit or quota reached (HTTP 429){said}")
        return self._failed(
            f"the endpoint answered HTTP {status}{said}",
            retryable=status >= 500 or status in (402, 408, 409),
        )


async def _translated(
    events: AsyncGenerator[object, None],
    translation: Callable[[Any], Sequence[object]] | None,
) -> AsyncGenerator[object, None]:
    """Raises `ValueError` for an event that is not as the vendor documents it."""
    async with aclosing(events):
        async for event in events:
            if translation is None:
                yield event
                continue
            try:
                chunks = translation(event)
            except (AttributeError, IndexError, KeyError, TypeError) as error:
                raise ValueError(f"no event of this protocol: {error}") from None
            for chunk in chunks:
                yield chunk


async def _chunks(events: Events, response: Response) -> AsyncGenerator[object, None]:
    """The chunks of a stream; of a server that does not stream, its one answer."""
    if "json" not in response.headers.get("content-type", ""):
        async with aclosing(events.read(response.aiter_bytes())) as found:
            async for each in found:
                yield each
        return
    raw = bytearray()
    async for piece in response.aiter_bytes():
        raw += piece
        if len(raw) > 20 * _MOST_CHARS:
            raise ValueError("an answer without end")
    yield json.loads(raw)


def _wait_s(response: Response) -> float | None:
    """What `Retry-After` asks for (RFC 9110 §10.2.3), or OpenAI's `retry-after-ms`; None: nothing
    that can be read."""
    headers = response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        asked = headers.get("retry-after", "")
        if asked.replace(".", "", 1).isdigit():
            return float(asked)
        if asked and "date" in headers:
            until = parsedate_to_datetime(asked) - parsedate_to_datetime(headers["date"])
            return max(0.0, until.total_seconds())
    except (ValueError, TypeError):
        pass
    return None


def _vendor_message(body: object) -> str:
    """What the vendor says about its error, short; or nothing."""
    found = body
    if isinstance(found, list) and found:  # Gemini
        found = cast("list[object]", found)[0]
    for key in ("error", "message", "detail"):
        if isinstance(found, dict):
            found = cast(dict[str, Any], found).get(key, cast(dict[str, Any], found))
    if isinstance(found, list | dict):  # FastAPI's list of what is wrong, and the like
        found = json.dumps(found, ensure_ascii=False)
        return " ".join(found.split())[:300] if "msg" in found or "loc" in found else ""
    if not isinstance(found, str):
        return ""
    return " ".join(found.split())[:300]


def _told(message: str) -> str:
    return f": {message}" if message else ""
