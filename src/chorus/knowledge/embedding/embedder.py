"""What makes vectors of texts: a model on this machine, or a vendor's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chorus.talk.knowledge import Embedded

Vectors = NDArray[np.float32]
Told = Callable[[Embedded], None]


@dataclass(frozen=True, slots=True)
class Made:
    """`vectors`: (texts, dimensions), of length 1. `tokens`: what a vendor counted."""

    vectors: Vectors
    tokens: int = 0


class Embedder(Protocol):
    @property
    def name(self) -> str:
        """Vectors are compared with those of the same name only."""
        ...

    @property
    def floor(self) -> float:
        """Below this cosine nothing has to do with a question."""
        ...

    async def question(self, text: str, told: Told | None = None) -> Vectors:
        """What somebody waits for. (dimensions,). `told` hears what a vendor is paid for. Raises
        `EngineFailed`."""
        ...

    async def texts(self, texts: Sequence[str]) -> Made:
        """What nobody waits for. Raises `EngineFailed`."""
        ...
