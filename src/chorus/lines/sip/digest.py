"""Answering a challenge for a user name and password (RFC 7616, RFC 8760, RFC 3261 §22).

`Credentials.answer` makes the Authorization header to a 401 or 407. Of several challenges the
strongest that is known is answered: SHA-256, then MD5, each also as `-sess`; `qop=auth` where it
is offered, the way of RFC 2069 where it is not. A nonce is used on, with a rising count, until
the other side wants a new one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from chorus.lines.sip.grammar import Malformed, Params, parse_params, quote, split
from chorus.lines.sip.message import Request, Response

# MD5 is what nearly every registrar asks for; it protects no password worth keeping.
_HASHES = {"sha-256": hashlib.sha256, "md5": hashlib.md5}
_RANK = ("sha-256", "sha-256-sess", "md5", "md5-sess")
MAX_FIELD = 4096


@dataclass(frozen=True, slots=True)
class Challenge:
    realm: str
    nonce: str
    algorithm: str  # in lower case, one of _RANK
    written: str | None  # as the other side wrote it, to be repeated
    opaque: str | None
    auth: bool  # qop=auth is offered
    stale: bool


def parse_challenge(text: str) -> Challenge | None:
    """None for a scheme, an algorithm or a qop that is not known. Raises `Malformed`."""
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest" or len(text) > MAX_FIELD:
        return None
    params: Params = parse_params(split(rest, ","))
    nonce, realm = params.get("nonce"), params.get("realm")
    if nonce is None or realm is None:
        raise Malformed("a challenge without a realm or a nonce")
    written = params.get("algorithm")
    algorithm = (written or "md5").lower()
    offered = {word.strip().lower() for word in (params.get("qop") or "").split(",") if word}
    if algorithm not in _RANK or (offered and "auth" not in offered):
        return None
    return Challenge(
        realm,
        nonce,
        algorithm,
        written,
        params.get("opaque"),
        auth="auth" in offered,
        stale=(params.get("stale") or "").lower() == "true",
    )


@dataclass
class _Login:
    challenge: Challenge
    proxy: bool
    count: int = 0
    cnonce: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass
class Credentials:
    """A user name and a password, and the challenges that they were asked for with."""

    username: str
    password: str = field(repr=False)
    _logins: dict[str, _Login] = field(default_factory=dict[str, _Login], repr=False)

    def accept(self, response: Response, tried: bool) -> bool:
        """Take the challenge of a 401 or 407. False when there is no use in asking again: nothing
        is known of what it asks for, or (`tried`) it was answered just now and the nonce was not
        simply too old, so that the password is wrong. Raises `Malformed`."""
        proxy = response.status == 407
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        found: list[Challenge] = []
        for line in response.headers.all(name):
            challenge = parse_challenge(line)
            if challenge is not None:
                found.append(challenge)
        if not found:
            return False
        best = min(found, key=lambda challenge: _RANK.index(challenge.algorithm))
        known = self._logins.get(best.realm)
        if tried and known is not None and not best.stale:
            return False
        if len(self._logins) > 8:
            self._logins.clear()  # a peer that invents a realm every time
        self._logins[best.realm] = _Login(best, proxy)
        return True

    def sign(self, request: Request) -> None:
        """Put the answers to all challenges that are known into `request`."""
        for name in ("Authorization", "Proxy-Authorization"):
            request.headers.remove(name)
        for login in self._logins.values():
            name = "Proxy-Authorization" if login.proxy else "Authorization"
            login.count += 1
            request.headers.add(name, self._answer(login, request.method, request.target))

    @property
    def asked(self) -> bool:
        return bool(self._logins)

    def _answer(self, login: _Login, method: str, uri: str) -> str:
        challenge = login.challenge
        fields: dict[str, str] = {
            "username": quote(self.username),
            "realm": quote(challenge.realm),
            "nonce": quote(challenge.nonce),
            "uri": quote(uri),
            "response": "",
        }
        count = f"{login.count:08x}" if challenge.auth else ""
        fields["response"] = quote(
            digest(
                challenge.algorithm,
                self.username,
                challenge.realm,
                self.password,
                method,
                uri,
                challenge.nonce,
                count,
                login.cnonce,
            )
        )
        if challenge.written is not None:
            fields["algorithm"] = challenge.written
        if challenge.opaque is not None:
            fields["opaque"] = quote(challenge.opaque)
        if challenge.auth or challenge.algorithm.endswith("-sess"):
            fields["cnonce"] = quote(login.cnonce)
        if challenge.auth:
            fields["qop"] = "auth"
            fields["nc"] = count
        return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def digest(
    algorithm: str,
    username: str,
    realm: str,
    password: str,
    method: str,
    uri: str,
    nonce: str,
    count: str,
    cnonce: str,
) -> str:
    """RFC 7616 §3.4.1. `count` is the nonce count, eight hexadecimal digits; empty without qop."""

    def hashed(text: str) -> str:
        return _HASHES[algorithm.removesuffix("-sess")](text.encode()).hexdigest()

    secret = hashed(f"{username}:{realm}:{password}")
    if algorithm.endswith("-sess"):
        secret = hashed(f"{secret}:{nonce}:{cnonce}")
    what = hashed(f"{method}:{uri}")
    if count:
        return hashed(f"{secret}:{nonce}:{count}:{cnonce}:auth:{what}")
    return hashed(f"{secret}:{nonce}:{what}")


def check(header: Mapping[str, str | None], password: str, method: str) -> bool:
    """Whether the fields of an Authorization header prove `password`: for stand-ins of a registrar
    in tests and in the demonstration."""
    algorithm = (header.get("algorithm") or "md5").lower()
    if algorithm not in _RANK:
        return False
    expected = digest(
        algorithm,
        header.get("username") or "",
        header.get("realm") or "",
        password,
        method,
        header.get("uri") or "",
        header.get("nonce") or "",
        header.get("nc") or "",
        header.get("cnonce") or "",
    )
    return secrets.compare_digest(expected, header.get("response") or "")
