"""How a webhook is signed: the Standard Webhooks headers, and one header of Chorus's own.

Both are HMAC-SHA256 with the same key over the time of the try and the bytes of the body. During
a rotation there are two secrets and so two signatures side by side: a receiver that knows either
secret accepts. Format of the first: Standard Webhooks specification 1.0.0,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets as random
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(random.token_bytes(_KEY_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The HMAC key: after `whsec_`, the bytes that the rest is the base64 of; of any other text,
    and where the rest is no base64, the text itself in UTF-8."""
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret[len(PREFIX) :], validate=True)
        except binascii.Error:
            key = b""
        if key:
            return key
    return secret.encode()


def signed(
    webhook_id: str, body: str, secrets: Sequence[str], unix_s: int
) -> list[tuple[str, str]]:
    """The headers that prove who sent `body`, and when. `secrets`: the newest first, at least
    one."""
    at = datetime.fromtimestamp(unix_s, UTC)
    keys = [key_of(secret) for secret in secrets]
    standard = " ".join(Webhook(key).sign(webhook_id, at, body) for key in keys)
    message = f"{unix_s}.{body}".encode()
    own = ",".join(f"v1={hmac.new(key, message, 'sha256').hexdigest()}" for key in keys)
    return [
        ("webhook-id", webhook_id),
        ("webhook-timestamp", str(unix_s)),
        ("webhook-signature", standard),
        ("X-Chorus-Signature", f"t={unix_s},{own}"),
    ]
