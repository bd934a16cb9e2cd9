"""Cutting a document into chunks: by its headings, then by length.

A chunk holds text of one section and one page. It is not longer than `LONGEST` characters, and
paragraphs are joined until they are `ENOUGH`: so long a passage answers a question and can still be
read to a model many at a time. A paragraph that is too long is cut between sentences, and the last
short sentence is repeated, since an answer may stand across the cut. `heading` is the path of
headings that the chunk stands under.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chorus.knowledge.reader.blocks import MAX_CHARACTERS, MAX_CHUNKS, Block, Unreadable

LONGEST = 800
ENOUGH = 500
_REPEATED = 160
_HEADING = 200
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    heading: str = ""
    page: int | None = None


def cut(blocks: Iterable[Block]) -> list[Piece]:
    """Raises `Unreadable` for a document that has too much."""
    pieces: list[Piece] = []
    characters = 0
    for piece in _pieces(blocks):
        characters += len(piece.text)
        if characters > MAX_CHARACTERS or len(pieces) >= MAX_CHUNKS:
            raise Unreadable(
                f"The document has more than {MAX_CHARACTERS} characters or {MAX_CHUNKS} pieces: "
                "split it into several"
            )
        pieces.append(piece)
    return pieces


def _pieces(blocks: Iterable[Block]) -> Iterator[Piece]:
    path: list[tuple[int, str]] = []
    waiting: list[str] = []
    size, page = 0, None

    def taken() -> Iterator[Piece]:
        nonlocal size
        if waiting:
            heading = " › ".join(text for _, text in path)[-_HEADING:]
            yield Piece("\n".join(waiting), heading, page)
        waiting.clear()
        size = 0

    for block in blocks:
        text = block.text.strip()
        if not text:
            continue
        if block.level:
            yield from taken()
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, " ".join(text.split())[:_HEADING]))
            page = block.page
            continue
        if block.page != page:
            yield from taken()
            page = block.page
        for part in _parts(text):
            if size and (size >= ENOUGH or size + len(part) > LONGEST):
                yield from taken()
            waiting.append(part)
            size += len(part)
    yield from taken()


def _parts(text: str) -> Iterator[str]:
    if len(text) <= LONGEST:
        yield text
        return
    part = ""
    for sentence in _SENTENCE.split(text):
        for bit in _cut_hard(sentence):
            if part and len(part) + 1 + len(bit) > LONGEST:
                yield part
                last = _SENTENCE.split(part)[-1]
                part = last if len(last) <= _REPEATED and len(last) + len(bit) < LONGEST else ""
            part = f"{part} {bit}".strip()
    if part:
        yield part


def _cut_hard(sentence: str) -> Iterator[str]:
    """What has no end in sight is cut at a space, or anywhere."""
    while len(sentence) > LONGEST:
        at = sentence.rfind(" ", LONGEST // 2, LONGEST)
        at = LONGEST if at < 0 else at
        yield sentence[:at]
        sentence = sentence[at:].lstrip()
    if sentence:
        yield sentence
