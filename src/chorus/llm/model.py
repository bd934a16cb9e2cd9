"""The Protocol of a language model, and the messages that pass through it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

from chorus.llm.sound import Sound


@dataclass(frozen=True, slots=True)
class Echo:
    """Fields of a vendor's own, sent back as they came: `call` on the tool call (Gemini's
    signatures in `extra_content`), `message` on the message that holds it (`reasoning_content` of
    DeepSeek and Kimi, `reasoning_details` of OpenRouter). Meant for the vendor that sent them."""

    vendor: str
    call: Mapping[str, Any] = field(default_factory=dict[str, Any])
    message: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is JSON text as the model wrote it, unchecked.
    `echo` is what its vendor wants back with the call when it is shown the history."""

    id: str
    name: str
    arguments: str
    echo: Echo | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history as a model is shown it. `tool_calls` only on an assistant's
    message; `tool_call_id` only on a tool's, whose `content` is the result; `sound` only on a
    user's: its `words`, which `content` holds, as they were spoken."""

    role: Literal["user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    sound: Sound | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function that the model may call; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """`json_schema` asks for a reply that is JSON of that schema; a model that cannot be held to
    it is free to ignore it, so `system` must ask too, and the reply must be checked. `background`
    belongs to the system prompt and `passages` to the user's last message; they are apart from them
    because they hold the text of documents, which a script is not to take for its own, or for the
    caller's words."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    background: str = ""
    passages: str = ""

    @property
    def whole_system(self) -> str:
        """The system prompt with its background."""
        return f"{self.system}\n\n{self.background}".strip() if self.background else self.system

    @property
    def shown(self) -> tuple[Message, ...]:
        """The messages, the user's last one with the passages before it."""
        if not self.passages:
            return self.messages
        messages = list(self.messages)
        for place in reversed(range(len(messages))):
            if messages[place].role == "user":
                content = f"{self.passages}\n{messages[place].content}"
                messages[place] = replace(messages[place], content=content)
                break
        return tuple(messages)


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; the last item of a stream, where the vendor tells. `audio_tokens`:
    how many of `input_tokens` were sound."""

    input_tokens: int
    output_tokens: int
    audio_tokens: int = 0


ModelItem = TextDelta | ToolCall | Usage


class ModelFailed(Exception):
    """The model did not answer. `detail` carries no secrets; `retryable` says whether another
    try, or another vendor, may help; `kind` is what traces tell of it: HTTP's status, or the name
    of an error."""

    def __init__(self, vendor: str, detail: str, *, retryable: bool = True) -> None:
        super().__init__(f"{vendor}: {detail}")
        self.vendor = vendor
        self.detail = detail
        self.retryable = retryable
        self.kind = "_OTHER"


class LanguageModel(Protocol):
    @property
    def name(self) -> str: ...

    def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        """Stream one reply. Text and tool calls may both come; a tool call comes whole. Closing
        the generator stops the vendor's work at once. Raises `ModelFailed`, also when the first
        item does not come within the model's deadline."""
        ...

    def phrases(self, system: str) -> tuple[str, ...]:
        """Utterances that this model expects from the caller under that system prompt; empty for
        models that understand anything."""
        ...


@runtime_checkable
class HearsSound(Protocol):
    """A language model that takes the caller's turn as sound."""

    @property
    def longest_sound_ms(self) -> int:
        """Of one turn; a longer one is shown as text alone, as all are where this is 0."""
        ...


def longest_sound_ms(models: Iterable[LanguageModel]) -> int:
    """How much of a turn the one that takes the most is to be given; 0: none takes sound."""
    hears = (m.longest_sound_ms for m in models if isinstance(m, HearsSound))
    return max(hears, default=0)
