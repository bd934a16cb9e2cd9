"""An OpenID provider on loopback, over real HTTP: it checks what Chorus sends as the specification
has it, and signs real tokens, by joserfc, which Chorus does not use.

    with identity_provider() as provider:
        provider.people["ada@example.com"] = {"name": "Ada"}

`/authorize` shows a browser a form that asks who one is; with `login=` it sends the browser back at
once. What a test makes it say wrongly: `claims` changes a token's, `algorithm` how it is signed,
`error` is sent back instead of a code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "chorus at work"
SECRET = "it's a secret: 100% & +"

Claims = dict[str, Any]


@cache
def key_of(name: str) -> RSAKey:
    """Made once for all tests: it takes a tenth of a second."""
    return RSAKey.generate_key(2048, parameters={"kid": name, "use": "sig"}, private=True)


def _nothing(_: Claims) -> None: ...


@dataclass
class IdentityProvider:
    issuer: str = ""
    people: dict[str, Claims] = field(default_factory=dict[str, Claims])
    claims: Callable[[Claims], None] = _nothing
    algorithm: str = "RS256"
    signs_by: str = "first"
    error: str = ""
    discovery: Claims = field(default_factory=dict[str, Any])
    thin: bool = False
    """Its ID tokens have no address; its userinfo has."""
    asked: list[str] = field(default_factory=list[str])
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    access: dict[str, str] = field(default_factory=dict[str, str])

    def about(self, login: str) -> Claims:
        verified = {"email": login, "email_verified": True}
        return {"sub": f"subject of {login}"} | verified | self.people.get(login, {})

    def document(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        } | self.discovery

    def token(self, code: dict[str, str]) -> str:
        now = int(time.time())
        made: Claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": code["nonce"],
        }
        about = self.about(code["login"])
        made |= {"sub": about["sub"]} if self.thin else about
        self.claims(made)
        return self._signed(made)

    def _signed(self, claims: Claims) -> str:
        header = {"alg": self.algorithm, "kid": "first"}
        if self.algorithm.startswith("RS"):
            return jwt.encode(header, claims, key_of(self.signs_by))
        # No library makes these any more.
        parts = [_base64(json.dumps(each).encode()) for each in (header, claims)]
        signed = ".".join(parts)
        if self.algorithm == "none":
            return f"{signed}."
        public = key_of("first").as_pem(private=False)
        return f"{signed}.{_base64(hmac.digest(public, signed.encode(), 'sha256'))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    provider: IdentityProvider

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        self.provider.asked.append(path)
        match path:
            case "/.well-known/openid-configuration":
                self._json(self.provider.document())
            case "/keys":
                keys = [key_of("first").as_dict(private=False)]
                self._json({"keys": keys})
            case "/userinfo":
                login = self.provider.access.get(self.headers["authorization"] or "")
                self._json(self.provider.about(login) if login else {}, 200 if login else 401)
            case "/authorize":
                self._authorize({name: values[0] for name, values in query.items()})
            case _:
                self._json({}, 404)

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        length = int(self.headers["content-length"])
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
        scheme, _, pair = self.headers["authorization"].partition(" ")
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        if (scheme, unquote(client), unquote(secret)) != ("Basic", CLIENT, SECRET):
            self._json({"error": "invalid_client"}, 401)
            return
        code = self.provider.codes.pop(form["code"], {})
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proved = hmac.compare_digest(_base64(digest), code.get("code_challenge", ""))
        same = form["redirect_uri"] == code.get("redirect_uri")
        if not (proved and same and form["grant_type"] == "authorization_code"):
            self._json({"error": "invalid_grant"}, 400)
            return
        access = secrets.token_urlsafe()
        self.provider.access[f"Bearer {access}"] = code["login"]
        token = {"token_type": "Bearer", "access_token": access}
        self._json(token | {"id_token": self.provider.token(code)})

    def _authorize(self, asked: dict[str, str]) -> None:
        fine = (
            asked["response_type"] == "code"
            and asked["client_id"] == CLIENT
            and asked["code_challenge_method"] == "S256"
            and {"openid", "email"} <= set(asked["scope"].split())
            and min(map(len, (asked["state"], asked["nonce"], asked["code_challenge"]))) > 30
        )
        if not fine:
            self._json({"error": "invalid_request"}, 400)
        elif "login" not in asked:
            self._form(asked)
        else:
            code = secrets.token_urlsafe()
            self.provider.codes[code] = asked
            error = self.provider.error
            sent = {"error": error} if error else {"code": code}
            more = urlencode({**sent, "state": asked["state"], "iss": self.provider.issuer})
            self.send_response(302)
            self.send_header("location", f"{asked['redirect_uri']}?{more}")
            self.end_headers()

    def _form(self, asked: dict[str, str]) -> None:
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">'
            for k, v in asked.items()
        )
        page = (
            f"<!doctype html><title>The provider</title><form>{hidden}"
            '<label>Who are you? <input name="login"></label><button>Go on</button></form>'
        )
        self._answer(page.encode(), "text/html")

    def _json(self, value: Any, status: int = 200) -> None:
        self._answer(json.dumps(value).encode(), "application/json", status)

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def identity_provider(host: str = "127.0.0.1") -> Generator[IdentityProvider]:
    """`localhost` is another site to a browser than 127.0.0.1."""
    provider = IdentityProvider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    provider.issuer = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
