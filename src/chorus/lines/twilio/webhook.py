"""Reading a webhook: a small form, signed by the account that it speaks for.

1. `read_form`: only `application/x-www-form-urlencoded`, bounded in bytes, fields and time;
2. `signed`: `X-Twilio-Signature`, or that of a relative, over the public URL and every field.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from twilio.request_validator import RequestValidator

from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.webhook_body import read_body

MAX_FIELDS = 200
# SignalWire computes its own in the same way.
SIGNATURES = ("X-Twilio-Signature", "X-SignalWire-Signature")

Form = ImmutableMultiDict[str, str]


async def read_form(request: Request) -> Form:
    """Raises `HTTPException` 400, 408, 413 or 415."""
    body = await read_body(request, "application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            max_num_fields=MAX_FIELDS,
            errors="strict",
        )
    except ValueError:
        # Also UnicodeDecodeError; the number of fields is told as a ValueError too.
        raise HTTPException(400, "the webhook's body is not a form") from None
    return ImmutableMultiDict(pairs)


def signed(request: Request, url: str, form: Form, account: TwilioAccount) -> bool:
    """Whether the account's holder sent exactly this to exactly `url` (the public one; the
    query that came with the request is appended)."""
    signature = signature_of(request.headers)
    if not signature:
        return False
    query = request.url.query
    full_url = f"{url}?{query}" if query else url
    validator: Any = RequestValidator(account.signs_with)
    return validator.validate(full_url, form, signature) is True


def signature_of(headers: Headers) -> str | None:
    return next((headers[name] for name in SIGNATURES if name in headers), None)


def number(form: Form, name: str) -> int | None:
    """A field that holds a small whole number; None if it is missing or is none."""
    text = form.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
