"""A few thousand messages that are nearly right; `make fuzz-sip` sends a million."""

from __future__ import annotations

import random

from tests.lines.sip.fuzzing import hail, mutate, seeds

from chorus.lines.sip.framing import Frames
from chorus.lines.sip.grammar import Malformed


def test_nothing_breaks_the_user_agent_and_nothing_is_left() -> None:
    _, phone = hail(1500, seed=7)
    assert phone.agent.malformed > 200
    assert len(phone.agent.transactions) == 0
    assert phone.agent.dialogs == 0
    assert phone.net.time.pending == 0


def test_nothing_breaks_a_stream() -> None:
    chance = random.Random(3)
    messages = seeds()
    frames = Frames()
    for _ in range(1000):
        try:
            frames.feed(mutate(chance, chance.choice(messages)))
        except Malformed:
            frames = Frames()
