"""Which words are the same, and what is left when some were answered, in any script."""

from __future__ import annotations

import pytest

from chorus.talk.turns.words import Transcript, same_words, tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("i want a table", "I want a table."),
        ("Hello,  there!", "hello there"),
        ("d’accord", "D'accord."),
        ("cafe\u0301", "caf\u00e9"),
        ("我要一张桌子", "我要一张桌子。"),
        ("नमस्ते जी", "नमस्ते, जी!"),
        ("ไม่ใช่ ครับ", "ไม่ใช่ครับ"),
        ("mm-hm", "mm hm"),
    ],
)
def test_the_same_words(one: str, other: str) -> None:
    assert same_words(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hello there", "hello their"),
        ("उस की किताब", "उस का किताब"),
        ("दो", "दे"),
        ("तीन", "तन"),
        ("ไม่", "ไม"),
        ("ห้า", "หา"),
        ("তিন", "তান"),
        ("dont", "don't"),
    ],
)
def test_other_words(one: str, other: str) -> None:
    assert not same_words(one, other)


def test_words_of_each_script() -> None:
    assert tokens("नमस्ते, दो_तीन") == ["नमस्ते", "दो", "तीन"]
    assert tokens("好的, OK吧 12個") == ["好", "的", "ok", "吧", "12", "個"]
    assert tokens("ห้าเท่า") == ["ห้า", "เท่", "า"] or tokens("ห้าเท่า")[0].startswith("ห้")
    assert tokens("don't — mm-hm") == ["don't", "mm", "hm"]


@pytest.mark.parametrize(
    ("used", "final", "rest"),
    [
        ("I want", "I want a table.", "a table."),
        ("我要", "我要一张桌子。", "一张桌子。"),
        ("mujhe do", "mujhe do, teen", "teen"),
        ("same", "Same.", ""),
    ],
)
def test_what_was_answered_is_taken_off(used: str, final: str, rest: str) -> None:
    words = Transcript()
    words.hear(used, final=False, spoken_at=100)
    words.use(200)
    assert words.hear(final, final=True, spoken_at=150) == rest
