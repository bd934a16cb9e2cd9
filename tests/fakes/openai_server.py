"""A real HTTP server on loopback that speaks OpenAI's chat completions, well or badly.

    async with OpenAIServer() as server:
        server.answer(Answer(say("Sure", ", at two.")))
        server.answer(Answer(status=429, body={"error": {"message": "slow down"}}))
        endpoint = Endpoint("fake", server.url)

Each request takes the next answer. `server.requests` tells what was asked, over which
connection, and whether the client was gone before the answer was whole.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal


def chunk(delta: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    """One `chat.completion.chunk`."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fake-1",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": None, **choice}],
    }


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """The last chunk, which has no choices (`stream_options.include_usage`)."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    counts["total_tokens"] = prompt + completion
    return {**chunk(), "choices": [], "usage": counts}


def say(*tokens: str, finish: str | None = "stop") -> list[Any]:
    """A whole reply in text: the role first, then the tokens, then the reason it ended."""
    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"content": token}) for token in tokens]
    if finish:
        chunks.append(chunk(finish_reason=finish))
    return chunks


def call(index: int, call_id: str, name: str, *arguments: str) -> list[Any]:
    """A tool call: its name first, then its arguments in pieces."""
    function = {"name": name, "arguments": ""}
    first = {"index": index, "id": call_id, "type": "function", "function": function}
    more = [{"index": index, "function": {"arguments": piece}} for piece in arguments]
    return [chunk({"tool_calls": [piece]}) for piece in (first, *more)]


@dataclass
class Answer:
    """`events`: chunks (as JSON), or text sent just as it is. `first_ms` before the headers,
    `event_ms` between events. `stall_after`: say nothing more after so many events; `drop_after`:
    cut the connection there (`cleanly`: as if that were all). `hang_up`: answer nothing at all.
    `status` other than 200: `body`, with `headers`. `done`: whether `[DONE]` ends the stream."""

    events: list[Any] = field(default_factory=list[Any])
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content_type: str = "text/event-stream"
    first_ms: float = 0
    event_ms: float = 0
    stall_after: int | None = None
    drop_after: int | None = None
    cleanly: bool = False
    done: bool = True
    hang_up: bool = False


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    ended: Literal["done", "disconnected", "dropped"] | None = None
    ended_at: float | None = None


class OpenAIServer:
    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._answers: list[Answer] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def answer(self, *answers: Answer) -> None:
        self._answers += answers

    @property
    def replies(self) -> list[Asked]:
        return [r for r in self.requests if r.path.endswith("/chat/completions")]

    def close_connections(self) -> None:
        """As a vendor does with idle ones."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> OpenAIServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._serve(reader, writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request_line, *lines = head.strip().split("\r\n")
            method, path, _ = request_line.split(" ")
            headers = {
                k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)
            }
            raw = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, path, headers, json.loads(raw) if raw else None, connection)
            self.requests.append(asked)
            if method != "POST":
                await self._json(
                    writer, 200, {"object": "list", "data": []}, no_body=method == "HEAD"
                )
                asked.ended = "done"
                continue
            answer = self._answers.pop(0) if self._answers else Answer(say("No answer set."))
            streaming = asyncio.create_task(self._answer(answer, writer, asked))
            gone = asyncio.create_task(reader.read(1))
            try:
                await asyncio.wait({streaming, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not streaming.done():
                    asked.ended = "disconnected"
                    asked.ended_at = asyncio.get_running_loop().time()
                    return
                if not await streaming:
                    return
            finally:
                streaming.cancel()
                gone.cancel()
                await asyncio.gather(streaming, gone, return_exceptions=True)

    async def _answer(self, answer: Answer, writer: asyncio.StreamWriter, asked: Asked) -> bool:
        await asyncio.sleep(answer.first_ms / 1000)
        if answer.hang_up:
            asked.ended = "dropped"
            return False
        if answer.status != 200:
            await self._json(writer, answer.status, answer.body, answer.headers)
            asked.ended = "done"
            return True
        chunked = not answer.cleanly  # without chunks, a body ends where the connection does
        framing = "transfer-encoding: chunked" if chunked else "connection: close"
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {answer.content_type}\r\n{framing}\r\n\r\n".encode()
        )
        events = [e if isinstance(e, str) else f"data: {json.dumps(e)}\n\n" for e in answer.events]
        if answer.done:
            events.append("data: [DONE]\n\n")
        for n, event in enumerate(events):
            if n == answer.stall_after:
                await writer.drain()
                await asyncio.get_running_loop().create_future()
            if n == answer.drop_after:
                await writer.drain()
                asked.ended = "dropped"
                if not answer.cleanly:
                    writer.transport.abort()
                return False
            if n and answer.event_ms:
                await writer.drain()
                await asyncio.sleep(answer.event_ms / 1000)
            data = event.encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        asked.ended = "done"
        return chunked

    @staticmethod
    async def _json(
        writer: asyncio.StreamWriter,
        status: int,
        body: Any,
        headers: dict[str, str] | None = None,
        *,
        no_body: bool = False,
    ) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        writer.write(
            f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n"
            f"content-length: {len(data)}\r\n{more}\r\n".encode()
            + (b"" if no_body else data)
        )
        await writer.drain()
