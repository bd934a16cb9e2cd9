"""Testing a key for vectors: one question of each embedding model that knowledge bases name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.knowledge.embedding.hosted import VENDORS, HostedEmbedder
from chorus.knowledge.tables import KnowledgeBase
from chorus.outbound import Outbound, OutboundRefused
from chorus.providers.in_force import KeyInForce
from chorus.providers.schemas import Problem
from chorus.providers.trial import Verdict
from chorus.speech.engines import EngineFailed, FailureKind

MOST = 3
"""Models that are asked: each may take three seconds."""

_PROBLEMS: dict[FailureKind, Problem] = {
    "key": "bad_key",
    "credit": "no_quota",
    "busy": "rate_limited",
    "full": "rate_limited",
    "late": "timeout",
    "gone": "unreachable",
}


async def named(session: AsyncSession, organization_id: uuid.UUID, vendor: str) -> list[str]:
    """The vendor's embedding models that the organization names in bases, at most `MOST`."""
    if vendor not in VENDORS:
        return []
    start = f"{vendor}/"
    found = await session.scalars(
        sa.select(KnowledgeBase.embedding_model)
        .where(
            KnowledgeBase.organization_id == organization_id,
            KnowledgeBase.embedding_model.startswith(start, autoescape=True),
        )
        .distinct()
        .order_by(KnowledgeBase.embedding_model)
        .limit(MOST)
    )
    return [model.removeprefix(start) for model in found if model is not None]


async def test(
    outbound: Outbound, key: KeyInForce, models: Sequence[str], before: Verdict | None
) -> Verdict:
    """The first that fails, or that all answer; `before` is what the key's other use was found to
    be, which is good. Never raises for what the vendor does."""
    began_s = time.monotonic()

    def verdict(problem: Problem | None, message: str) -> Verdict:
        elapsed_ms = round((time.monotonic() - began_s) * 1000)
        return Verdict(problem, message, elapsed_ms + (before.elapsed_ms if before else 0))

    title = key.vendor.title
    for model in models:
        try:
            await HostedEmbedder(key, model, outbound).question("opening hours")
        except EngineFailed as failure:
            if isinstance(failure.__cause__, OutboundRefused):
                return verdict("refused", f"The request was not sent: {failure.detail}.")
            missing = failure.kind == "request" and "model" in failure.detail.lower()
            problem = "no_model" if missing else _PROBLEMS.get(failure.kind, "vendor_error")
            told = f"{title} makes no vectors by {model}, which a knowledge base needs"
            return verdict(problem, f"{told}: {failure.detail}")
    names = ", ".join(models)
    if before is None:
        return verdict(None, f"{title} takes the key, for vectors by {names}.")
    return verdict(None, f"{before.message} It makes vectors by {names}, too.")
