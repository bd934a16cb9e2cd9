"""Against requests that another site makes a browser send (CSRF).

A cookie goes along whoever made the page, so a change that is authenticated by one must come from
this server's own pages: its Origin is this server's, and it has the header `X-Chorus-Request`,
which no other site can add without asking first, and is refused then. Requests with an API key
are not looked at: no browser adds a key by itself.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from chorus import errors
from chorus.origins import own_origins
from chorus.settings import Settings

HEADER = "X-Chorus-Request"


def require(headers: Headers, settings: Settings) -> None:
    """For a change by cookie. Raises `Error` 403."""
    if not headers.get(HEADER):
        raise _refused(f"A change that is authenticated by a cookie needs the header {HEADER}: 1")
    _check_origin(headers.get("origin"), settings)


def require_if_from_a_page(headers: Headers, settings: Settings) -> None:
    """For logging in, which a program without pages may do as well. Raises `Error` 403."""
    if "origin" in headers:
        _check_origin(headers["origin"], settings)


def _check_origin(origin: str | None, settings: Settings) -> None:
    ours = own_origins(settings)
    if origin is None:
        raise _refused("A change that is authenticated by a cookie needs an Origin header")
    if origin.lower() not in ours:
        raise _refused(
            f"This request comes from a page of another address. The dashboard is at "
            f"{settings.url}; CHORUS_PUBLIC_URL decides that"
        )


def _refused(sentence: str) -> errors.Error:
    return errors.Error(403, "cross_site_request", sentence)
