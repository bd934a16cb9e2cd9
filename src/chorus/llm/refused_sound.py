"""What an endpoint says of the sound in a request that it refused.

Known answers: llama-server's "audio input is not supported", vLLM's "At most 0 audio(s) may be
provided in one request", OpenRouter's 404 "No endpoints found that support input audio", and
OpenAI's "This model requires that either input content or output modality contain audio" for a
request of its audio models that holds none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from chorus.llm.refused import Learnt

_OF_SOUND = re.compile(r"(?i)audio|modalit|multi-?modal|content[ _](?:type|part|block)|mmproj")
_TOO_SHORT = re.compile(
    r"(?i)too (?:short|small)|at least|minimum|(?:is|was) shorter|less than"
    r"|(?:must|should|has to|needs to) be (?:longer|larger|greater|more)"
)
_TOO_LONG = re.compile(
    r"(?i)too (?:long|large|big)|exceed|at most (?!0)|no (?:more|longer) than|maximum"
    r"|(?:is|was) longer|(?:must|should|has to|needs to) be (?:shorter|smaller|less)"
)
_OF_LENGTH = re.compile(r"(?i)duration|longer|shorter|larger|length")
_SHORT_BYTES = 16_000  # half a second at 16 kHz; where both ends of what is taken are named
_HEADER_BYTES = 44  # of the file that the samples are sent in
_WANTS = re.compile(r"(?i)requires?\b.{0,60}\bcontains? audio|must (?:contain|include) audio")


def learn_of_sound(
    learnt: Learnt, status: int, said: str, body: Mapping[str, Any]
) -> Learnt | None:
    """What to try after a refusal; None: the sound is not to blame. Without the sound the words
    that a transcriber made of it are sent."""
    sent = _sound_bytes(body)
    if not sent:
        wants = status == 400 and not learnt.wants_sound and bool(_WANTS.search(said))
        return replace(learnt, wants_sound=True) if wants else None
    if status == 413:
        return replace(learnt, most_sound=sent - 1)
    if status not in (400, 404, 415, 422) or not _OF_SOUND.search(said):
        return None
    short, long = bool(_TOO_SHORT.search(said)), bool(_TOO_LONG.search(said))
    if short and (not long or sent <= _SHORT_BYTES):
        return replace(learnt, least_sound=sent + 1)
    if short or long or _OF_LENGTH.search(said):
        return replace(learnt, most_sound=sent - 1)
    return replace(learnt, deaf=True)


def _sound_bytes(body: Mapping[str, Any]) -> int:
    """Of the samples in a request, by either protocol."""
    found = 0
    messages: list[Any] = [*body.get("messages", ()), *body.get("contents", ())]
    for message in messages:
        parts: Any = message.get("parts") or message.get("content")
        if not isinstance(parts, list):
            continue
        for part in cast("list[dict[str, Any]]", parts):
            audio: dict[str, str] = part.get("input_audio") or part.get("inlineData") or {}
            if data := audio.get("data"):
                found = len(data) * 3 // 4 - data[-2:].count("=") - _HEADER_BYTES
    return found
