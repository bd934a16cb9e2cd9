"""The TwiML documents that Chorus answers with.

https://www.twilio.com/docs/voice/twiml/connect, /stream, /reject, /dial, /sip
"""

from __future__ import annotations

from typing import Literal
from xml.etree import ElementTree as Xml

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


def dial(to: str) -> str:
    """Connect the person with `to`, an E.164 number or a SIP address; the call ends with that."""
    response = Xml.Element("Response")
    dialled = Xml.SubElement(response, "Dial")
    if to.startswith(("sip:", "sips:")):
        dialled = Xml.SubElement(dialled, "Sip")
    dialled.text = to
    return _document(response)


def _document(response: Xml.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + Xml.tostring(response, encoding="unicode")
