"""What a SIP status means for a call's record, and the words that go with it."""

from __future__ import annotations

from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip.grammar import Malformed, parse_params, split
from chorus.lines.sip.message import REASONS, Message

# RFC 3261 §21, RFC 8197 (607), RFC 8688 (608).
_BUSY = frozenset({486, 600})
_NO_ANSWER = frozenset({408, 480, 487})
_REJECTED = frozenset({403, 603, 607, 608})


def ended_by(status: int, detail: str = "", reason: str = "") -> LineEnded:
    """`SIP 486 Busy Here`, with what else is known (`detail`)."""
    if status in _BUSY:
        cause = LineCause.BUSY
    elif status in _NO_ANSWER:
        cause = LineCause.NO_ANSWER
    elif status in _REJECTED:
        cause = LineCause.REJECTED
    else:
        cause = LineCause.FAILED
    words = reason or REASONS.get(status, "")
    text = f"SIP {status} {words}".strip()
    return LineEnded(cause, printable(f"{text}: {detail}" if detail else text))


def reason_of(message: Message) -> str:
    """What a Reason header says (RFC 3326): `Q.850 cause 16 Normal call clearing`; empty without
    one, or with one that cannot be read."""
    for line in message.headers.all("Reason"):
        try:
            protocol, *rest = split(split(line, ",")[0], ";")
            params = parse_params(rest)
        except Malformed:
            continue
        cause, text = params.get("cause"), params.get("text")
        parts = [protocol, f"cause {cause}" if cause else "", text or ""]
        return printable(" ".join(part for part in parts if part))
    return ""


def printable(text: str) -> str:
    """Fit for a record and a log: other people's words, without what moves a cursor."""
    return "".join(char if char.isprintable() else " " for char in text)[:300]
