"""`chorus doctor`, vendors' keys: what the operator's open, each tried by one small request to its
vendor (`providers/trial.py`), and of which vendors organizations brought their own."""

from __future__ import annotations

import asyncio
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.db import Database
from chorus.extras import how_to_install
from chorus.finding import Finding, Findings
from chorus.outbound import Outbound
from chorus.providers import trial
from chorus.providers.in_force import KeyInForce, operators
from chorus.providers.tables import ProviderKey
from chorus.providers.vendors import BY_NAME
from chorus.settings import Settings
from chorus.speech.stt import google

WHAT = "vendors' keys"
_PARTS = {"transcriber": "hears", "model": "thinks", "voice": "speaks"}


async def findings(settings: Settings) -> Findings:
    keys = operators(settings)
    found: Findings = []
    if keys:
        net = Outbound(allow_private=settings.allow_private_addresses)
        await net.open()
        try:
            found += await asyncio.gather(*(_tried(net, key) for key in keys))
        finally:
            await net.aclose()
    own = await _of_organizations(settings)
    found += own
    if not found:
        advice = "organizations bring theirs by /v1/provider-keys, the operator by CHORUS_…_API_KEY"
        found.append(Finding("note", WHAT, "none: only what runs on this machine", advice))
    return found


async def _tried(net: Outbound, key: KeyInForce) -> Finding:
    vendor = key.vendor
    does = ", ".join(_PARTS[part] for part in vendor.parts)
    verdict = await trial.test(net, trial.Tried(vendor, key.api_key, key.base_url, key.models))
    if verdict.ok and vendor.name == "google_speech" and not google.INSTALLED:
        says = f"{vendor.title}: its key is accepted; it speaks, and hears nobody"
        return Finding("note", WHAT, says, f"install grpcio: {how_to_install('google')}")
    if verdict.ok:
        return Finding("ok", WHAT, f"{vendor.title} ({does}): its key is accepted")
    says = f"{vendor.title} ({does}): {verdict.message}"
    return Finding("note", WHAT, says, f"look at {vendor.variable}")


async def _of_organizations(settings: Settings) -> Findings:
    """Named, not tried: trying them is up to whose they are. None where there is no database yet,
    which is another finding."""
    if settings.is_sqlite and not settings.sqlite_path.exists():
        return []
    database = Database(settings)
    try:
        async with asyncio.timeout(10), database.reading() as session:
            query = sa.select(ProviderKey.provider)
            counts = Counter((await session.scalars(query)).all())
    except (SQLAlchemyError, OSError, TimeoutError):
        return []
    finally:
        await database.close()
    names = [
        f"{vendor.title if (vendor := BY_NAME.get(name)) else name} ({count})"
        for name, count in sorted(counts.items())
    ]
    if not names:
        return []
    advice = "POST /v1/provider-keys/{id}/test tries one"
    return [Finding("ok", WHAT, f"organizations have brought: {', '.join(names)}", advice)]
