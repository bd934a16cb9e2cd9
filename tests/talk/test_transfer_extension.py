"""Whom a caller is handed to is not always who answers first: a menu before an extension, a program
that asks who calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.fakes.second import FakeExchange
from tests.fakes.stage import Person, Stage
from tests.talk.test_transfers import assert_connected, hold, target, yes

from chorus.audio.codec import encode
from chorus.audio.frame import MULAW_8K

WARM = "Anna wants a hundred chairs. To take the call, press one."
MENU = "for sales press one for billing press two"


def ringing(ms: int = 1000) -> bytes:
    """As many exchanges ring: one tone, with silence after it."""
    at = np.arange(8 * ms) / 8000
    return encode(MULAW_8K, (6000 * np.sin(2 * np.pi * 425 * at)).astype("<i2").tobytes())


async def rings(person: Person, times: int = 4) -> None:
    for _ in range(times):
        person.line.play(ringing())
        person.transcriber.understands("")
        await person.waits(4000)


def said(exchange: FakeExchange) -> list[str]:
    return [str(each.data["heard"]) for each in exchange.timeline.of("reply_heard")]


@pytest.mark.parametrize("type", ["warm", "warm_briefing"])
def test_somebody_behind_a_menu_hears_who_calls_once_they_answer(type: Any) -> None:
    exchange = FakeExchange(model=yes())

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await person.says("thank you for calling the garden shop", 1500)
        await person.waits(800)
        await person.says(MENU, 2500)  # the keys are pressed meanwhile
        await person.waits(1500)
        await person.says("please hold while we connect you", 1500)
        await person.waits(500)
        await rings(person)
        assert person.pressed == "204"
        assert said(exchange) == [], "the menu was spoken to"
        assert not exchange.running.done(), "the menu was taken for a mailbox"  # pyright: ignore
        await person.says("hello")
        await exchange.timeline.until("reply_heard")
        person.press("1")
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await person.hang_up()

    hold(scene, exchange, target(type, post_dial_digits="wwww2w0w4"))
    assert exchange.statuses == ["initiated", "briefing", "connected", "completed"]
    assert said(exchange)[0].startswith("Anna wants a hundred chairs.")
    assert len(said(exchange)) == 1


def test_a_menu_that_is_heard_while_keys_are_pressed_says_nothing() -> None:
    """Nor does what the carrier detected, or that it talks on and on."""
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        assert exchange.call is not None
        exchange.call.answered_by("machine_start", "machine")
        await person.says("welcome to a shop that has a very long announcement", 9000)
        await person.waits(2000)
        await person.says("sales tom speaking", 900)
        await exchange.timeline.until("reply_heard")
        person.press("1")
        await stage.until("transfer_connected")
        await stage.person.hang_up()

    hold(scene, exchange, target("warm", post_dial_digits="ww2"))
    assert said(exchange)[0].startswith(WARM)
    assert exchange.statuses[-2:] == ["connected", "completed"]


def test_a_menu_without_an_extension_is_nobody() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await person.says(MENU, 2500)
        await stage.until("transfer_no_answer")
        await stage.person.hang_up()

    hold(scene, exchange, target("warm"))
    assert exchange.moves[-1] == ("no_answer", "a mailbox or a menu answered")


@pytest.mark.parametrize("words", ["please leave a message after the tone", "the mailbox is full"])
def test_a_mailbox_behind_a_menu_is_nobody(words: str) -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await person.says(MENU, 2500)
        await person.waits(2000)
        await person.says(words, 2500)
        await stage.until("transfer_no_answer")
        await stage.person.hang_up()

    hold(scene, exchange, target("warm", post_dial_digits="w204"))
    assert exchange.moves[-1] == ("no_answer", "a mailbox or a menu answered")
    assert not any(said(exchange))


def test_whoever_is_behind_a_menu_and_says_nothing_may_press_a_key() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await person.says(MENU, 2500)
        await person.waits(20_000)
        assert said(exchange) == []
        person.press("1")
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await stage.person.hang_up()

    hold(scene, exchange, target("warm", post_dial_digits="w204"))


@pytest.mark.parametrize("digits", ["", "w204"])
def test_a_program_that_screens_calls_is_told_who_waits(digits: str) -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await person.waits(2000 if digits else 0)
        await person.says("please state your name and why you are calling", 2500)
        await exchange.timeline.until("screening_answered")
        await person.waits(6000)
        await person.says("hello")
        await exchange.timeline.until("who_answered", 2)
        while not said(exchange)[-1].startswith(WARM):
            await person.waits(100)
        person.press("1")
        await stage.until("transfer_connected")
        await stage.person.hang_up()

    hold(scene, exchange, target("warm", post_dial_digits=digits))
    assert "Anna wants a hundred chairs." in said(exchange)
    assert exchange.statuses[-2:] == ["connected", "completed"]


def test_a_call_that_was_screened_and_not_taken_is_not_answered() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await person.says("please state your name and why you are calling", 2500)
        await stage.until("transfer_no_answer", timeout_s=120)
        await stage.person.hang_up()

    hold(scene, exchange, target("warm"))
    assert exchange.moves[-1] == ("no_answer", "screened out: nobody took the call")


def test_keys_of_a_cold_transfer_are_pressed_before_the_two_talk() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await person.waits(2000)
        assert person.pressed == "12"
        await assert_connected(stage.person, person)
        await person.hang_up()

    hold(scene, exchange, target("cold", post_dial_digits="1w2"))
