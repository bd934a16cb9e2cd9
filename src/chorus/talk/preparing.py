"""What a call is made of, from the agent's snapshot and the process's engines.

Its turn-taking, what all its replies are made with, and the sound in its background. Nothing here
knows a live call.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from chorus.audio import sounds
from chorus.audio.frame import AudioFormat
from chorus.audio.mix import Background
from chorus.audio.record import Recording
from chorus.outbound import Outbound
from chorus.speech.engines import EndOfTurn, EngineFailed, VoiceStyle
from chorus.talk.filler import Filler
from chorus.talk.hearing import heard_as
from chorus.talk.keypad import Keypad
from chorus.talk.knowledge import Knowledge, LookUps
from chorus.talk.spec import AgentSpec, CallSpec, Engines
from chorus.talk.talk import Talk
from chorus.talk.text import phrases
from chorus.talk.text.pronunciations import Pronunciations
from chorus.talk.thinking import ReplyContext
from chorus.talk.tools.acting import Acting, ToolRun
from chorus.talk.tools.end_call import EndCall
from chorus.talk.tools.http import request_tools
from chorus.talk.tools.search_knowledge import SearchKnowledge
from chorus.talk.tools.tool import Tool
from chorus.talk.turns.turns import Turns
from chorus.talk.voicing import Voicing
from chorus.talk.waiting import Waiting


def turns_of(agent: AgentSpec, end_of_turn: EndOfTurn) -> Turns:
    """The agent's threshold, or else the model's own."""
    threshold = agent.turns.eot_threshold
    if threshold is None:
        threshold = end_of_turn.threshold
    return Turns(agent.turns, threshold=threshold, language=agent.language)


def voicing_of(
    agent: AgentSpec,
    engines: Engines,
    format: AudioFormat,
    on_failed: Callable[[EngineFailed], None],
    note: Callable[..., None],
) -> Voicing:
    """The agent's voice and those that stand in for it, on a line of `format`."""
    names = (agent.voice, *(voice for _, voice in engines.stand_ins.voices))
    styles = tuple(
        VoiceStyle(name, agent.voice_speed, agent.voice_stability, agent.language) for name in names
    )
    said = Pronunciations(agent.pronunciations) if agent.pronunciations else None
    return Voicing(
        engines.voices,
        styles,
        format,
        on_failed=on_failed,
        pronunciations=said,
        hedged=(agent.hedging or engines.hedging) == "all",
        note=note,
    )


def mind_of(
    agent: AgentSpec,
    engines: Engines,
    format: AudioFormat,
    system: str,
    acting: Acting,
    voicing: Voicing,
    look_ups: LookUps | None,
    note: Callable[..., None],
) -> ReplyContext:
    """`system`: the agent's prompt with its variables filled in."""
    return ReplyContext(
        models=engines.models,
        voicing=voicing,
        format=format,
        system=system,
        acting=acting,
        language=agent.language,
        look_ups=look_ups,
        hedged=(agent.hedging or engines.hedging) != "off",
        note=note,
        filler=filler_of(agent, voicing, format, note),
    )


def filler_of(
    agent: AgentSpec, voicing: Voicing, format: AudioFormat, note: Callable[..., None]
) -> Filler | None:
    """None for an agent that is to be silent until its answer is there."""
    if agent.filler_after_ms is None:
        return None
    texts = agent.fillers or phrases.fillers(agent.language)
    return Filler(agent.filler_after_ms, texts, voicing, format, note)


def look_ups_of(
    agent: AgentSpec,
    knowledge: Knowledge | None,
    talk: Callable[[], Talk | None],
    note: Callable[..., None],
) -> LookUps | None:
    """None for an agent that has nothing to look into. `talk`: the conversation, once there is."""
    if knowledge is None:
        return None

    def last_heard() -> str:
        held = talk()
        return held.dialogue.last_heard if held is not None else ""

    return LookUps(knowledge, agent.language, last_heard=last_heard, note=note)


def acting_of(
    spec: CallSpec,
    outbound: Outbound,
    on_result: Callable[[ToolRun], None],
    keypad: Keypad | None = None,
    more: Sequence[Tool] = (),
    look_ups: LookUps | None = None,
) -> Acting:
    """The tools of the agent, `more`, and those that every agent has. What was entered on `keypad`
    is a variable for them; without one (a chat) nothing is."""
    if look_ups is not None and look_ups.by_tool:
        more = (*more, SearchKnowledge(look_ups))
    agent, end_call = spec.agent, EndCall(spec.agent.allow_end_call)
    taken = (end_call.spec.name, *(tool.spec.name for tool in more))
    variables = ChainMap(keypad.values if keypad else {}, dict(spec.variables))
    tools = (*request_tools(agent.tools, outbound, variables, taken, keypad), *more)
    if agent.allow_end_call:
        return Acting((*tools, end_call), on_result=on_result)
    return Acting(tools, unoffered=(end_call,), on_result=on_result)


def waiting_of(agent: AgentSpec) -> Waiting:
    timeout_s = agent.silence_timeout_s
    return Waiting(None if timeout_s is None else timeout_s * 1000, agent.silence_reminders)


async def background_of(agent: AgentSpec, format: AudioFormat) -> Background | None:
    """The first call of a process to use a sound waits for it to be made. Raises `LookupError`,
    `ValueError` and `OSError` where there is none to be had."""
    if agent.background_sound is None or agent.background_volume <= 0:
        return None
    pcm16 = await asyncio.to_thread(sounds.load, agent.background_sound, format.rate_hz)
    return Background(pcm16, agent.background_volume, format)


def recording_of(
    spec: CallSpec,
    line: AudioFormat,
    on_failed: Callable[[str], None],
    writer: Executor | None,
) -> Recording | None:
    """Of a call on a line of this format; `writer` is for tests."""
    if spec.recording_path is None:
        return None
    rate_hz = heard_as(line).rate_hz
    return Recording(spec.recording_path, rate_hz, on_failed=on_failed, writer=writer)
