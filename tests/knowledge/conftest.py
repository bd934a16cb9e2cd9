"""Reading in this process, where it is not reading that is tested: a process takes its time."""

from __future__ import annotations

import pytest

from chorus.knowledge import reading
from chorus.knowledge.reader.worker import answer
from chorus.knowledge.reading import ChunkText, ReadDocument, Unreadable


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(content: bytes, format: str, charset: str | None = None) -> ReadDocument:
        told = answer(content, format, charset)
        if "problem" in told:
            raise Unreadable(told["problem"])
        chunks = tuple(ChunkText(*chunk) for chunk in told["chunks"])
        return ReadDocument(chunks, told["pages"], told["title"])

    monkeypatch.setattr(reading, "read", read)
