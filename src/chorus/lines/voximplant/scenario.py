"""The scenario that runs at Voximplant, ready to be copied: `scenario.js` with this server's
addresses in it. It holds no secret; that one is in Voximplant's own storage."""

from __future__ import annotations

import json
from pathlib import Path

VERSION = 3
"""Raised whenever the scenario changes in what it tells or obeys."""

_FILE = Path(__file__).with_name("scenario.js")
_URL, _MEDIA = '"https://chorus.example.com"', '"wss://chorus.example.com"'


def scenario(public_url: str, media_base: str) -> str:
    text = _FILE.read_text("utf-8")
    assert f"const VERSION = {VERSION};" in text
    return text.replace(_URL, json.dumps(public_url)).replace(_MEDIA, json.dumps(media_base))
