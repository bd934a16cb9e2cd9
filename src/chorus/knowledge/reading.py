"""Having a document read, in a process that can do nothing else (`reader/`).

One process for each document: it is a fresh interpreter with an empty environment, and what it did
to itself ends with it. The answer is a stranger's as much as the document: it is bounded and
checked.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any, cast

from chorus.knowledge.reader.blocks import MAX_BYTES, MAX_CHARACTERS, MAX_CHUNKS, Unreadable

__all__ = ["MAX_BYTES", "ChunkText", "ReadDocument", "Unreadable", "read"]

TIMEOUT_S = 90.0
_MAX_ANSWER = 4 * MAX_CHARACTERS + 1000 * MAX_CHUNKS
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class ChunkText:
    text: str
    heading: str
    page: int | None


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """`pages` None: the format has none. `title`: the document's own, if it tells one."""

    chunks: tuple[ChunkText, ...]
    pages: int | None
    title: str | None


async def read(content: bytes, format: str, charset: str | None = None) -> ReadDocument:
    """Raises `Unreadable` with a sentence for whoever sent the document."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-I", "-m", "chorus.knowledge.reader.worker", format),
        *((charset,) if charset else ()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"LANG": "C.UTF-8"},
        cwd="/",
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said = await _talk(process, content)
            status = await process.wait()
    except TimeoutError:
        raise Unreadable(f"The document was not read within {TIMEOUT_S:.0f} s: split it") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return await asyncio.to_thread(_checked, said, status)


async def _talk(process: asyncio.subprocess.Process, content: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    said = bytearray()

    async def send(stdin: asyncio.StreamWriter) -> None:
        try:
            for at in range(0, len(content), _PIECE):
                stdin.write(content[at : at + _PIECE])
                await stdin.drain()
            stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended: how, its status says

    sending = asyncio.create_task(send(process.stdin))
    try:
        while piece := await process.stdout.read(_PIECE):
            said += piece
            if len(said) > _MAX_ANSWER:
                raise Unreadable("The document has too much text: split it")
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return bytes(said)


def _checked(said: bytes, status: int) -> ReadDocument:
    if status != 0:
        # By the kernel, for its time or its memory, or by a library that broke.
        raise Unreadable(
            "Reading the document took too much time or memory: split it, or save it in a simpler "
            "form"
        )
    try:
        told: Any = json.loads(said)
        if problem := told.get("problem"):
            raise Unreadable(str(problem)[:500])
        chunks = tuple(
            ChunkText(_text(text), _text(heading), page if isinstance(page, int) else None)
            for text, heading, page in cast("list[tuple[Any, Any, Any]]", told["chunks"])
        )
        pages, title = told["pages"], told["title"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable("The document could not be read") from error
    if len(chunks) > MAX_CHUNKS:
        raise Unreadable("The document has too much text: split it")
    return ReadDocument(
        chunks,
        pages if isinstance(pages, int) else None,
        _text(title)[:255] if isinstance(title, str) else None,
    )


def _text(value: Any) -> str:
    """Without what no database takes: NUL, and halves of surrogate pairs."""
    return str(value).encode("utf-8", "replace").decode().replace("\0", " ")
