"""The origins of this server's own pages, as browsers name them in the header `Origin`."""

from __future__ import annotations

from urllib.parse import urlsplit

from chorus.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def own_origins(settings: Settings) -> set[str]:
    """The public URL's; without one, also those by which this machine reaches itself."""
    parts = urlsplit(settings.url)
    origins = {f"{parts.scheme}://{parts.netloc}".lower()}
    default = {"https": 443, "http": 80}[parts.scheme]
    if parts.port == default:
        host = parts.netloc.rpartition(":")[0]
        origins.add(f"{parts.scheme}://{host}".lower())
    if settings.public_url is None:
        origins |= {f"http://{host}:{settings.port}" for host in _LOOPBACK}
    return origins
