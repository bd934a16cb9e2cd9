"""Which embedder a base has: the model on this machine unless it names another.

A name without a slash is a model of the manifest, whose files must be in the folder of models; one
with a slash is a vendor's, for which a key must be in force.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.knowledge.embedding.embedder import Embedder
from chorus.knowledge.embedding.hosted import STAGE, VENDORS, HostedEmbedder
from chorus.knowledge.embedding.minilm import MiniLM, installed
from chorus.outbound import Outbound
from chorus.providers.in_force import KeyInForce
from chorus.speech.engines import EngineFailed
from chorus.speech.threads import ModelThreads
from chorus.speech.weights.manifest import EMBEDDER, MANIFEST


class Keys(Protocol):
    def __call__(
        self, organization_id: uuid.UUID, session: AsyncSession | None = None
    ) -> Awaitable[tuple[KeyInForce, ...]]:
        """Those in force for an organization, read in a session of its own unless there is one."""
        ...


LOCAL = tuple(weights.name for weights in MANIFEST if weights.kind == "embedder")
_LOOK_AGAIN_S = 10.0
_MOST_HOSTED = 64


class Embedders:
    """One a process. `threads`: those that models run on."""

    def __init__(
        self,
        models: Path,
        threads: Callable[[], ModelThreads],
        net: Outbound,
        keys: Keys | None,
    ) -> None:
        self._models = models
        self._threads = threads
        self._net = net
        self._keys = keys
        self._local: dict[str, MiniLM] = {}
        self._looked_s: dict[str, float] = {}
        self._hosted: dict[tuple[str, str], HostedEmbedder] = {}

    def local(self, name: str = EMBEDDER) -> MiniLM | None:
        """None as long as its files are not in the folder of models; looked for now and then."""
        now = time.monotonic()
        if name not in self._local and now - self._looked_s.get(name, -1e9) >= _LOOK_AGAIN_S:
            self._looked_s[name] = now
            found = installed(self._models, self._threads(), name)
            if found is not None:
                self._local[name] = found
        return self._local.get(name)

    async def of(
        self,
        organization_id: uuid.UUID,
        model: str | None,
        session: AsyncSession | None = None,
    ) -> Embedder | None:
        """None: nothing is found by its meaning. Whoever holds a session hands it on: to wait for a
        second one while many hold their first is to wait for ever. Raises `EngineFailed` where the
        base names a model that is not to be had."""
        if model is None:
            return self.local()
        vendor, slash, name = model.partition("/")
        if not slash:
            found = self.local(model) if model in LOCAL else None
            if found is None:
                raise EngineFailed(model, STAGE, f"it is not installed: chorus models pull {model}")
            return found
        keys = await self._keys(organization_id, session) if self._keys is not None else ()
        mine = [key for key in keys if key.vendor.name == vendor and vendor in VENDORS]
        if not mine:
            raise EngineFailed(model, STAGE, "there is no key of this vendor", "key")
        # Of several servers, the one that says that it has the model.
        key = next((key for key in mine if name in key.models), mine[0])
        # The same key may be the operator's for one and another organization's own.
        of_what = f"{key.fingerprint} {key.id or ''}", name
        known = self._hosted.pop(of_what, None) or HostedEmbedder(key, name, self._net)
        self._hosted[of_what] = known
        while len(self._hosted) > _MOST_HOSTED:
            self._hosted.pop(next(iter(self._hosted)))
        return known
