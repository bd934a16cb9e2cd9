from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.speech.engines import Mark, Spoken
from chorus.talk.utterance import Utterance


def utterance(*clauses: str, marks: bool = True, finished: bool = True) -> Utterance:
    """Each clause takes 100 ms a letter of its words, in one piece."""
    made = Utterance(MULAW_8K)
    for index, text in enumerate(clauses):
        made.add_clause(f" {text}" if index else text)
        ends: list[Mark] = []
        at = 0.0
        for word in re.finditer(r"\S+", made.clauses[-1].text):
            at += 100 * len(word[0])
            ends.append(Mark(word.end(), at))
        made.add(Spoken(MULAW_8K.silence(at), index, tuple(ends) if marks else (), last=True))
    made.finished = finished
    return made


def test_all_heard_is_all_said() -> None:
    heard = utterance("Good day.", "How are you?").split(99_999)
    assert (heard.text, heard.unsaid, heard.estimated) == ("Good day. How are you?", "", False)


@pytest.mark.parametrize(("rate_hz", "seed"), [(22050, 90), (24000, 66), (44100, 90)])
def test_all_heard_is_all_said_where_a_sample_is_no_part_of_a_millisecond(
    rate_hz: int, seed: int
) -> None:
    # Of these pieces the lengths, summed, are a hair more than the whole.
    sizes = random.Random(seed)
    made = Utterance(AudioFormat("pcm16", rate_hz))
    for index, text in enumerate(("With pleasure.", " For how many people?")):
        made.add_clause(text)
        for n in range(9):
            marks = (Mark(len(text), 1e9),) if n == 8 else ()
            made.add(Spoken(bytes(2 * sizes.randrange(100, 2000)), index, marks, last=n == 8))
    made.finished = True
    heard = made.split(made.length_ms)
    assert (heard.text, heard.unsaid) == ("With pleasure. For how many people?", "")


def test_a_word_that_was_cut_is_not_heard() -> None:
    made = utterance("Good day.", "How are you?")
    heard = made.split(400 + 399)  # one millisecond before "day." ends
    assert (heard.text, heard.unsaid) == ("Good", "day. How are you?")
    assert heard.resume_ms == 400
    assert not heard.estimated


def test_between_clauses_nothing_is_estimated() -> None:
    heard = utterance("Good day.", "How are you?", marks=False).split(800)
    assert (heard.text, heard.unsaid, heard.estimated) == ("Good day.", "How are you?", False)
    assert heard.resume_ms == 800


def test_without_marks_the_clause_is_cut_in_proportion() -> None:
    heard = utterance("one two three", marks=False).split(650)
    assert (heard.text, heard.unsaid, heard.estimated) == ("one two", "three", True)
    assert heard.resume_ms == pytest.approx(600)


def test_text_that_never_became_sound_is_unsaid() -> None:
    made = utterance("Good day.", finished=False)
    made.add_clause(" And goodbye.")
    heard = made.split(800)
    assert (heard.text, heard.unsaid) == ("Good day.", "And goodbye.")


def test_nothing_heard_is_nothing_said() -> None:
    heard = utterance("Good day.").split(0)
    assert (heard.text, heard.unsaid, heard.resume_ms) == ("", "Good day.", 0)


@given(
    clauses=st.lists(
        st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=5).map(" ".join),
        min_size=1,
        max_size=4,
    ),
    at=st.floats(0, 12_000),
    marks=st.booleans(),
)
def test_heard_and_unsaid_are_the_whole_text(clauses: list[str], at: float, marks: bool) -> None:
    made = utterance(*clauses, marks=marks)
    heard = made.split(at)
    assert f"{heard.text} {heard.unsaid}".split() == made.text.split()
    assert heard.resume_ms <= max(at, 0) + 1e-6
    # More time never means fewer words.
    assert len(made.split(at + 100).text.split()) >= len(heard.text.split())


@pytest.mark.parametrize(
    ("text", "chars", "heard"),
    [
        ("您的座位已经预订好了。", 5, "您的座位已"),
        ("โต๊ะของคุณจองแล้ว", 4, "โต๊ะ"),
        ("आपकी मेज़ बुक हो गई है", 11, "आपकी मेज़"),
        ("ご予約を承りました。", 4, "ご予約を"),
        ("It is $3.50 at 10:30, okay?", 13, "It is $3.50"),
    ],
)
def test_what_the_voice_tells_is_heard_to_the_character(text: str, chars: int, heard: str) -> None:
    made = Utterance(MULAW_8K)
    made.add_clause(text)
    marks = tuple(Mark(end, 100.0 * end) for end in range(1, len(text) + 1))
    made.add(Spoken(MULAW_8K.silence(100 * len(text)), 0, marks, last=True))
    split = made.split(100 * chars + 50)
    assert (split.text, split.estimated) == (heard, False)
    assert split.text + split.unsaid == text.replace(f"{heard} ", heard, 1)
    assert split.resume_ms == 100 * len(heard)


@pytest.mark.parametrize("text", ["您的座位已经预订好了。", "โต๊ะของคุณจองแล้วค่ะ"])
def test_without_marks_a_clause_without_spaces_is_cut_in_proportion(text: str) -> None:
    made = Utterance(MULAW_8K)
    made.add_clause(text)
    made.add(Spoken(MULAW_8K.silence(4000), 0, last=True))
    split = made.split(2100)
    assert split.estimated
    assert 0.3 * len(text) < len(split.text) < 0.7 * len(text)
    assert split.text + split.unsaid == text
    assert 1000 < split.resume_ms <= 2100
