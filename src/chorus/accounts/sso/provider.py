"""An identity provider over HTTP: its discovery document, its tokens, its keys (OpenID Connect).

All of it goes through the guarded client, over TLS and without redirects; what comes back is
material. Endpoints are those that the document names at the beginning of a sign-in, and stay so to
its end.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from chorus.accounts.sso import id_token
from chorus.outbound import Headers, Outbound, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.outbound_body import json_object
from chorus.settings import Settings
from chorus.wire import is_plain_http, web_url

TIMEOUT_MS = 10_000
_MOST_BYTES = 262_144
_SHOWN = 200


class ProviderFailed(Exception):
    """The provider did not answer, or not as it has to. The text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Provider:
    """`posts_secret`: it wants the client's secret in the form, not as a header. `names_itself`: it
    adds `iss` to what it sends back (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    posts_secret: bool
    names_itself: bool


@dataclass(frozen=True, slots=True)
class Tokens:
    id_token: str
    access_token: str | None


async def discover(net: Outbound, settings: Settings, issuer: str) -> Provider:
    """Raises `ProviderFailed`."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    told = _object(await _ask(net, settings, "GET", url), "its discovery document")
    if told.get("issuer") != issuer:
        named = str(told.get("issuer"))[:_SHOWN]
        raise ProviderFailed(
            f"the provider calls itself {named!r}: the issuer must be exactly this"
        )
    algorithms: Any = told.get("id_token_signing_alg_values_supported")
    if isinstance(algorithms, list) and not any(each in algorithms for each in id_token.ALGORITHMS):
        raise ProviderFailed("the provider signs by none of " + ", ".join(id_token.ALGORITHMS))
    methods: Any = told.get("token_endpoint_auth_methods_supported")
    if not isinstance(methods, list):
        methods = ["client_secret_basic"]  # what holds where nothing is told
    if "client_secret_basic" not in methods and "client_secret_post" not in methods:
        raise ProviderFailed("the provider takes no client secret at its token endpoint")
    userinfo = "userinfo_endpoint"
    return Provider(
        issuer=issuer,
        authorization_endpoint=_endpoint(told, "authorization_endpoint", settings),
        token_endpoint=_endpoint(told, "token_endpoint", settings),
        jwks_uri=_endpoint(told, "jwks_uri", settings),
        userinfo_endpoint=_endpoint(told, userinfo, settings) if told.get(userinfo) else None,
        posts_secret="client_secret_basic" not in methods,
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
    )


def authorization_url(provider: Provider, **parameters: str) -> str:
    """Where the browser is sent."""
    start = provider.authorization_endpoint
    joint = "&" if urlsplit(start).query else "?"
    return f"{start}{joint}{urlencode(parameters)}"


async def exchange(
    net: Outbound,
    settings: Settings,
    provider: Provider,
    *,
    client_id: str,
    client_secret: str,
    code: str,
    verifier: str,
    redirect_uri: str,
) -> Tokens:
    """The tokens for a code. Raises `ProviderFailed`."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    if provider.posts_secret:
        form |= {"client_id": client_id, "client_secret": client_secret}
    else:
        # Each encoded as in a form before they are joined (RFC 6749 §2.3.1).
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    answer = await _ask(
        net, settings, "POST", provider.token_endpoint, headers, urlencode(form).encode()
    )
    if answer.status != 200:
        said = json_object(answer.body).get("error")
        why = f"{answer.status}" if said is None else f"{answer.status}, {str(said)[:_SHOWN]!r}"
        hint = ": the client's id or secret is wrong" if said == "invalid_client" else ""
        raise ProviderFailed(f"the provider did not take the code ({why}){hint}")
    told = _object(answer, "its tokens")
    token, access = told.get("id_token"), told.get("access_token")
    if not isinstance(token, str):
        raise ProviderFailed("the provider sent no ID token")
    return Tokens(token, access if isinstance(access, str) else None)


async def keys(net: Outbound, settings: Settings, provider: Provider) -> dict[str, Any]:
    """What it signs by, as a JWK set. Raises `ProviderFailed`."""
    return _object(await _ask(net, settings, "GET", provider.jwks_uri), "its keys")


async def userinfo(
    net: Outbound, settings: Settings, provider: Provider, access_token: str
) -> dict[str, Any]:
    """What it says of somebody beside the ID token. Raises `ProviderFailed`."""
    assert provider.userinfo_endpoint is not None
    headers = [("Authorization", f"Bearer {access_token}")]
    answer = await _ask(net, settings, "GET", provider.userinfo_endpoint, headers)
    return _object(answer, "who came")


async def _ask(
    net: Outbound,
    settings: Settings,
    method: str,
    url: str,
    headers: Headers = (),
    content: bytes | None = None,
) -> OutboundAnswer:
    try:
        return await net.send(
            method,
            url,
            headers=[("Accept", "application/json"), *headers],
            content=content,
            timeout_ms=TIMEOUT_MS,
            max_bytes=_MOST_BYTES,
            max_redirects=0,
            https_only=not settings.allow_private_addresses,
        )
    except (OutboundRefused, OutboundFailed) as failure:
        raise ProviderFailed(str(failure)) from None


def _object(answer: OutboundAnswer, what: str) -> dict[str, Any]:
    found = json_object(answer.body) if answer.status == 200 else {}
    if not found:
        host = urlsplit(answer.url).hostname
        raise ProviderFailed(f"{host} did not tell {what}: it answered {answer.status}")
    return found


def _endpoint(told: dict[str, Any], name: str, settings: Settings) -> str:
    """One of the document's. The browser follows one of them, so it must be an address of the
    web."""
    url = told.get(name)
    try:
        if not isinstance(url, str):
            raise ValueError("is missing")
        web_url(url)
        if is_plain_http(url) and not settings.allow_private_addresses:
            raise ValueError("must begin with https://")
    except ValueError as wrong:
        raise ProviderFailed(f"in the provider's discovery document {name} {wrong}") from None
    return url
