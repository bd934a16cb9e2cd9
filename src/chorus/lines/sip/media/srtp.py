"""Encryption of the stream with the keys of the session description (RFC 3711, RFC 4568), by
libsrtp."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.sdp import Crypto

KEY_BYTES = 30  # master key and salt of AES_CM_128


def available() -> bool:
    try:
        _library()
    except ImportError:
        return False
    return True


class Srtp:
    """Both directions. Raises `Malformed` (488) for a key that is none."""

    def __init__(self, send: Crypto, receive: Crypto) -> None:
        library = _library()
        self._error: type[Exception] = library.Error
        policy = library.Policy
        self._out = library.Session(_policy(policy, send, policy.SSRC_ANY_OUTBOUND))
        self._in = library.Session(_policy(policy, receive, policy.SSRC_ANY_INBOUND))

    def protect(self, packet: bytes) -> bytes:
        return self._out.protect(packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        return self._out.protect_rtcp(packet)

    def unprotect(self, packet: bytes) -> bytes | None:
        """None for what was not made with the key, or comes twice."""
        try:
            return self._in.unprotect(packet)
        except self._error:
            return None

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        try:
            return self._in.unprotect_rtcp(packet)
        except self._error:
            return None


def _library() -> Any:
    import pylibsrtp

    return pylibsrtp


def _policy(policy: Any, crypto: Crypto, ssrc_type: int) -> Any:
    try:
        key = b64decode(crypto.key, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise Malformed("an SRTP key has the wrong length", 488)
    tag = "32" if crypto.suite.endswith("_32") else "80"
    profile = getattr(policy, f"SRTP_PROFILE_AES128_CM_SHA1_{tag}")
    return policy(key=key, ssrc_type=ssrc_type, srtp_profile=profile)
