"""The history of a conversation: what was heard, and what was not.

The caller's turns and the agent's replies in order. A reply enters the history when it is
committed and is settled when its sound has ended, with the words that the caller really heard;
the rest is kept beside it as `unsaid`, for people to see, and never shown to the model. Tool
calls belong to the reply that made them and always carry a result.

`messages()` is what a model is shown; `transcript()` is what the record shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chorus.llm.model import Message, ToolCall
from chorus.llm.sound import Sound
from chorus.talk.knowledge import Source
from chorus.talk.tools.acting import ToolRun

UNHEARD_MS = 200
"""A reply of which less than this was heard counts as not heard at all."""
CONTEXT_CHARS = 300
"""Of the agent's last words, for an end-of-turn model."""

PENDING = '{"pending": true, "note": "The tool has not answered yet."}'
"""Of a tool with effects that still runs when the caller took the turn."""
NEVER_RUN = '{"cancelled": true, "note": "The caller spoke before the tool was begun."}'


@dataclass(slots=True)
class ToolRound:
    """What the model said and asked for in one request, and what came of it: `actions` by the id
    of the call. `cut`: the reply was not heard to its end."""

    text: str
    calls: tuple[ToolCall, ...]
    actions: dict[str, ToolRun] = field(default_factory=dict[str, ToolRun])
    cut: bool = False

    def result(self, call: ToolCall) -> str:
        """As the model is shown it; there is always one."""
        action = self.actions.get(call.id)
        if action is None:
            return NEVER_RUN
        if action.result is None:
            return PENDING
        return (self.cut and action.result.if_cut) or action.result.content


@dataclass(slots=True)
class CallerTurn:
    turn: int
    text: str


@dataclass(slots=True)
class AgentReply:
    """`turn` None: the agent spoke on its own account. `heard` None while it still sounds.
    `filler` was said for `filler_ms` before the answer was there; no model is shown it."""

    turn: int | None
    rounds: list[ToolRound] = field(default_factory=list[ToolRound])
    heard: str | None = None
    unsaid: str = ""
    interrupted: bool = False
    estimated: bool = False
    sources: tuple[Source, ...] = ()
    filler: str = ""
    filler_ms: float = 0.0

    @property
    def shown(self) -> str:
        """As the transcript has it."""
        filler = f"[filler: {self.filler}]" if self.filler else ""
        return f"{filler} {self.heard or ''}".strip()

    def as_data(self) -> dict[str, Any]:
        """For the timeline; JSON-ready."""
        data: dict[str, Any] = {"turn": self.turn, "heard": self.heard}
        if self.filler:
            data["filler"] = self.filler
        if self.interrupted:
            data |= {"interrupted": True, "unsaid": self.unsaid, "estimated": self.estimated}
        return data


@dataclass(slots=True)
class Note:
    """Something that the operator tells the model in mid-call; no part of the transcript."""

    text: str


@dataclass(slots=True)
class PersonTurn:
    """Said to the caller by the person whom they were handed to. No model is shown it: none has the
    caller again."""

    text: str


