"""What a document is made of before it is cut: blocks of text in their order."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 25 * 1024 * 1024
MAX_PAGES = 2000
MAX_CHARACTERS = 4_000_000
MAX_CHUNKS = 10_000
MAX_ROWS = 50_000


class Unreadable(Exception):
    """Why a document cannot be read, and what to do: a sentence for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a row, a list entry; or with a `level` from 1 to 6 a heading."""

    text: str
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """`pages` None: the format has none. `title`: the document's own, if it tells one."""

    blocks: list[Block]
    pages: int | None = None
    title: str | None = None
