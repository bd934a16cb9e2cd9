"""Which keys an organization's calls use: its own, and the operator's of the vendors of which it
has none."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.db import scoped
from chorus.providers.tables import ProviderKey
from chorus.providers.vendors import BY_NAME, VENDORS, Vendor
from chorus.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyInForce:
    """`id` None: the operator's. `label` tells servers of one kind apart; empty where there is but
    one. `base_url` has no slash at its end."""

    vendor: Vendor
    api_key: str = field(repr=False)
    base_url: str
    models: tuple[str, ...] = ()
    id: uuid.UUID | None = None
    label: str = ""

    @property
    def fingerprint(self) -> str:
        """Of the key and its address, for caches in memory."""
        text = f"{self.vendor.name}\n{self.base_url}\n{self.api_key}"
        return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def operators(settings: Settings) -> tuple[KeyInForce, ...]:
    """The operator's, from the environment. The language models of OpenAI's key are in the
    catalogue of everybody already (`CHORUS_OPENAI_MODELS`); the key is here for what it hears,
    says and makes vectors of."""
    found: list[KeyInForce] = []
    for vendor in VENDORS:
        api_key: str | None = getattr(settings, f"{vendor.name}_api_key", None)
        if vendor.name == "azure_speech":
            base_url = settings.azure_speech_base_url
            if api_key and base_url:
                found.append(KeyInForce(vendor, api_key, base_url.rstrip("/")))
        elif vendor.name == "azure_openai":
            base_url, models = settings.azure_openai_base_url, settings.azure_openai_models
            if api_key and base_url and models:
                found.append(KeyInForce(vendor, api_key, base_url.rstrip("/"), models))
        elif vendor.name == "google_speech" and api_key and vendor.base_url:
            base_url = settings.google_speech_base_url or vendor.base_url
            found.append(KeyInForce(vendor, api_key, base_url.rstrip("/")))
        elif api_key and vendor.base_url is not None:
            if vendor.name == "openai" and settings.openai_base_url.rstrip("/") != vendor.base_url:
                continue  # the key is of a server of the operator's own
            found.append(KeyInForce(vendor, api_key, vendor.base_url))
    return tuple(found)


async def of_organization(
    session: AsyncSession, organization_id: uuid.UUID, secrets: Callable[[], Secrets]
) -> tuple[KeyInForce, ...]:
    """Its own. One that cannot be decrypted is left out, and named in the log."""
    query = scoped(ProviderKey, organization_id).order_by(ProviderKey.created_at, ProviderKey.id)
    found: list[KeyInForce] = []
    for row in (await session.scalars(query)).all():
        vendor = BY_NAME.get(row.provider)
        if vendor is None:
            continue
        try:
            api_key = secrets().decrypt(row.secret)
        except SecretsUnreadable as failure:
            log.error("provider key %s is not used: %s", row.id, failure)
            continue
        label = row.id.hex[:8] if vendor.several else ""
        base_url = row.base_url or vendor.base_url or ""
        found.append(KeyInForce(vendor, api_key, base_url, tuple(row.models), row.id, label))
    return tuple(found)


def together(
    own: Iterable[KeyInForce], of_the_operator: Iterable[KeyInForce]
) -> tuple[KeyInForce, ...]:
    """In the order of the list of vendors, an organization's own first."""
    own = tuple(own)
    vendors = {key.vendor.name for key in own}
    rest = (key for key in of_the_operator if key.vendor.name not in vendors)
    place = {vendor.name: place for place, vendor in enumerate(VENDORS)}
    return (
        *sorted(own, key=lambda key: place[key.vendor.name]),
        *sorted(rest, key=lambda key: place[key.vendor.name]),
    )
