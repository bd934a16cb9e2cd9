"""What Telnyx signs: `<seconds>|<body>` with Ed25519, in `telnyx-signature-ed25519` (base64) and
`telnyx-timestamp`. The account's public key is 32 bytes in base64.

https://developers.telnyx.com/docs/development/api-fundamentals/webhooks
"""

from __future__ import annotations

import time
from base64 import b64decode
from binascii import Error

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.datastructures import Headers

SIGNATURE, TIMESTAMP = "telnyx-signature-ed25519", "telnyx-timestamp"
TOLERANCE_S = 300
"""What the two clocks may differ by, and how long an intercepted request could be sent again."""


def public_key(text: str) -> Ed25519PublicKey | None:
    """None for what is no key."""
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True))
    except (Error, ValueError):
        return None


def signed(headers: Headers, body: bytes, key: str, now_s: float | None = None) -> bool:
    """Whether the account with this public key sent exactly this body, just now."""
    signature, stamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
    if len(signature) > 256 or not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 15:
        return False
    now_s = time.time() if now_s is None else now_s
    known = public_key(key)
    if known is None or abs(now_s - int(stamp)) > TOLERANCE_S:
        return False
    try:
        known.verify(b64decode(signature, validate=True), stamp.encode() + b"|" + body)
    except (Error, ValueError, InvalidSignature):
        return False
    return True
