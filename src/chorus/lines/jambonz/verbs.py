"""The applications that Chorus answers with: lists of jambonz verbs, run in order.

https://docs.jambonz.org/verbs/verbs/listen, /dial, /conference, /sip-decline, /hangup
"""

from __future__ import annotations

from typing import Any

from chorus.lines.line import is_address

Verbs = list[dict[str, Any]]


def listen(media_url: str, done_url: str, rate_hz: int) -> Verbs:
    """Answer, and stream both ways to `media_url`, the path of which says whose it is. When the
    socket is closed `done_url` is told, and the call ends."""
    return [
        {
            "verb": "listen",
            "url": media_url,
            "actionHook": done_url,
            "mixType": "mono",
            "sampleRate": rate_hz,
            "passDtmf": True,
            "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": rate_hz},
        },
        {"verb": "hangup"},
    ]


def decline(how: str) -> Verbs:
    """Do not answer: the caller hears "busy", or that the call was declined."""
    if how == "busy":
        return [{"verb": "sip:decline", "status": 486, "reason": "Busy Here"}]
    return [{"verb": "sip:decline", "status": 603, "reason": "Decline"}]


def dial(to: str, caller_id: str, ring_timeout_s: int, dialled_url: str) -> Verbs:
    """Connect the person with `to`, an E.164 number or a SIP address. `dialled_url` is told when
    that is over, or nobody answered, and asked what to do then; where it says nothing the call
    ends."""
    return [
        {
            "verb": "dial",
            "callerId": caller_id,
            "answerOnBridge": True,
            "timeout": ring_timeout_s,
            "actionHook": dialled_url,
            "target": [target(to)],
        },
        {"verb": "hangup"},
    ]


def conference(room: str) -> Verbs:
    """Put the person into a conference of two, without beeps, that ends for both when one leaves.
    `room` names it within the account."""
    return [
        {
            "verb": "conference",
            "name": room,
            "beep": False,
            "startConferenceOnEnter": True,
            "endConferenceOnExit": True,
            "maxParticipants": 2,
        },
        {"verb": "hangup"},
    ]


def target(to: str) -> dict[str, Any]:
    """Whom to call, for `dial` and for the API."""
    if is_address(to):
        return {"type": "sip", "sipUri": to}
    return {"type": "phone", "number": to}
