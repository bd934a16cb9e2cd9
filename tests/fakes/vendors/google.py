"""A service account, and what Google's stand-ins ask of its tokens."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

EMAIL = "chorus@acme-calls.iam.gserviceaccount.com"
KEY_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def key_file() -> str:
    """As the console gives it, line breaks and all."""
    pem = _private_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    told = {
        "type": "service_account",
        "project_id": "acme-calls",
        "private_key_id": KEY_ID,
        "private_key": pem.decode(),
        "client_email": EMAIL,
        "client_id": "1234567890",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(told, indent=2) + "\n"


def private_lines() -> list[str]:
    """What may be seen nowhere."""
    return json.loads(key_file())["private_key"].splitlines()[1:-1]


def is_signed(authorization: str) -> bool:
    """Whether a header holds a token of the service account's own (AIP-4111), in force now."""
    kind, _, token = authorization.partition(" ")
    if kind != "Bearer":
        return False
    try:
        claims: dict[str, Any] = jwt.decode(token, _private_key().public_key(), ["RS256"])
    except jwt.InvalidTokenError:
        return False
    return (
        jwt.get_unverified_header(token)["kid"] == KEY_ID
        and claims["iss"] == claims["sub"] == EMAIL
        and claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        and claims["exp"] - claims["iat"] <= 3600
    )


def refusal(code: int, status: str, message: str) -> dict[str, Any]:
    """Google's error, as its JSON has it."""
    return {"error": {"code": code, "message": message, "status": status}}
