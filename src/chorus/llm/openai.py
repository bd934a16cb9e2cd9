"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Groq, vLLM, Ollama and the like.

A reply: the prompt becomes one streaming request, text is passed on as it comes, tool calls are
put together from their pieces and passed on whole when the vendor says that it has finished, the
token counts come last. Two deadlines watch over it: the first item, and the gap between items.
The protocol is OpenAI's API reference, "Chat Completions: streaming"; deviations of compatible
servers that are known in the field are allowed for where they are read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from chorus.llm.model import Message, ModelFailed, ModelItem, Prompt, TextDelta
from chorus.llm.openai_parts import Parts

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

log = logging.getLogger(__name__)

# Vendors close an idle connection after one to five minutes. The pool's own default of 5 s would
# make nearly every turn of a call pay a TLS handshake.
_KEEP_ALIVE_S = 55.0
# How long the token counts may take once the reply is complete: its last words wait for them.
_COUNTS_S = 0.3
# Of text and arguments; far beyond what anybody would listen to or a tool would take.
_MOST_CHARS = 200_000
_SECRET = re.compile(r"(?i)\b(?:(?:sk|pk|rk|gsk|key|xai)[-_]|bearer )[\w*.\-]{4,}")


class Endpoint:
    """One vendor's address and key, with one pool of connections for all models and calls."""

    def __init__(self, vendor: str, base_url: str, api_key: str = "") -> None:
        """`base_url` ends where `/chat/completions` begins; `api_key` may be empty for a local
        server. Opens nothing yet."""
        self.vendor = vendor
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._client: AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.vendor!r}, {self.base_url!r})"

    @property
    def client(self) -> AsyncOpenAI:
        if self._client is None:
            # Imported late: it takes 0.4 s, and a platform without a key never needs it.
            import httpx2
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient

            limits = httpx2.Limits(
                max_connections=1000, max_keepalive_connections=100, keepalive_expiry=_KEEP_ALIVE_S
            )
            self._client = AsyncOpenAI(
                base_url=self.base_url,
                api_key=self._api_key or "none",
                max_retries=0,
                timeout=None,  # the deadlines of `reply` are the only ones
                http_client=DefaultAsyncHttpxClient(limits=limits, timeout=None),
            )
            # Taken from the environment unasked; other vendors must not be sent them.
            self._client.organization = None
            self._client.project = None
        return self._client

    async def warm(self, timeout_ms: int = 3000) -> bool:
        """Open a connection ahead of the first turn, so that it pays no handshake. True if the
        endpoint answered, with whatever status."""
        import openai

        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self.client.get("/models", cast_to=object)
        except openai.APIStatusError:
            return True
        except (TimeoutError, openai.OpenAIError, ValueError) as error:
            log.info("could not warm a connection to %s: %s", self.vendor, type(error).__name__)
            return False
        return True

    async def models(self, timeout_ms: int = 5000) -> frozenset[str]:
        """The names of the models that it says it has. Raises `ModelFailed`."""
        import openai

        try:
            async with asyncio.timeout(timeout_ms / 1000):
                listed: Any = await self.client.get("/models", cast_to=object)
            return frozenset(str(each["id"]) for each in listed["data"])
        except TimeoutError:
            why = f"no answer within {timeout_ms} ms"
        except openai.APIStatusError as error:
            refused = error.status_code in (401, 403)
            why = "the API key is refused" if refused else f"HTTP {error.status_code}"
        except openai.OpenAIError as error:
            why = f"no connection ({type(error.__cause__ or error).__name__})"
        except (ValueError, RecursionError, TypeError, KeyError):
            why = "the answer is no list of models"
        raise ModelFailed(self.vendor, why)

    async def aclose(self) -> None:
        """Close the pool. Replies under way fail."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def without_secrets(self, text: str) -> str:
        if self._api_key:
            text = text.replace(self._api_key, "[key]")
        return _SECRET.sub("[key]", text)


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """`temperature`, `max_tokens` None: the vendor's default. `first_item_ms`: deadline of the
    first text or the beginning of a tool call, connecting included. `stall_ms`: longest gap
    after that. `extra_body`: further fields of the request, as the vendor documents them."""

    temperature: float | None = None
    max_tokens: int | None = None
    first_item_ms: int = 5000
    stall_ms: int = 5000
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])


class OpenAIModel:
    """One model of an endpoint. Many calls share it."""

    def __init__(
        self, endpoint: Endpoint, model: str, options: OpenAIOptions | None = None
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.options = options or OpenAIOptions()
        self._takes_schemas = True

    @property
    def name(self) -> str:
        return f"{self.endpoint.vendor}/{self.model}"

    def phrases(self, system: str) -> tuple[str, ...]:
        return ()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        """See `LanguageModel.reply`."""
        import httpx2
        import openai

        # ValueError: JSON, text or a URL that is none; RecursionError: JSON nested without end.
        failures = (
            *(openai.OpenAIError, httpx2.HTTPError, TimeoutError, OSError),
            *(ValueError, RecursionError),
        )
        client = self.endpoint.client  # made before the clock runs: the first time takes long
        loop = asyncio.get_running_loop()
        options = self.options
        deadline = loop.time() + options.first_item_ms / 1000
        stream: AsyncStream[object] | None = None
        parts = Parts()
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    stream = await self._request(client, prompt)
            except failures as error:
                raise self._failure(error, parts) from None
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        chunk = await anext(stream, None)
                    if chunk is None:
                        break
                    text = parts.take(chunk)
                except failures as error:
                    if parts.finished:
                        break  # only the token counts were still to come
                    raise self._failure(error, parts) from None
                if parts.filtered:
                    raise self._failed("the vendor's content filter withheld the reply")
                if parts.size > _MOST_CHARS:
                    raise self._failed(f"the reply is longer than {_MOST_CHARS:,} characters")
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
            if stream is not None:
                await stream.close()

    async def _request(self, client: AsyncOpenAI, prompt: Prompt) -> AsyncStream[object]:
        import httpx2
        import openai

        async def send(*, schema: bool) -> AsyncStream[object]:
            return await client.post(
                "/chat/completions",
                body=self._body(prompt, schema=schema),
                cast_to=object,
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )

        schema = prompt.json_schema is not None and self._takes_schemas
        try:
            return await send(schema=schema)
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            if not schema:
                raise
            # Not every server knows response_format. If that was it, it is not tried again.
            stream = await send(schema=False)
            self._takes_schemas = False
            return stream
        except openai.APIConnectionError as error:
            # A pooled connection that the vendor closed just now: nothing has been answered, so
            # asking again, once, on a fresh connection is safe.
            cause = error.__cause__
            if isinstance(cause, (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)):
                return await send(schema=schema)
            raise

    def _body(self, prompt: Prompt, *, schema: bool = False) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                *(_message(message) for message in prompt.messages),
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if prompt.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in prompt.tools
            ]
        if schema:
            form = {"name": "answer", "schema": prompt.json_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if self.options.temperature is not None:
            body["temperature"] = self.options.temperature
        if self.options.max_tokens is not None:
            # OpenAI's newer models refuse the old name; other vendors know only that one.
            new = "//api.openai.com" in self.endpoint.base_url
            body["max_completion_tokens" if new else "max_tokens"] = self.options.max_tokens
        return body | dict(self.options.extra_body)

    def _failed(self, detail: str, *, retryable: bool = True) -> ModelFailed:
        safe = self.endpoint.without_secrets(detail)
        return ModelFailed(self.name, safe, retryable=retryable)

    def _failure(self, error: Exception, parts: Parts) -> ModelFailed:
        """What went wrong, in a sentence without secrets."""
        import openai

        if isinstance(error, TimeoutError):
            if parts.begun:
                return self._failed(f"nothing came for {self.options.stall_ms} ms in mid-reply")
            return self._failed(f"no answer within {self.options.first_item_ms} ms")
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            said = _vendor_message(error.body)
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
        if isinstance(error, openai.APIConnectionError):
            cause = type(error.__cause__ or error).__name__
            where = "the connection dropped in mid-reply" if parts.begun else "no connection"
            return self._failed(f"{where} ({cause})")
        if isinstance(error, openai.APIError):
            return self._failed(f"the endpoint reported an error{_vendor_message(error.body)}")
        if isinstance(error, (ValueError, RecursionError)):
            return self._failed("the stream held something that is no chat completion")
        return self._failed(f"the request failed ({type(error).__name__})")


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": message.content,
        }
    if message.role == "user" or not message.tool_calls:
        return {"role": message.role, "content": message.content}
    return {
        "role": "assistant",
        "content": message.content or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _json_object(call.arguments)},
            }
            for call in message.tool_calls
        ],
    }


def _json_object(arguments: str) -> str:
    """Servers refuse a history in which a model once wrote broken JSON; its tool result says so."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _vendor_message(body: object) -> str:
    """What the vendor says about its error, short, with a leading colon; or nothing."""
    found = body
    for key in ("error", "message"):
        if isinstance(found, dict):
            found = cast(dict[str, Any], found).get(key, cast(dict[str, Any], found))
    if not isinstance(found, str) or not found.strip():
        return ""
    return ": " + " ".join(found.split())[:300]
