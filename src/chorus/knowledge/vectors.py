"""The vectors of a base in memory, and which of them are nearest to a question's.

Of each vector two things are kept: its signs, one bit for each dimension, and the vector itself in
16-bit floats. All are compared by their signs first (an exclusive or and a count of bits), and the
`_CLOSER` best of them exactly. So 200,000 chunks are 165 MB and some milliseconds; a base of up to
`_CLOSER` chunks is compared exactly throughout.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

_CLOSER = 500
_WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class Block:
    """The vectors of one document, as they are stored; `revision` is the base's with which
    they came."""

    revision: int
    ids: NDArray[np.int64]
    rows: NDArray[np.float16]

    @classmethod
    def of(cls, revision: int, ids: bytes, vectors: bytes) -> Block:
        numbers = np.frombuffer(ids, "<i8").astype(np.int64, copy=False)
        rows = np.frombuffer(vectors, "<f2").reshape(len(numbers), -1)
        return cls(revision, numbers, rows.astype(np.float16, copy=False))


def packed(ids: Iterable[int], vectors: Vector) -> tuple[bytes, bytes]:
    """As they are stored."""
    return np.array(list(ids), "<i8").tobytes(), vectors.astype("<f2").tobytes()


@dataclass(frozen=True, slots=True)
class BaseVectors:
    """One base at `revision`. `blocks` by the id of the document."""

    revision: int
    blocks: Mapping[uuid.UUID, Block]
    ids: NDArray[np.int64]
    rows: NDArray[np.float16]
    signs: NDArray[np.uint64]
    """One row for each 64 dimensions, one column for each chunk."""

    @classmethod
    def of(cls, revision: int, blocks: Mapping[uuid.UUID, Block]) -> BaseVectors:
        """Takes milliseconds for each 10,000 chunks: for a thread."""
        widths: Counter[int] = Counter()
        for block in blocks.values():
            widths[block.rows.shape[1]] += len(block.ids)
        # A server may have changed what it answers with under the same name. What is left out is
        # looked for again with the next load, when its width may have become the usual one.
        usual = widths.most_common(1)[0][0] if widths else 0
        blocks = {id: block for id, block in blocks.items() if block.rows.shape[1] == usual}
        found = list(blocks.values())
        if not found:
            nothing = np.zeros((0, _WORD_BITS), np.float16)
            return cls(revision, blocks, np.zeros(0, np.int64), nothing, _signs(nothing))
        ids = np.concatenate([block.ids for block in found])
        rows = np.concatenate([block.rows for block in found])
        # The blocks are views of the one copy from now on.
        kept: dict[uuid.UUID, Block] = {}
        at = 0
        for id, block in blocks.items():
            end = at + len(block.ids)
            kept[id] = Block(block.revision, ids[at:end], rows[at:end])
            at = end
        return cls(revision, kept, ids, rows, _signs(rows))

    @property
    def size_bytes(self) -> int:
        return self.ids.nbytes + self.rows.nbytes + self.signs.nbytes

    def nearest(self, question: Vector, count: int) -> list[tuple[int, float]]:
        """Ids and cosines, the nearest first. For a thread."""
        if not len(self.ids) or self.rows.shape[1] != len(question):
            return []
        chosen = self._close(question)
        rows = self.rows if chosen is None else self.rows[chosen]
        # Not by BLAS, which would wake a thread on each core for so little.
        cosines = np.einsum("ij,j->i", rows.astype(np.float32), question)
        best = np.argsort(-cosines)[:count]
        ids = self.ids if chosen is None else self.ids[chosen]
        return [(int(ids[place]), float(cosines[place])) for place in best]

    def _close(self, question: Vector) -> NDArray[np.intp] | None:
        """The places of those with the most signs in common; None for all."""
        if len(self.ids) <= _CLOSER:
            return None
        signs = _signs(question[np.newaxis, :])
        differ = np.zeros(len(self.ids), np.uint16)
        for mine, wanted in zip(self.signs, signs, strict=True):
            differ += np.bitwise_count(mine ^ wanted[0])
        return np.argpartition(differ, _CLOSER)[:_CLOSER]


def _signs(rows: NDArray[np.floating]) -> NDArray[np.uint64]:
    bits = np.packbits(rows > 0, axis=1)
    padding = -bits.shape[1] % 8
    if padding:
        bits = np.pad(bits, ((0, 0), (0, padding)))
    return np.ascontiguousarray(np.ascontiguousarray(bits).view(np.uint64).T)
