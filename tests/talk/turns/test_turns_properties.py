"""What must hold of turn-taking whatever happens: any order of speech, words, verdicts, keys and
the agent's doings, with words and verdicts late, lost, repeated or out of order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chorus.talk.hearing import VoiceGate
from chorus.talk.turns.turns import (
    FRAME_MS,
    AskEndOfTurn,
    CancelDraft,
    Draft,
    Event,
    Interrupted,
    PauseAgent,
    ResumeAgent,
    Retract,
    SpeechPaused,
    SpeechStarted,
    TurnCommitted,
    TurnDropped,
    Turns,
    TurnSettings,
)
from chorus.talk.turns.words import same_words

SAID = ["yes", "mm-hm", "no wait", "leaves at nine", "book me a flight", "to Rome", "", "okay"]
AGENT = ["Your flight leaves at nine", "Shall I book it?", "This call is recorded.", ""]

# The same examples every time, however slow the machine: a failure is never by chance.
many = settings(max_examples=200, deadline=None, derandomize=True)

Step = tuple[Any, ...]

steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("voice"), st.integers(1, 50)),
    st.tuples(st.just("voice"), st.integers(1, 5)),
    st.tuples(st.just("quiet"), st.integers(1, 50)),
    st.tuples(st.just("quiet"), st.integers(1, 5)),
    st.tuples(st.just("quiet"), st.integers(90, 140)),
    st.tuples(st.just("probability"), st.floats(allow_nan=True)),
    st.tuples(st.just("skip"), st.integers(1, 6000)),
    st.tuples(st.just("words"), st.sampled_from(SAID), st.booleans(), st.integers(0, 5000)),
    st.tuples(st.just("verdict"), st.integers(0, 2), st.floats(0, 1)),
    st.tuples(st.just("digit"), st.sampled_from("0123456789*#")),
    st.tuples(st.just("agent_speaks"), st.booleans()),
    st.tuples(st.just("audible"), st.integers(0, 400)),
    st.tuples(st.just("agent_text"), st.sampled_from(AGENT), st.sampled_from(AGENT)),
    st.tuples(st.just("effects_begun")),
    st.tuples(st.just("reply_done")),
)
# What mere chance seldom strings together: whole pieces of a conversation, each cut short or
# followed by anything.
_ASKED: list[Step] = [
    ("voice", 10),
    ("quiet", 3),
    ("words", "book me a flight", True, 100),
    ("quiet", 1),
    ("verdict", 0, 0.9),
]
_AGENT: list[Step] = [("quiet", 5), ("audible", 100), ("agent_text", AGENT[0]), ("quiet", 3)]
SCENES: list[list[Step]] = [
    _ASKED,
    [*_ASKED, *_AGENT],
    [*_ASKED, *_AGENT, ("reply_done",)],
    [*_ASKED, *_AGENT, ("voice", 5), ("quiet", 3)],
    [*_ASKED, *_AGENT, ("voice", 5), ("quiet", 33)],
    [*_ASKED, *_AGENT, ("voice", 5), ("words", "no wait", False, 0), ("voice", 9)],
    [*_ASKED, *_AGENT, ("reply_done",), ("quiet", 2), ("voice", 3), ("quiet", 8)],
    [("agent_speaks", False), *_AGENT],
    [("agent_speaks", True), *_AGENT, ("voice", 9), ("words", "yes", True, 9), ("quiet", 9)],
    [*_ASKED, ("effects_begun",), ("voice", 3)],
    [*_ASKED, ("quiet", 2), ("voice", 3)],
    [("voice", 9), ("words", "to Rome", False, 60), ("quiet", 97)],
    [("voice", 9), ("words", "to Rome", False, 60), ("voice", 110), ("quiet", 2)],
    [("digit", "1"), ("quiet", 9), ("digit", "2"), ("quiet", 48)],
    *([("voice", 9), ("quiet", 6), ("words", text, True, 200)] for text in SAID),
]


def _cut(scene: list[Step], length: int) -> list[Step]:
    return scene[:length]


def _one(step: Step) -> list[Step]:
    return [step]


def _joined(parts: list[list[Step]]) -> list[Step]:
    return [step for part in parts for step in part]


scenes = st.builds(_cut, st.sampled_from(SCENES), st.integers(1, 12))
streams = st.builds(
    _joined, st.lists(st.one_of(scenes, scenes, st.builds(_one, steps)), max_size=25)
)
options = st.builds(
    TurnSettings,
    turn_endpoint_delay_ms=st.sampled_from([50, 100, 700, 2000]),
    min_turn_duration_ms=st.sampled_from([0, 50, 500]),
    min_interruption_duration_ms=st.sampled_from([0, 100, 800]),
    post_speech_cooldown_ms=st.sampled_from([0, 400, 5000]),
    speculative_silence_ms=st.sampled_from([0, 150, 1000]),
    fallback_silence_ms=st.sampled_from([0, 500, 3000]),
)
thresholds = st.sampled_from([0.0, 0.1, 0.5, 1.0])


@dataclass
class Call:
    """Drives the machine and checks, input by input, what may follow from it."""

    turns: Turns
    gate: VoiceGate = field(default_factory=lambda: VoiceGate(0.35))
    now: float = 0.0
    log: list[Event] = field(default_factory=list[Event])
    question: int = 0
    heard_ms: float = 0.0
    open_turn: int = 0  # said to have started, and neither committed nor dropped
    held: bool = False
    retractable: bool = False  # the reply that is pending
    committed: dict[int, int] = field(default_factory=dict[int, int])
    drafts: Counter[int] = field(default_factory=Counter[int])
    kept: list[Draft] = field(default_factory=list[Draft])
    texts: dict[int, str] = field(default_factory=dict[int, str])

    def take(self, step: Step) -> None:
        turns, (verb, *args) = self.turns, step
        if verb in ("voice", "quiet"):
            for _ in range(args[0]):
                self.now += FRAME_MS
                self._do(step, lambda: turns.hear(verb == "voice", self.now))
        elif verb == "probability":
            self.now += FRAME_MS
            self._do(step, lambda: turns.hear(self.gate.hear(args[0]), self.now))
        elif verb == "skip":
            self.skip(args[0])
        elif verb == "words":
            text, final, ago = args
            self._do(
                step, lambda: turns.words(text, final, max(self.now - ago, 0.0), self.now, self.now)
            )
        elif verb == "verdict":
            self._do(step, lambda: turns.verdict(self.question - args[0], args[1], self.now))
        elif verb == "digit":
            self._do(step, lambda: turns.digit(args[0], self.now))
        elif verb == "agent_speaks":
            if turns.state not in ("agent", "held", "reply"):
                self.heard_ms = 0.0
            self.open_turn = 0
            self.retractable = self.retractable and turns.state == "reply"
            self._do(step, lambda: turns.agent_speaks(self.now, uninterruptible=args[0]))
        elif verb == "audible":
            if turns.state in ("reply", "agent", "held"):
                self.heard_ms += args[0]
                self._do(step, lambda: turns.audible(self.heard_ms, self.now))
        elif verb == "agent_text":
            turns.agent_text(*args)
        elif verb == "effects_begun":
            turns.effects_begun()
            self.retractable = False
        elif verb == "reply_done":
            self.held = False
            self._do(step, lambda: turns.reply_done(self.now))
        else:
            raise AssertionError(verb)

    def skip(self, ms: float) -> None:
        """No frames at all."""
        end = self.now + ms
        while self.now < end:
            self.now = min(self.now + 8, end)
            self._do(("tick",), lambda: self.turns.tick(self.now))

    def silence(self, ms: float) -> None:
        self.take(("quiet", -(-int(ms) // FRAME_MS)))

    def end(self) -> None:
        self._do(("end",), lambda: self.turns.end(self.now))

    def _do(self, step: Step, act: Any) -> None:
        before, deaf = self.turns.state, self.turns.uninterruptible
        act()
        while (event := self.turns.next_event()) is not None:
            self.log.append(event)
            self._check(event, step, before, deaf)
        if self.open_turn and self.turns.state != "ended":
            assert self.turns.state in ("user", "pause")
        if self.turns.state in ("user", "pause"):
            assert self.open_turn == self.turns.turn

    def _check(self, event: Event, step: Step, before: str, deaf: bool) -> None:
        match event:
            case SpeechStarted(turn):
                assert turn not in self.committed or self.committed[turn] == 0
                self.open_turn = turn
            case TurnCommitted(turn):
                assert turn == self.open_turn, "committed what was not open"
                assert not self.committed.get(turn), "committed twice"
                assert event.text or event.digits
                assert event.onset_ms <= event.speech_end_ms <= self.now
                for draft in self.kept:
                    assert draft.turn == turn
                    assert same_words(draft.text, event.text)
                assert len(self.kept) <= 1
                self.kept.clear()
                self.committed[turn] = 1
                self.texts[turn] = event.text
                self.open_turn = 0
                self.heard_ms = 0.0
                self.retractable = True
            case Retract(turn):
                assert self.committed.get(turn) == 1
                assert before == "reply"
                assert self.retractable, "took back what was done"
                self.committed[turn] = 0
                self.texts.pop(turn)
            case TurnDropped(turn):
                assert turn == self.open_turn
                assert not self.kept
                self.open_turn = 0
            case Draft(turn):
                assert event.text
                assert not any(same_words(d.text, event.text) for d in self.kept), "twice the same"
                self.kept.append(event)
                assert len(self.kept) <= 2
                self.drafts[turn] += 1
                assert self.drafts[turn] <= 3
            case CancelDraft(turn, pause, text):
                self.kept.remove(Draft(turn, pause, text))
            case AskEndOfTurn():
                assert event.question == self.question + 1
                assert event.onset_ms <= self.now
                self.question = event.question
            case PauseAgent():
                assert not self.held
                assert not deaf
                self.held = True
            case ResumeAgent():
                assert self.held
                self.held = False
            case Interrupted():
                assert before in ("agent", "held") or (before == "reply" and not self.retractable)
                assert not deaf, "interrupted what may not be"
                assert (event.by == "digit") == (step[0] == "digit")
                assert event.by == "digit" or self.held
                assert 0 <= event.heard_ms <= self.heard_ms
                self.held = False
            case SpeechPaused(turn):
                assert self.held or turn == self.open_turn
            case _:
                pass


def run(stream: list[Step], option: TurnSettings, threshold: float) -> Call:
    call = Call(Turns(option, threshold=threshold, language="en"))
    for step in stream:
        call.take(step)
    return call


@many
@given(streams, options, thresholds)
def test_what_may_follow_from_what(
    stream: list[Step], option: TurnSettings, threshold: float
) -> None:
    """One commit a turn, nothing played into the caller's turn, interruptions only by the rules,
    heard no more than was played, at most two drafts at a time and three a turn; see
    `Call._check`."""
    call = run(stream, option, threshold)
    call.end()
    assert not call.kept
    before = len(call.log)
    for step in stream:
        call.take(step)
    assert len(call.log) == before, "spoke after the end"


@many
@given(streams, options, thresholds, st.booleans())
def test_never_stuck(
    stream: list[Step], option: TurnSettings, threshold: float, frames: bool
) -> None:
    """After silence of the fallback and one second (and the time between two keys) nobody waits
    for anybody but the agent, whatever was lost, with frames or by the timer alone."""
    call = run(stream, option, threshold)
    fallback = max(option.fallback_silence_ms, option.turn_endpoint_delay_ms)
    keys = max(1500, option.turn_endpoint_delay_ms)
    wait = max(fallback + 1000, keys) + FRAME_MS
    if frames:
        call.silence(wait)
    else:
        # Without frames a voice that was open can only be given up for want of words.
        call.skip(wait + 3000 + FRAME_MS)
    assert call.turns.state in ("idle", "reply", "agent")


@many
@given(streams, options, thresholds)
def test_equal_inputs_give_equal_events(
    stream: list[Step], option: TurnSettings, threshold: float
) -> None:
    assert run(stream, option, threshold).log == run(stream, option, threshold).log


@many
@given(streams, options, thresholds)
def test_ticks_change_nothing_that_frames_would_not_do(
    stream: list[Step], option: TurnSettings, threshold: float
) -> None:
    """An owner may tick as often as it likes."""
    stream = [step for step in stream if step[0] != "skip"]
    plain = run(stream, option, threshold)
    ticked = Call(Turns(option, threshold=threshold, language="en"))
    for step in stream:
        ticked.take(step)
        ticked.turns.tick(ticked.now)
    assert ticked.turns.state == plain.turns.state
    assert ticked.log == plain.log


spoken: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("final"), st.integers(0, 3000)),
)


@many
@given(
    st.lists(
        st.one_of(
            st.builds(_one, spoken),
            st.builds(_one, spoken),
            st.builds(_one, steps),
            scenes,
        ),
        max_size=40,
    ),
    st.sampled_from([0, 400]),
)
def test_no_word_is_lost_or_doubled(parts: list[list[Step]], cooldown_ms: int) -> None:
    """A transcriber whose every interim repeats all since its last final, and whose finals may
    come long after the turn was answered: each word is in just one answered turn."""
    option = TurnSettings(min_turn_duration_ms=0, post_speech_cooldown_ms=cooldown_ms)
    call = Call(Turns(option, threshold=0.5, language="en"))
    said: list[str] = []
    since_final: list[str] = []

    def settle(ago: int) -> None:
        text = " ".join(since_final)
        since_final.clear()
        call.take(("words", text, True, ago))

    for step in _joined(parts):
        match step:
            case ("say", int(count), bool(voiced)):
                if voiced:
                    call.take(("voice", 4 * count))
                words = [f"w{len(said) + i}" for i in range(count)]
                said += words
                since_final += words
                call.take(("words", " ".join(since_final), False, 0))
            case ("final", int(ago)):
                settle(ago)
            case ("words" | "agent_text", *_):
                pass
            case _:
                call.take(step)
    settle(0)
    for _ in range(4):
        call.silence(4500)
        call.take(("reply_done",))
    call.silence(4500)
    answered = " ".join(call.texts.values()).split()
    assert Counter(answered) == Counter(said)
