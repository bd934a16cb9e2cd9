"""What an endpoint does not take, learnt from its refusals.

Servers that speak OpenAI's protocol refuse some of its fields, each others. A refusal (HTTP 400 or
422) usually names the field: the request is sent again without it, and once that has been
answered, later ones of the same model leave it out from the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# In the order in which they are left out if the refusal names none; those that the operator asked
# for come last.
_GUESSED = ("response_format", "stream_options", "reasoning_effort")
_NEEDED = frozenset(("model", "messages", "stream", "tools"))
_OTHER_NAMES = {
    "response_format": ("json_schema", "structured output", "guided"),
    "reasoning_effort": ("reasoning effort", "reasoning.effort"),
    "stream_options": ("include_usage", "stream options"),
}
_UNKNOWN = re.compile(
    r"(?i)extra|unknown|unexpected|unrecogni[sz]ed|unsupported|not supported|not permitted"
    r"|not allowed|does not support|invalid (?:field|param)|additional propert"
)
_TOO_LONG = re.compile(
    r"(?i)context[ _](?:length|window|size)|maximum (?:context|prompt|input)|too many tokens"
    r"|prompt is too long|exceeds? the (?:available )?context|num_ctx"
)
_LIMIT = re.compile(
    r"(?i)(?:maximum|max|limit|window|size|up to|only)\D{0,60}?(\d[\d,]{2,})(?: tokens)?"
)


@dataclass(frozen=True, slots=True)
class Learnt:
    """Of one model at one endpoint. `without`: fields not to send. `new_max`: it wants
    `max_completion_tokens`. `no_null`: the content of a message may not be null. `short_ids`:
    tool calls must have ids of nine letters and digits (Mistral). `window`: tokens that fit.
    `streams`: text may be passed on at once; False: replies begin in reasoning that no tag opens;
    None: not known yet. `deaf`: it takes no sound; `least_sound` and `most_sound`: bytes of
    samples that it takes of a turn; `wants_sound`: it takes no request without any."""

    without: frozenset[str] = frozenset()
    new_max: bool = False
    no_null: bool = False
    short_ids: bool = False
    window: int | None = None
    streams: bool | None = None
    deaf: bool = False
    least_sound: int = 0
    most_sound: int | None = None
    wants_sound: bool = False


def learn(learnt: Learnt, said: str, body: Mapping[str, Any], size: int) -> Learnt | None:
    """What to try after a refusal that `said` so; None: nothing would help. `size`: the tokens
    that the request was estimated at."""
    low = said.lower()
    if "max_tokens" in low and "too large" in low and "max_tokens" in body:
        return replace(learnt, without=learnt.without | {"max_tokens"})
    if _TOO_LONG.search(said):
        return _shorter(learnt, said, size)
    if "tool_call_id" in low or "tool call id" in low:
        return None if learnt.short_ids else replace(learnt, short_ids=True)
    if "max_completion_tokens" in low and "max_tokens" in body and not learnt.new_max:
        return replace(learnt, new_max=True)
    for name in body:
        if name in _NEEDED:
            continue
        if any(_names(low, each) for each in (name, *_OTHER_NAMES.get(name, ()))):
            if name == "max_tokens" and not learnt.new_max:
                return replace(learnt, new_max=True)
            return replace(learnt, without=learnt.without | {name})
    null = any(m.get("content", "") is None for m in body.get("messages", ()))
    if null and "content" in low and not learnt.no_null:
        return replace(learnt, no_null=True)
    for name in _GUESSED:
        # A schema is refused in many words; of anything else the sentence says at least that.
        if name in body and (name == "response_format" or _UNKNOWN.search(said)):
            return replace(learnt, without=learnt.without | {name})
    return None


def _names(said: str, name: str) -> bool:
    return bool(re.search(rf"(?<![a-z0-9_]){re.escape(name)}(?![a-z0-9_])", said))


def _shorter(learnt: Learnt, said: str, size: int) -> Learnt | None:
    found = _LIMIT.search(said)
    limit = int(found.group(1).replace(",", "")) if found else 0
    # The estimate may be wrong: what was refused must get smaller in any case.
    window = min(limit or size, learnt.window or size, size) * 3 // 4
    return replace(learnt, window=window) if window >= 256 else None
