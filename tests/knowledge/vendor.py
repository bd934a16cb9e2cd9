"""A vendor of vectors, as OpenAI's and Google's APIs are documented."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.fakes.http_peer import Asked, respond

BREAD = "Loaves come out of the oven at four."
VAN = "Our van is for sale."
SMALL = "openai/text-embedding-3-small"
MEANINGS = (("loaves", "oven", "bread"), ("van", "vehicle"))
KEY = "sk-of-a-test-that-is-long-enough"


def vector(text: str) -> list[float]:
    words = text.lower().replace(".", "").replace("?", "").split()
    return [*(3.0 * any(word in words for word in those) for those in MEANINGS), 0.5]


BROKEN = b""


async def broken() -> AsyncIterator[bytes]:
    """The connection is closed within the head of the answer."""
    yield b"HTTP/1.1 200 OK\r\n"


class Vendor:
    """Answers with a vector of three numbers; `answers` are given first."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.refuses: bytes | None = None
        self.tokens = 7
        self.more: list[float] = []
        """Numbers at the end of each vector."""

    def __call__(self, asked: Asked) -> bytes | AsyncIterator[bytes]:
        if self.refuses is not None or self.answers:
            answer = self.refuses if self.refuses is not None else self.answers.pop(0)
            return broken() if answer is BROKEN else answer
        if asked.target.endswith(":batchEmbedContents"):
            texts = [one["content"]["parts"][0]["text"] for one in asked.json["requests"]]
            return respond(200, {"embeddings": [{"values": vector(text)} for text in texts]})
        rows = [
            {"object": "embedding", "index": place, "embedding": vector(text) + self.more}
            for place, text in enumerate(asked.json["input"])
        ]
        # A client that takes them as they come, and not by their index, mixes them up.
        return respond(200, {"data": rows[::-1], "usage": {"prompt_tokens": self.tokens}})
