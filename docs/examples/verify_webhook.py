"""Check that a webhook comes from your Chorus. Needs nothing but Python 3.9.

    payload = verify(SECRET, request.headers, request.body)

`body` must be the bytes as they arrived: JSON that was parsed and written again is other bytes.
Either check alone is enough; `verify` reads the Standard Webhooks headers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

TOLERANCE_S = 300


class NotFromChorus(Exception):
    pass


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> Any:
    """The payload. `headers`: names in any case. Raises `NotFromChorus`."""
    given = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, timestamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split(" ")
    except KeyError as missing:
        raise NotFromChorus(f"the header {missing} is missing") from None
    _check_age(timestamp)
    message = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key_of(secret), message, hashlib.sha256).digest()
    _check_any(f"v1,{base64.b64encode(digest).decode()}", signatures)
    return json.loads(body)


def verify_chorus_header(secret: str, headers: Mapping[str, str], body: bytes) -> Any:
    """The same by `X-Chorus-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]`."""
    given = {name.lower(): value for name, value in headers.items()}
    parts = [part.partition("=") for part in given.get("x-chorus-signature", "").split(",")]
    timestamp = next((value for name, _, value in parts if name == "t"), "")
    _check_age(timestamp)
    message = f"{timestamp}.".encode() + body
    expected = hmac.new(key_of(secret), message, hashlib.sha256).hexdigest()
    _check_any(expected, [value for name, _, value in parts if name == "v1"])
    return json.loads(body)


def key_of(secret: str) -> bytes:
    """After `whsec_` comes base64; any other secret is its own UTF-8 bytes."""
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret[len("whsec_") :], validate=True)
        except binascii.Error:
            key = b""
        if key:
            return key
    return secret.encode()


def _check_age(timestamp: str) -> None:
    """An old message may be one that somebody recorded and sends again."""
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        raise NotFromChorus("the timestamp is missing, too old or too new")


def _check_any(expected: str, signatures: list[str]) -> None:
    """After a secret was replaced there are two signatures for a day; one must fit."""
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in signatures):
        raise NotFromChorus("no signature fits")
