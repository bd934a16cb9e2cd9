"""What makes vectors of texts: a model on this machine, or a vendor's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chorus.talk.knowledge import Embedded

Vectors = NDArray[np.float32]
Told = Callable[[Embedded], None]


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

    @property
    def paid_by_operator(self) -> bool:
        """A vendor makes them with the operator's key."""
        ...

    async def texts(self, texts: Sequence[str], told: Told | None = None) -> Vectors:
        """What nobody waits for. (texts, dimensions), of length 1. `told` hears of each request
        that a vendor is paid for, also of those that were of no use. Raises `EngineFailed`."""
        ...
