"""Everything that a conversation needs to know, frozen when it starts.

`AgentSpec` is a snapshot of an agent: an edit in the dashboard changes the next call, not
this one. `Engines` are the process's engines that the snapshot selects. `Journal` is where
the conversation leaves its record; `calls/` implements it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from chorus.speech.racing import Hedging
from chorus.speech.ranking import Ranking, Rests
from chorus.talk.turns.turns import TurnSettings

if TYPE_CHECKING:
    from chorus.llm.model import LanguageModel
    from chorus.speech.engines import EndOfTurn, Transcriber, Voice, VoiceDetector
    from chorus.talk.timeline import Happening

ToolMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
FieldType = Literal["string", "number", "integer", "boolean", "array", "object"]


@dataclass(frozen=True, slots=True)
class HttpToolField:
    """One parameter of a tool, as the model is told of it."""

    name: str
    type: FieldType
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class HttpTool:
    """An HTTP request that the agent may make. `headers` may hold secrets."""

    name: str
    description: str
    url: str = field(repr=False)
    method: ToolMethod = "POST"
    timeout_ms: int = 5000
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fields: tuple[HttpToolField, ...] = ()

    @property
    def has_effects(self) -> bool:
        """GET is a pure read by definition (RFC 9110 §9.2.1); anything else may change things."""
        return self.method != "GET"


TransferType = Literal["cold", "warm", "warm_briefing"]


@dataclass(frozen=True, slots=True)
class TransferTarget:
    """Somebody to whom the agent may hand a caller. `number` is E.164 or a SIP address;
    `briefing` is what the person hears first; `when_unavailable` is what the caller hears if nobody
    takes the call; both are templates. `release`: the carrier connects the two and the call ends
    here, of a warm transfer once the person has taken the caller; only where the line can.
    `headers` (names and templates) and `shows_caller` (the caller's number instead of our own) are
    for the call to them, where the carrier can. `transcribe`: the words of the two are the caller's
    record too."""

    name: str
    number: str
    type: TransferType = "cold"
    description: str = ""
    briefing: str | None = None
    ring_timeout_s: int = 30
    post_dial_digits: str = ""
    when_unavailable: str | None = None
    release: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    shows_caller: bool = False
    transcribe: bool = False


@dataclass(frozen=True, slots=True)
class KeyInput:
    """Something that the caller may be asked to key in, by the name under which tools have it. It
    ends with `max_length` keys, with `terminator`, or when no key has come for `gap_ms`; it is
    given up when none has come within `timeout_s`. `secret`: nobody sees the keys."""

    name: str
    description: str = ""
    min_length: int = 1
    max_length: int | None = None
    terminator: str | None = "#"
    timeout_s: float = 10.0
    gap_ms: float = 3000.0
    secret: bool = False


MailboxAction = Literal["leave_message", "hang_up", "talk"]
MenuAction = Literal["navigate", "hang_up", "talk"]
ScreeningAction = Literal["say_who_calls", "hang_up", "talk"]
OtherAction = Literal["hang_up", "talk"]


@dataclass(frozen=True, slots=True)
class Answering:
    """What to do when it is no person who answers a call that was placed. `message` None: the
    model makes it. `introduction`: who calls and why, in a sentence, for a program that screens
    calls; None: the model's. `menu_goal`: what is to be reached in a menu. All three are
    templates."""

    mailbox: MailboxAction = "leave_message"
    message: str | None = None
    beep_wait_s: int = 30
    unavailable: OtherAction = "hang_up"
    menu: MenuAction = "hang_up"
    menu_goal: str = ""
    menu_limit_s: int = 120
    screening: ScreeningAction = "say_who_calls"
    introduction: str | None = None
    screening_wait_s: int = 45
    silence: OtherAction = "talk"
    waits: bool = True
    """The agent's first message waits until who was called has said something, or says nothing."""
    keys_ms: int | None = None
    """Somebody behind a menu is called, whose extension is pressed by then, from the answer on.
    What is heard before counts for nothing, and after it no menu and no tone of the ringing does:
    the agent is silent until a person speaks."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """`system_prompt`, `greeting` and `hold_message` are templates; `talk/tools/template.py` fills
    them. `language` is what is spoken at first, `languages` others that the caller may speak
    (BCP 47). `pronunciations`: how to say what is written, by what is written.
    `latency_target_ms`: how long callers may wait for an answer; it is measured by, and changes
    nothing in the conversation.
    `hedging`: which engines are asked beside one that is slow; None is the platform's.
    `filler_after_ms`: what is heard if no answer is there by then, one of `fillers` or else of the
    language's."""

    agent_id: str
    name: str
    system_prompt: str
    voice: str = ""
    voice_speed: float = 1.0
    voice_stability: float = 0.5
    language: str | None = None
    languages: tuple[str, ...] = ()
    pronunciations: tuple[tuple[str, str], ...] = ()
    turns: TurnSettings = field(default_factory=TurnSettings)
    allow_end_call: bool = True
    first_speaker: Literal["user", "agent"] = "user"
    greeting: str | None = None
    first_message_uninterruptible: bool = False
    first_message_delay_ms: int = 0
    max_call_duration_s: int = 600
    silence_timeout_s: int | None = None
    silence_reminders: int = 2
    latency_target_ms: int | None = None
    hedging: Hedging | None = None
    filler_after_ms: int | None = None
    fillers: tuple[str, ...] = ()
    tools: tuple[HttpTool, ...] = ()
    key_inputs: tuple[KeyInput, ...] = ()
    allow_press_keys: bool = False
    answering: Answering | None = None
    transfer_targets: tuple[TransferTarget, ...] = ()
    knowledge_base_ids: tuple[str, ...] = ()
    knowledge_instructions: str | None = None
    hold_message: str | None = None
    hold_music_url: str | None = None
    background_sound: str | None = None
    background_volume: float = 0.15


@dataclass(frozen=True, slots=True)
class StandIns:
    """What takes over when an engine of a call fails, the best first. A voice comes with the
    engine's own id of the voice that is to speak; empty is its voice for the language."""

    transcribers: tuple[Transcriber, ...] = ()
    voices: tuple[tuple[Voice, str], ...] = ()
    models: tuple[LanguageModel, ...] = ()


@dataclass(frozen=True, slots=True)
class Engines:
    """The process's engines that one call uses. `rests` is the process's, too;
    `hedging` is for agents that say nothing of it."""

    transcriber: Transcriber
    voice: Voice
    model: LanguageModel
    detector: VoiceDetector
    end_of_turn: EndOfTurn
    stand_ins: StandIns = field(default_factory=StandIns)
    rests: Rests = field(default_factory=Rests)
    hedging: Hedging = "off"

    @property
    def transcribers(self) -> Ranking[Transcriber]:
        return Ranking((self.transcriber, *self.stand_ins.transcribers), self.rests)

    @property
    def models(self) -> Ranking[LanguageModel]:
        return Ranking((self.model, *self.stand_ins.models), self.rests)

    @property
    def voices(self) -> Ranking[Voice]:
        return Ranking((self.voice, *(voice for voice, _ in self.stand_ins.voices)), self.rests)

    def phrases(self, system: str) -> tuple[str, ...]:
        """What every model of the call expects of the caller, if each of them tells."""
        each = [model.phrases(system) for model in self.models.engines]
        return tuple(dict.fromkeys(p for phrases in each for p in phrases)) if all(each) else ()


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One call to hold. `variables` fill the templates; `recording_path` None records nothing."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    customer_number: str
    agent: AgentSpec
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recording_path: str | None = None


class Journal(Protocol):
    """Where the conversation leaves what happens. Called on the event loop, in order; must not
    block and must not raise: what cannot be stored now is kept and stored later."""

    def note(self, happening: Happening) -> None: ...
