"""What a provider's ID token says, once it has been found to be this provider's, for this client,
of this sign-in, and of now (OpenID Connect Core §3.1.3.7). PyJWT checks signatures and times."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any, cast

import jwt

# None that is made with a shared secret, and never "none".
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
LEEWAY_S = 60
"""How far clocks may be apart."""
_MOST_KEYS = 50
_LONGEST_SUBJECT = 255


class IdTokenWrong(Exception):
    """The text goes on from "The identity provider's answer": "has expired"."""


def claims_of(
    token: str, keys: dict[str, Any], *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """Its claims. `keys`: the provider's JWK set. Raises `IdTokenWrong`."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise IdTokenWrong("has no token that can be read") from None
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise IdTokenWrong("is signed in a way that is not taken")
    claims = _checked(token, keys, header, issuer, client_id)
    given = claims["nonce"]
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise IdTokenWrong("belongs to another sign-in")
    # Who the token was made for, where it may be shown to several.
    party = claims.get("azp")
    if party != client_id and (party is not None or len(_audiences(claims)) > 1):
        raise IdTokenWrong("was made for another program")
    if not 0 < len(claims["sub"]) <= _LONGEST_SUBJECT:
        raise IdTokenWrong("names nobody")
    return claims


def _checked(
    token: str, keys: dict[str, Any], header: dict[str, Any], issuer: str, client_id: str
) -> dict[str, Any]:
    for key in _fitting(keys, header):
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=client_id,
                issuer=issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.ExpiredSignatureError:
            raise IdTokenWrong("has expired") from None
        except jwt.ImmatureSignatureError:
            raise IdTokenWrong("is of a time to come: one of the two clocks is wrong") from None
        except jwt.InvalidAudienceError:
            raise IdTokenWrong("was made for another program") from None
        except jwt.InvalidIssuerError:
            raise IdTokenWrong("is another provider's") from None
        except jwt.PyJWTError as wrong:
            raise IdTokenWrong(f"is not as it has to be ({wrong})") from None
    raise IdTokenWrong("is signed by none of the provider's keys")


def _fitting(keys: dict[str, Any], header: dict[str, Any]) -> Iterator[jwt.PyJWK]:
    listed = keys.get("keys")
    found = cast("list[Any]", listed)[:_MOST_KEYS] if isinstance(listed, list) else []
    for each in found:
        if not isinstance(each, dict):
            continue
        key = cast("dict[str, Any]", each)
        if key.get("kty") != _KINDS[header["alg"][:2]] or key.get("use", "sig") != "sig":
            continue
        if key.get("alg", header["alg"]) != header["alg"]:
            continue
        if "kid" in header and key.get("kid") != header["kid"]:
            continue
        try:
            yield jwt.PyJWK.from_dict(key, algorithm=header["alg"])
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # such as a curve that is another algorithm's


def _audiences(claims: dict[str, Any]) -> list[Any]:
    audience = claims["aud"]
    return cast("list[Any]", audience) if isinstance(audience, list) else [audience]
