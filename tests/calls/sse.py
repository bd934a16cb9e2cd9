"""A reader of server-sent events that knows nothing of the server's code."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from tests.soak.rig import Rig


@dataclass(frozen=True)
class Sse:
    kind: str
    id: int | None
    data: Any


def parse(block: str) -> Sse | None:
    """None for a comment or `retry`. https://html.spec.whatwg.org/#event-stream-interpretation"""
    fields: dict[str, str] = {}
    for line in block.splitlines():
        name, _, value = line.partition(":")
        if name:
            assert name in ("id", "event", "data", "retry"), line
            assert name not in fields, block
            fields[name] = value.removeprefix(" ")
    if "data" not in fields:
        return None
    id = fields.get("id")
    return Sse(fields["event"], int(id) if id else None, json.loads(fields["data"]))


async def follow(rig: Rig, call_id: str, last: int | None = None) -> AsyncGenerator[Sse, None]:
    headers = {"accept": "text/event-stream"}
    if last is not None:
        headers["last-event-id"] = str(last)
    path = f"/v1/calls/{call_id}/events"
    async with rig.http() as http, http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        block = ""
        async for line in answer.aiter_lines():
            if line:
                block += line + "\n"
                continue
            event = parse(block)
            block = ""
            if event is not None:
                yield event
