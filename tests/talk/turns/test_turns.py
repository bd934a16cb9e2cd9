"""What the scripts do not show of turn-taking: bad settings, the voice's hysteresis, rounding to
frames, what an owner may ask."""

from __future__ import annotations

import pytest

from chorus.talk.hearing import VoiceGate
from chorus.talk.turns.turns import (
    AskEndOfTurn,
    Draft,
    Event,
    SpeechPaused,
    SpeechStarted,
    TurnCommitted,
    Turns,
    TurnSettings,
)


def events(turns: Turns) -> list[Event]:
    found: list[Event] = []
    while event := turns.next_event():
        found.append(event)
    return found


def hear(turns: Turns, now: float, *probabilities: float) -> float:
    for p in probabilities:
        now += 32
        turns.hear(p >= 0.35, now)
    return now


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (TurnSettings(turn_endpoint_delay_ms=-1), "turn_endpoint_delay_ms"),
        (TurnSettings(min_turn_duration_ms=-1), "min_turn_duration_ms"),
        (TurnSettings(fallback_silence_ms=-1), "fallback_silence_ms"),
        (TurnSettings(frame_activation_threshold=1.5), "frame_activation_threshold"),
    ],
)
def test_senseless_settings_are_named(settings: TurnSettings, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Turns(settings, threshold=0.5)


def test_a_threshold_is_a_probability() -> None:
    with pytest.raises(ValueError, match="threshold"):
        Turns(TurnSettings(), threshold=1.1)
    with pytest.raises(ValueError, match="threshold"):
        Turns(TurnSettings(), threshold=float("nan"))


def test_voice_opens_higher_than_it_closes() -> None:
    gate = VoiceGate(0.35)
    assert [gate.hear(p) for p in (0.34, 0.35, 0.21, 0.19, 0.21)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    low = VoiceGate(0.1)
    assert [low.hear(p) for p in (0.1, 0.02, 0.005)] == [True, True, False]


def test_a_threshold_of_nothing_still_hears_silence() -> None:
    gate = VoiceGate(0.0)
    assert [gate.hear(p) for p in (0.5, 0.0)] == [True, False]


def test_a_probability_that_is_none_is_silence() -> None:
    gate = VoiceGate(0.35)
    assert [gate.hear(p) for p in (0.9, float("nan"))] == [True, False]


@pytest.mark.parametrize(("delay_ms", "silent"), [(96, 3), (97, 4), (128, 4), (129, 5), (2000, 63)])
def test_silence_is_counted_in_whole_frames(delay_ms: int, silent: int) -> None:
    turns = Turns(
        TurnSettings(turn_endpoint_delay_ms=delay_ms, speculative_silence_ms=0), threshold=0
    )
    now = hear(turns, 0, 0.9, 0.9, 0.0)
    turns.words("Hello.", True, 60, now, now)
    now = hear(turns, now, *[0.0] * (silent - 2))
    assert turns.state == "pause"
    now = hear(turns, now, 0.0)
    assert turns.state == "reply"
    assert events(turns)[-1] == TurnCommitted(1, "eot", "Hello.", "", 0.0, 64.0)


def test_frames_need_not_begin_at_a_whole_number() -> None:
    turns = Turns(TurnSettings(speculative_silence_ms=0), threshold=0)
    now = hear(turns, 0.1 + 0.2, 0.9, 0.9, *[0.0] * 3)
    turns.words("Hello.", True, 60, now, now)
    assert turns.state == "pause"
    hear(turns, now, 0.0)
    assert turns.state == "reply"


def test_the_question_comes_at_64_ms_however_long_the_answer_must_wait() -> None:
    turns = Turns(TurnSettings(turn_endpoint_delay_ms=2000), threshold=0.5)
    hear(turns, 0, 0.9, 0.9, *[0.0] * 6)
    assert events(turns) == [
        SpeechStarted(1, 0.0),
        SpeechPaused(1, 1),
        AskEndOfTurn(1, 1, 0.0, 64.0),
    ]


def test_the_open_turn_can_be_read() -> None:
    turns = Turns(TurnSettings(), threshold=0.5)
    assert (turns.text, turns.onset_ms) == ("", None)
    now = hear(turns, 64, 0.9, 0.9)
    turns.words("so I", False, 100, now, now)
    assert (turns.text, turns.onset_ms) == ("so I", 64)
    turns.words("", True, 100, now, now)
    assert turns.text == ""


def test_a_draft_is_made_of_interim_words_where_no_others_came() -> None:
    turns = Turns(TurnSettings(), threshold=1)
    now = hear(turns, 0, 0.9, 0.9)
    turns.words("so I", False, 60, now, now)
    hear(turns, now, *[0.0] * 5)
    assert events(turns)[-1] == Draft(1, 1, "so I")


def test_time_does_not_run_backwards() -> None:
    turns = Turns(TurnSettings(), threshold=0)
    now = hear(turns, 0, 0.9, 0.9, *[0.0] * 4)
    turns.words(
        "Hello.", True, 5000, now - 40, now - 40
    )  # sent before the last frame, dated after it
    assert turns.state == "reply"
    assert events(turns)[-1] == TurnCommitted(1, "eot", "Hello.", "", 0.0, 64.0)