@dataclass(slots=True)
class Unanswered:
    """What the caller had begun to say when the call ended: `finals`, of which more may come, or
    what was `known` by then."""

    turn: int
    finals: list[str]
    known: str
    digits: str

    @property
    def text(self) -> str:
        """Late words replace what was only guessed at."""
        late = len(self.finals) > 1
        words = " ".join(final for final in self.finals if final) if late else self.known
        return with_keys(words, self.digits)


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One line of the transcript: of the caller, the agent, or the person whom the caller was
    handed to. `sources`: passages that the model was shown for it."""

    role: Literal["user", "assistant", "person"]
    content: str
    sources: tuple[Source, ...] = ()


_Entry = CallerTurn | AgentReply | PersonTurn | Note


class Dialogue:
    """`version` changes with every change, so that a draft can tell whether it is stale."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self.version = 0

    @property
    def turn_count(self) -> int:
        """Turns of the caller, those that were joined counted once."""
        return sum(line.role == "user" for line in self.transcript())

    @property
    def last_heard(self) -> str:
        """What the caller heard the agent say last; its end, where it is long."""
        replies = (e for e in reversed(self._entries) if isinstance(e, AgentReply) and e.heard)
        reply = next(replies, None)
        return (reply.heard or "")[-CONTEXT_CHARS:] if reply else ""

    def caller_said(self, turn: int, text: str) -> None:
        self._changed()
        self._entries.append(CallerTurn(turn, text))

    def person_said(self, text: str) -> None:
        self._changed()
        self._entries.append(PersonTurn(text))

    def note(self, text: str) -> None:
        self._changed()
        self._entries.append(Note(text))

    def reply_began(self, reply: AgentReply) -> None:
        self._changed()
        self._entries.append(reply)

    def reply_settled(
        self, reply: AgentReply, heard: str, unsaid: str, heard_ms: float, *, estimated: bool
    ) -> None:
        """The reply's sound has ended. Cut off before `UNHEARD_MS`, it was never said: the
        caller's turns around it join."""
        self._changed()
        reply.interrupted = bool(unsaid)
        reply.estimated = estimated and reply.interrupted
        if heard_ms <= 0:
            reply.filler = ""
        if reply.interrupted and heard_ms - reply.filler_ms < UNHEARD_MS:
            heard, unsaid = "", f"{heard} {unsaid}".strip()
        reply.heard, reply.unsaid = heard, unsaid

    def retract(self, turn: int) -> None:
        """The caller goes on with `turn`: it and the reply to it were never there, but for
        results of tools that have finished."""
        self._changed()
        kept: list[_Entry] = []
        for entry in self._entries:
            if isinstance(entry, CallerTurn) and entry.turn == turn:
                continue
            if isinstance(entry, AgentReply) and entry.turn == turn and entry.heard is None:
                if not entry.rounds:
                    continue
                entry.heard = ""
            kept.append(entry)
        self._entries = kept

    def messages(self) -> tuple[Message, ...]:
        """Adjacent turns of the caller are one message; a reply is its tool rounds, then what
        was heard of it."""
        out: list[Message] = []
        for entry in self._entries:
            if isinstance(entry, CallerTurn):
                self._add_user(out, entry.text)
            elif isinstance(entry, Note):
                self._add_user(
                    out, f"[Note from the operator, not said by the caller: {entry.text}]"
                )
            elif isinstance(entry, AgentReply):
                out.extend(reply_messages(entry))
        return tuple(out)

    def messages_with(self, text: str, sound: Sound | None = None) -> tuple[Message, ...]:
        """`messages()` as they will be when the caller has said `text`, which sounded so."""
        out = list(self.messages())
        self._add_user(out, text)
        if sound is not None:
            out[-1] = replace(out[-1], sound=sound)
        return tuple(out)

    def transcript(self) -> tuple[TranscriptLine, ...]:
        lines: list[TranscriptLine] = []
        for entry in self._entries:
            if isinstance(entry, CallerTurn):
                if lines and lines[-1].role == "user":
                    joined = f"{lines[-1].content} {entry.text}".strip()
                    lines[-1] = TranscriptLine("user", joined)
                else:
                    lines.append(TranscriptLine("user", entry.text))
            elif isinstance(entry, PersonTurn):
                lines.append(TranscriptLine("person", entry.text))
            elif isinstance(entry, AgentReply) and entry.heard is not None and entry.shown:
                lines.append(TranscriptLine("assistant", entry.shown, entry.sources))
        return tuple(lines)

    def touched(self) -> None:
        """Something that an entry refers to has changed: a tool's result came late."""
        self._changed()

    def _changed(self) -> None:
        self.version += 1

    @staticmethod
    def _add_user(out: list[Message], text: str) -> None:
        if out and out[-1].role == "user":
            out[-1] = Message("user", f"{out[-1].content} {text}".strip())
        else:
            out.append(Message("user", text))


def reply_messages(reply: AgentReply) -> list[Message]:
    """A reply as a model is shown it: its tool rounds, then what was heard of it, text that was
    spoken before a tool call included."""
    out: list[Message] = []
    for done in reply.rounds:
        out.append(Message("assistant", "", tool_calls=done.calls))
        for call in done.calls:
            out.append(Message("tool", done.result(call), tool_call_id=call.id))
    if reply.heard:
        out.append(Message("assistant", reply.heard))
    return out


def result_data(action: ToolRun) -> dict[str, Any]:
    """A tool's result for the timeline; JSON-ready."""
    result = action.result
    assert result is not None  # it is there before anybody is told
    return {
        "id": action.call.id,
        "name": action.call.name,
        "ok": result.ok,
        "status": result.status,
        "elapsedMs": result.elapsed_ms,
        "result": result.content,
    }


def with_keys(text: str, digits: str, wrong: str = "") -> str:
    """A turn's text with the keys that were pressed in it, and what is wrong with them."""
    told = " ".join(digits) + (f": {wrong}" if wrong else "")
    return f"{text} [pressed {told}]".strip() if digits else text
