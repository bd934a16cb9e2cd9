"""What the operator decided about SIP, and the certificates that go with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from chorus.lines.sip.media.codecs import usable
from chorus.lines.sip.transport import Listen
from chorus.lines.sip.wire import Transport
from chorus.settings import Settings

ALL_CODECS = ("PCMU", "PCMA", "G722", "OPUS")


@dataclass(frozen=True)
class SipConfig:
    """`public_host` is how the world reaches this machine, where that is another address than its
    own; `codecs` are offered in this order. `rtp_ports` are the first and the last."""

    listens: tuple[Listen, ...]
    public_host: str = ""
    rtp_ports: tuple[int, int] = (20000, 20999)
    codecs: tuple[str, ...] = ALL_CODECS
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> SipConfig:
        return cls(
            tuple(_listen(each) for each in settings.sip_listen),
            settings.sip_public_host or "",
            settings.sip_rtp_ports,
            settings.sip_codecs,
            settings.sip_tls_cert,
            settings.sip_tls_key,
            settings.sip_tls_ca,
        )

    @property
    def usable_codecs(self) -> tuple[str, ...]:
        """Those whose library is installed."""
        return usable(self.codecs)

    def server_tls(self) -> ssl.SSLContext | None:
        """Raises `OSError` (`ssl.SSLError` is one) for files that cannot be used."""
        if self.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.tls_cert, self.tls_key)
        return context

    def client_tls(self) -> ssl.SSLContext:
        """The machine's authorities, and the PBX's own (`tls_ca`)."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        if self.tls_ca is not None:
            context.load_verify_locations(self.tls_ca)
        if self.tls_cert is not None:
            # Some trunks ask for ours too.
            context.load_cert_chain(self.tls_cert, self.tls_key)
        return context


def _listen(text: str) -> Listen:
    """`udp:0.0.0.0:5060`, checked when the settings were read."""
    transport, _, address = text.partition(":")
    host, _, port = address.rpartition(":")
    return Listen(cast(Transport, transport), host.strip("[]"), int(port))
