"""The TwiML documents that Chorus answers with.

https://www.twilio.com/docs/voice/twiml/connect, /stream, /reject, /dial, /number, /sip, /conference
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as Xml

from chorus.lines.line import is_address
from chorus.lines.sip.headers import headers_for

MEDIA_TYPE = "application/xml"


def connect_stream(media_url: str) -> str:
    """Open a two-way stream to `media_url` (wss), the path of which says whose it is.

    Nothing follows `<Connect>`, so the carrier hangs up when the stream is closed.
    """
    response = Xml.Element("Response")
    Xml.SubElement(Xml.SubElement(response, "Connect"), "Stream", url=media_url)
    return _document(response)


def reject(how: Literal["busy", "rejected"]) -> str:
    """Do not answer, and do not pay."""
    response = Xml.Element("Response")
    Xml.SubElement(response, "Reject", reason=how)
    return _document(response)


def dial(to: str, caller_id: str, ring_timeout_s: int, answered_url: str, dialled_url: str) -> str:
    """Connect the person with `to`, an E.164 number or a SIP address, which sees `caller_id` and
    may ring for so long. `answered_url` is told when somebody answers; `dialled_url` when that is
    over, or nobody did: it is asked what to do then."""
    response = Xml.Element("Response")
    dialled = Xml.SubElement(
        response,
        "Dial",
        callerId=caller_id,
        timeout=str(ring_timeout_s),
        answerOnBridge="true",
        action=dialled_url,
        method="POST",
    )
    callee = Xml.SubElement(
        dialled,
        "Sip" if is_address(to) else "Number",
        statusCallback=answered_url,
        statusCallbackEvent="answered",
        statusCallbackMethod="POST",
    )
    callee.text = to
    return _document(response)


CONFERENCE_S = 4 * 3600
"""How long two people may talk in a conference: what Twilio has as its own limit of a `<Dial>`."""


def conference(room: str) -> str:
    """Put the person into a conference of two, without beeps and music, that ends for both when
    one leaves. `room` names it within the account. Nothing follows, so that is the call's end."""
    response = Xml.Element("Response")
    dialled = Xml.SubElement(response, "Dial", timeLimit=str(CONFERENCE_S))
    Xml.SubElement(
        dialled,
        "Conference",
        beep="false",
        startConferenceOnEnter="true",
        endConferenceOnExit="true",
        waitUrl="",
        maxParticipants="2",
    ).text = room
    return _document(response)


def hang_up() -> str:
    response = Xml.Element("Response")
    Xml.SubElement(response, "Hangup")
    return _document(response)


def callee(to: str, headers: Iterable[tuple[str, str]] = ()) -> str:
    """As Twilio is told whom to call: an address carries the headers, which are X-… and
    User-to-User. A number has none."""
    written = headers_for({}, headers) if is_address(to) else ()
    return f"{to}?{urlencode(written, quote_via=quote)}" if written else to


def _document(response: Xml.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + Xml.tostring(response, encoding="unicode")
