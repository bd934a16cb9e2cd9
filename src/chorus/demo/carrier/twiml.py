"""The part of TwiML that a voice agent answers with, as a list of verbs.

`<Connect><Stream>` with `<Parameter>`, `<Reject>`, `<Hangup>`, `<Say>`, `<Pause>`, `<Dial>` with a
number, one `<Number>`, one `<Sip>` or one `<Conference>`. Anything else is an error (Twilio: 12100
or 12200), because an answer that means nothing is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# The document comes from the process under test, and Expat here expands no external entity.
from xml.etree import ElementTree as Xml


class TwimlError(Exception):
    """The document is no TwiML that this carrier understands."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    url: str
    parameters: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Dial:
    """`status_url` is told of the call to `to` when somebody answers, if `answered` is among
    `events`; `action` is asked what comes next. Both are optional."""

    to: str
    timeout_s: float = 30.0
    caller_id: str = ""
    action: str = ""
    status_url: str = ""
    events: frozenset[str] = frozenset({"completed"})


@dataclass(frozen=True, slots=True)
class Conference:
    """`ends`: when this one leaves, it is over for the others too."""

    name: str
    ends: bool = False


Verb = OpenStream | Reject | Hangup | Say | Pause | Dial | Conference


def read_twiml(document: str) -> list[Verb]:
    """Raises `TwimlError` with a sentence."""
    if "<!DOCTYPE" in document:
        raise TwimlError("a document type is not allowed")
    try:
        root = Xml.fromstring(document)  # noqa: S314 - entities need the document type refused above
    except Xml.ParseError as error:
        raise TwimlError(f"12100: not XML: {error}") from None
    if root.tag != "Response":
        raise TwimlError(f"12100: the root is <{root.tag}>, not <Response>")
    return [_verb(element) for element in root]


def _verb(element: Xml.Element) -> Verb:
    match element.tag:
        case "Connect":
            return _stream(element)
        case "Reject":
            reason = element.get("reason", "rejected")
            if reason not in ("busy", "rejected"):
                raise TwimlError(f"12200: <Reject reason={reason!r}>")
            return Reject(reason)
        case "Hangup":
            return Hangup()
        case "Say":
            return Say((element.text or "").strip())
        case "Pause":
            return Pause(float(element.get("length", "1")))
        case "Dial":
            return _dial(element)
        case other:
            raise TwimlError(f"12200: <{other}> is not understood here")


def _dial(element: Xml.Element) -> Dial | Conference:
    conference = element.find("Conference")
    if conference is not None:
        name = (conference.text or "").strip()
        if not name or len(element) != 1:
            raise TwimlError("12200: <Dial> must hold one <Conference>, with a name")
        return Conference(name, conference.get("endConferenceOnExit", "false") == "true")
    callees = element.findall("Sip") + element.findall("Number")
    callee = callees[0] if callees else element
    return Dial(
        to=(callee.text or "").strip(),
        timeout_s=float(element.get("timeout", "30")),
        caller_id=element.get("callerId", ""),
        action=element.get("action", ""),
        status_url=callee.get("statusCallback", ""),
        events=frozenset(callee.get("statusCallbackEvent", "completed").split()),
    )


def _stream(connect: Xml.Element) -> OpenStream:
    stream = connect.find("Stream")
    if stream is None or len(connect) != 1:
        raise TwimlError("12200: <Connect> must hold one <Stream>")
    url = stream.get("url", "")
    if not url.startswith(("wss://", "ws://")) or "?" in url:
        raise TwimlError(f"12200: <Stream url={url!r}>: not a websocket URL without a query")
    parameters: dict[str, str] = {}
    for parameter in stream.findall("Parameter"):
        name, value = parameter.get("name", ""), parameter.get("value", "")
        if not name or len(name) + len(value) > 500:
            raise TwimlError(f"12200: <Parameter name={name!r}> is nameless or over 500 characters")
        parameters[name] = value
    return OpenStream(url, parameters)
