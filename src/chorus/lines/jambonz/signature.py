"""What jambonz signs: `Jambonz-Signature: t=<seconds>,v1=<hex>`, the HMAC-SHA256 of
`<seconds>.<body>` with the account's webhook secret.

https://docs.jambonz.org/docs/webhooks/securing-webhooks
"""

from __future__ import annotations

import hmac
import time

HEADER = "Jambonz-Signature"
TOLERANCE_S = 300
"""What the two clocks may differ by, and how long an intercepted request could be sent again."""


def signed(header: str | None, body: bytes, secret: str, now_s: float | None = None) -> bool:
    """Whether the holder of `secret` sent exactly this body, just now."""
    if not header or not secret or len(header) > 1024:
        return False
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    if len(stamps) != 1 or not stamps[0].isdecimal() or len(stamps[0]) > 15:
        return False
    now_s = time.time() if now_s is None else now_s
    if abs(now_s - int(stamps[0])) > TOLERANCE_S:
        return False
    right = signature(body, secret, stamps[0])
    return any(
        name == "v1" and value.isascii() and hmac.compare_digest(value, right)
        for name, _, value in pairs
    )


def signature(body: bytes, secret: str, stamp: str) -> str:
    return hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()
