"""`X-Twilio-Signature`, from its description alone.

https://www.twilio.com/docs/usage/security#validating-requests: the full URL, then every POST
field sorted by name, name and value joined without a separator; HMAC-SHA1 with the auth
token; base64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping


def sign(auth_token: str, url: str, fields: Mapping[str, str]) -> str:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
