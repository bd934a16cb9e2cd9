"""What may be set of a hosted model, and how it is read from JSON.

The same fields are an agent's `modelOptions` and the operator's `CHORUS_OPENAI_OPTIONS`. The
catalogue's context window is the lowest layer, then what the operator set, then the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chorus.llm.sound import MOST_MS

OWN_FIELDS = frozenset(
    ("model", "models", "messages", "tools", "functions", "stream", "stream_options", "n")
)
"""Fields of the request that no option may set: Chorus writes them, or (`models` of OpenRouter,
`n`) they would have another model answer, or several times, at the operator's expense."""


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """`temperature`, `max_tokens`, `reasoning_effort` None: the vendor's default.
    `first_item_ms`: deadline of the first text or the beginning of a tool call, connecting
    included. `stall_ms`: longest gap after that. `extra_body`: further fields of the request, as
    the vendor documents them. `context_window` in tokens, None: not known; older history is left
    out beyond it. `thinks_in_content`: whether replies begin with reasoning that no tag opens;
    None: found out with the first reply. `hears`: turns are sent as sound; `most_sound_ms`: up to
    that length."""

    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    first_item_ms: int = 5000
    stall_ms: int = 5000
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    context_window: int | None = None
    thinks_in_content: bool | None = None
    hears: bool = False
    most_sound_ms: int = MOST_MS

    def with_json(self, given: Mapping[str, Any]) -> OpenAIOptions:
        """These with the fields of `given`, which are in camel case; null leaves a field as it
        is. Raises `ValueError` with a sentence that names the field."""
        values: dict[str, Any] = {}
        for name, value in given.items():
            reader = _FIELDS.get(name)
            if reader is None:
                raise ValueError(f"{name} is no option; there are {', '.join(_FIELDS)}")
            if value is not None:
                attribute, read = reader
                values[attribute] = read(name, value)
        if "extra_body" in values:
            values["extra_body"] = {**self.extra_body, **values["extra_body"]}
        return replace(self, **values)


def _number(low: float, high: float) -> Any:
    def read(name: str, value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise ValueError(f"{name} must be a number from {low:g} to {high:g}")
        return value

    return read


def _whole(low: int, high: int) -> Any:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}")
        return value

    return read


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 50:
        raise ValueError(f"{name} must be a text of 1 to 50 characters")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")
    return value


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object")
    own = OWN_FIELDS & set(value)  # pyright: ignore[reportUnknownArgumentType]
    if own:
        raise ValueError(f"{name} must not hold {', '.join(sorted(own))}")
    return value  # pyright: ignore[reportUnknownVariableType]


_FIELDS = {
    "temperature": ("temperature", _number(0, 2)),
    "maxTokens": ("max_tokens", _whole(1, 1_000_000)),
    "reasoningEffort": ("reasoning_effort", _word),
    "extraBody": ("extra_body", _object),
    "contextWindow": ("context_window", _whole(256, 100_000_000)),
    "thinksInContent": ("thinks_in_content", _flag),
    "audioInput": ("hears", _flag),
    "audioInputMaxMs": ("most_sound_ms", _whole(500, MOST_MS)),
    "firstTokenTimeoutMs": ("first_item_ms", _whole(500, 60_000)),
}
