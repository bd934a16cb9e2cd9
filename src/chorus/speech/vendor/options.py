"""What an agent may choose of a vendor beside the language and the voice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HearingOptions:
    """`model`: the vendor's own name; "" is the adapter's default. `keyterms`: words that are
    likely and hard, such as names of products, for vendors that take them."""

    model: str = ""
    keyterms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeakingOptions:
    """`model`: the vendor's own name; "" is the adapter's default."""

    model: str = ""


@dataclass(frozen=True, slots=True)
class HearingModel:
    """A model of a vendor's that hears. `languages`: BCP 47 without region, or empty where the
    vendor names none. `p99_ms`: from the end of speech to the final words, where it is known."""

    id: str
    name: str
    languages: tuple[str, ...] = ()
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SpeakingModel:
    """A model of a vendor's that speaks."""

    id: str
    name: str
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VendorVoice:
    """A voice that a key can use. `id` is for `VoiceStyle.voice`; `languages` are BCP 47; `model`
    is set where the voice works with one model only; `labels`: gender, accent and the like, as
    the vendor words them."""

    id: str
    name: str
    languages: tuple[str, ...] = ()
    model: str = ""
    preview_url: str = ""
    labels: Mapping[str, str] | None = None


def bare(language: str | None) -> str | None:
    """A language without its region, which most vendors refuse: `de` of `de-AT`."""
    return language.replace("_", "-").partition("-")[0].lower() if language else None


def socket_url(base_url: str) -> str:
    """`wss://` of an `https://` address, without a slash at its end."""
    base = base_url.rstrip("/")
    return f"ws{base[4:]}" if base.startswith("http") else base
