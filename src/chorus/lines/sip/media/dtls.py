"""Keys for SRTP from a DTLS handshake in the stream itself (RFC 5763, RFC 5764), by OpenSSL.

Each side has named its certificate's fingerprint in the session description, and only who has
that certificate gets the keys: a handshake with any other fails the call. Datagrams of the
handshake come and go on the port of the sound (RFC 7983 tells them apart); what is lost is sent
again by `tick`.
"""

from __future__ import annotations

import datetime
from base64 import b64encode
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, cast

from chorus.lines.sip.media import srtp
from chorus.lines.sip.sdp import Crypto, Fingerprint

GIVE_UP_S = 20.0
"""A handshake takes three round trips; whoever has not got there by now never will."""
MTU_BYTES = 1200
"""What passes everywhere, through IPv6 and tunnels too."""
_LABEL = b"EXTRACTOR-dtls_srtp"
_KEY_BYTES, _SALT_BYTES = 16, 14
_SUITES = {
    b"SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
    b"SRTP_AES128_CM_SHA1_32": "AES_CM_128_HMAC_SHA1_32",
}
_RECORD_HEAD = 13
_DAY = datetime.timedelta(days=1)


class HandshakeFailed(Exception):
    """No keys came of it, and none will."""


def is_dtls(data: bytes) -> bool:
    """On a port that DTLS and RTP share (RFC 7983 §7)."""
    return bool(data) and 20 <= data[0] <= 63


def available() -> bool:
    """Whether what it takes is installed (the extra `sip`)."""
    return find_spec("OpenSSL") is not None and srtp.available()


class Identity:
    """A key and a certificate of our own, made anew by each process: nobody has to believe it,
    since its fingerprint goes through the signalling. One per process."""

    def __init__(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from OpenSSL import SSL

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chorus")])
        today = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # Clocks may be wrong; processes live long. Nobody reads the dates (RFC 8122 §5).
            .not_valid_before(today - _DAY)
            .not_valid_after(today + 3650 * _DAY)
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = Fingerprint("sha-256", certificate.fingerprint(hashes.SHA256()).hex())
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        # Both sides show a certificate, and the fingerprint decides: `Handshake` compares it.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _shown)
        context.set_tlsext_use_srtp(b":".join(_SUITES))
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.context = context


class Handshake:
    """One association of a call. `active` begins it (the client of DTLS); `peer` is the
    fingerprint that the other side has named; `send` puts one datagram on the wire."""

    def __init__(
        self,
        identity: Identity,
        peer: Fingerprint,
        send: Callable[[bytes], None],
        now_s: float,
        *,
        active: bool,
    ) -> None:
        from OpenSSL import SSL

        self._ssl: Any = SSL
        self._peer = peer
        self._send = send
        self._active = active
        self._began_s = now_s
        self.keys: tuple[Crypto, Crypto] | None = None
        """To send with and to receive with, once it is done."""
        self._connection = SSL.Connection(identity.context, None)
        self._connection.set_ciphertext_mtu(MTU_BYTES)
        if active:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def begin(self) -> None:
        """The first flight, if it is ours. Raises `HandshakeFailed`, as the others do."""
        if self._active:
            self._go_on()

    def received(self, datagram: bytes) -> None:
        self._connection.bio_write(datagram)
        if self.keys is None:
            self._go_on()
            return
        # Their last flight again, because ours was lost: reading it sends ours again. A closing
        # alert means nothing, calls end by SIP.
        try:
            self._connection.recv(MTU_BYTES)
        except self._ssl.Error:
            pass
        self._flush()

    def tick(self, now_s: float) -> None:
        """Send again what was not answered in time."""
        if self.keys is not None:
            return
        if now_s - self._began_s > GIVE_UP_S:
            raise HandshakeFailed("the other side did not finish the DTLS handshake")
        left_s = self._connection.DTLSv1_get_timeout()
        if left_s is not None and left_s <= 0:
            try:
                self._connection.DTLSv1_handle_timeout()
            except self._ssl.Error as failure:
                raise HandshakeFailed(f"DTLS: {_words(failure)}") from None
            self._flush()

    def _go_on(self) -> None:
        try:
            self._connection.do_handshake()
        except self._ssl.WantReadError:
            self._flush()
            return
        except self._ssl.Error as failure:
            self._flush()  # the alert that says why
            raise HandshakeFailed(f"DTLS: {_words(failure)}") from None
        self._check()
        self._flush()
        self.keys = self._export()

    def _check(self) -> None:
        from cryptography.hazmat.primitives import hashes

        kinds = {
            "sha-1": hashes.SHA1, "sha-256": hashes.SHA256,
            "sha-384": hashes.SHA384, "sha-512": hashes.SHA512,
        }  # fmt: skip
        shown = self._connection.get_peer_certificate(as_cryptography=True)
        # SHA-1 only compares what the signalling vouches for; old PBXs name no other.
        if shown is None or shown.fingerprint(kinds[self._peer.kind]()).hex() != self._peer.digest:
            raise HandshakeFailed("DTLS: the certificate is not the one whose fingerprint was told")

    def _export(self) -> tuple[Crypto, Crypto]:
        """RFC 5764 §4.2: both keys, then both salts, the client's first."""
        suite = _SUITES.get(self._connection.get_selected_srtp_profile())
        if suite is None:
            raise HandshakeFailed("DTLS: no SRTP profile that both have")
        size = 2 * (_KEY_BYTES + _SALT_BYTES)
        secret = self._connection.export_keying_material(_LABEL, size, None)
        keys, salts = secret[: 2 * _KEY_BYTES], secret[2 * _KEY_BYTES :]
        client, server = (
            Crypto(1, suite, b64encode(key + salt).decode())
            for key, salt in (
                (keys[:_KEY_BYTES], salts[:_SALT_BYTES]),
                (keys[_KEY_BYTES:], salts[_SALT_BYTES:]),
            )
        )
        return (client, server) if self._active else (server, client)

    def _flush(self) -> None:
        try:
            flight = self._connection.bio_read(1 << 16)
        except self._ssl.WantReadError:
            return
        for datagram in _datagrams(flight):
            self._send(datagram)


def _shown(connection: Any, certificate: Any, error: int, depth: int, good: int) -> bool:
    """OpenSSL asks whether a certificate that nobody vouches for will do."""
    return True


def _datagrams(flight: bytes) -> Iterator[bytes]:
    """OpenSSL's memory keeps no bounds between datagrams; records must not be cut."""
    begin = at = 0
    while at + _RECORD_HEAD <= len(flight):
        end = at + _RECORD_HEAD + int.from_bytes(flight[at + 11 : at + 13], "big")
        if end - begin > MTU_BYTES and at > begin:
            yield flight[begin:at]
            begin = at
        at = end
    if begin < len(flight):
        yield flight[begin:]


def _words(failure: Exception) -> str:
    """OpenSSL raises lists of (library, function, reason)."""
    queue: Any = failure.args[0] if failure.args else ()
    if not isinstance(queue, list):
        return str(queue) or type(failure).__name__
    reasons = [str(each[-1]) for each in cast("list[Any]", queue)]
    return ", ".join(filter(None, reasons)) or type(failure).__name__
