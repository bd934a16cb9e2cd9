"""Two things that happen at once in a transfer: the first stands, and nobody is left alone on hold,
talks to somebody who is gone, or is rung for nobody. More of them are in `test_transfers.py`."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.second import FakeExchange, music
from tests.fakes.stage import Person, Stage
from tests.talk.test_transfers import SORRY, briefed, hears, hold, no, target, yes

from chorus.lines.line import LineCause
from chorus.talk.second_leg import SecondLeg
from chorus.talk.transfer import ANSWER_GRACE_S, DECIDE_S, Wish

RING_S = 30.0


async def back_with_the_agent(stage: Stage) -> None:
    """No music any more, and the agent says what came of it."""
    async with asyncio.timeout(20):
        while all(said.data["heard"] != SORRY for said in stage.timeline.of("reply_heard")):
            await asyncio.sleep(0.05)
    await stage.person.waits(1500)
    since = asyncio.get_running_loop().time()
    await stage.person.waits(1000)
    assert not hears(stage.person, since), "the music plays on"


# --- the caller hangs up --------------------------------------------------------------------------


class SlowToPlace(FakeExchange):
    """The carrier takes its time to take the second call."""

    async def place(self, wish: Wish, leg: SecondLeg) -> None:
        await asyncio.sleep(3)
        await super().place(wish, leg)


def test_the_caller_hangs_up_while_the_second_call_is_placed() -> None:
    exchange = SlowToPlace()

    async def scene(stage: Stage) -> None:
        await stage.until("hold_started")
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.moves == [("initiated", ""), ("cancelled", "the caller's call ended")]
    assert exchange.withdrawn == 1
    assert result.ending == ("completed", "customer_ended")


def test_the_caller_hangs_up_while_told_to_hold() -> None:
    exchange = FakeExchange(music=music())

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        assert stage.timeline.of("hold_started") == []
        await stage.person.hang_up()

    result = hold(scene, exchange, hold_message="Please hold the line for a colleague of mine.")
    assert exchange.statuses[-1] == "cancelled"
    assert exchange.withdrawn == 1
    assert result.ending == ("completed", "customer_ended")


def test_the_caller_hangs_up_while_the_agent_takes_them_back() -> None:
    """The person who declined is still being told goodbye: they are let go all the same."""
    exchange = FakeExchange(model=no())
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        people.append(await briefed(exchange))
        people[0].press("2")
        await stage.until("transfer_declined")
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.statuses[-1] == "declined"
    assert people[0].ended is not None
    assert result.ending == ("completed", "customer_ended")


def test_the_caller_and_a_telephone_that_rings_end_together() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        leg = await exchange.placed()
        leg.is_ringing()
        leg.has_ended("busy")
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.statuses[-1] in ("no_answer", "cancelled")
    assert result.ending == ("completed", "customer_ended")


# --- the telephone is answered --------------------------------------------------------------------


def test_somebody_answers_while_the_telephone_is_made_to_stop_ringing() -> None:
    """Too late for the carrier, not for us: they are connected."""
    exchange = FakeExchange()
    exchange.withdraw_s = 2.0

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        await asyncio.sleep(RING_S + 1)
        assert exchange.withdrawn == 1
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await stage.person.waits(1000)
        await person.hang_up()

    result = hold(scene, exchange, target("cold"))
    assert exchange.statuses == ["initiated", "ringing", "connected", "completed"]
    assert result.ending == ("completed", "transferred")


class NeverStops(FakeExchange):
    """The carrier cannot make the telephone stop ringing."""

    async def withdraw(self, leg: SecondLeg, cause: LineCause) -> None:
        self.withdrawn += 1


def test_somebody_answers_when_the_agent_has_the_caller_again() -> None:
    exchange = NeverStops(music=music())
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        await asyncio.sleep(RING_S + ANSWER_GRACE_S + 1)
        people.append(await exchange.answers())
        await back_with_the_agent(stage)
        await stage.person.hang_up()

    result = hold(scene, exchange, target("cold"))
    assert exchange.statuses[-1] == "no_answer"
    assert people[0].ended is not None, "somebody listens to nobody"
    assert result.ending == ("completed", "customer_ended")


# --- yes and no -----------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", ["12", "11"])
def test_no_after_yes_is_too_late(keys: str) -> None:
    exchange = FakeExchange(model=no())

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        for key in keys:
            person.press(key)
        await stage.until("transfer_connected")
        await person.hang_up()

    result = hold(scene, exchange)
    assert exchange.statuses[-2:] == ["connected", "completed"]
    assert result.ending == ("completed", "transferred")


def test_yes_after_no_is_too_late() -> None:
    exchange = FakeExchange(model=yes(), music=music())
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        people.append(await briefed(exchange))
        for key in "21":
            people[0].press(key)
        await back_with_the_agent(stage)
        await stage.person.hang_up()

    hold(scene, exchange)
    assert exchange.moves[-1] == ("declined", "by key")
    assert people[0].ended is not None


@pytest.mark.parametrize("late_s", [-0.02, 0.0, 0.02])
def test_yes_in_the_moment_in_which_the_wait_is_over(late_s: float) -> None:
    """Either they are connected, or both go their ways."""
    exchange = FakeExchange(music=music())
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        people.append(await exchange.answers())
        briefing = await stage.until("transfer_briefing")
        since_ms = stage.call.call_ms - briefing.at_ms
        await asyncio.sleep(DECIDE_S - since_ms / 1000 + late_s)
        people[0].press("1")
        await stage.person.waits(2000)
        if exchange.statuses[-1] == "connected":
            await people[0].hang_up()
        else:
            await back_with_the_agent(stage)
            await stage.person.hang_up()

    result = hold(scene, exchange)
    assert people[0].ended is not None
    took = exchange.statuses[-1] == "completed"
    assert exchange.statuses[-1] in ("completed", "no_answer")
    assert result.ending == ("completed", "transferred" if took else "customer_ended")


def test_the_person_says_yes_and_hangs_up_in_the_same_moment() -> None:
    exchange = FakeExchange(music=music())

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        person.press("1")
        await person.hang_up()
        await stage.person.waits(3000)
        if exchange.statuses[-1] not in ("connected", "completed"):
            await back_with_the_agent(stage)
            await stage.person.hang_up()

    result = hold(scene, exchange)
    ends = {"completed": "transferred", "declined": "customer_ended"}
    assert result.ending == ("completed", ends[exchange.statuses[-1]])


def test_the_carrier_takes_the_person_for_a_machine_after_they_said_yes() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        person.press("1")
        await stage.until("transfer_connected")
        assert exchange.call is not None
        exchange.call.answered_by("machine_start", "machine")
        await stage.person.waits(1000)
        assert exchange.statuses[-1] == "connected"
        await person.hang_up()

    result = hold(scene, exchange)
    assert result.ending == ("completed", "transferred")


# --- on hold --------------------------------------------------------------------------------------


def test_a_caller_who_speaks_into_the_hold_message_does_not_stop_it() -> None:
    exchange = FakeExchange(music=music())
    message = "Please hold the line while I fetch a colleague of mine for you."

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        await stage.until("reply_started", 2)
        await stage.person.says("hello hello are you there")
        await stage.until("hold_started")
        await stage.person.hang_up()

    result = hold(scene, exchange, hold_message=message)
    assert ("assistant", message) in result.transcript
    assert [w.target.name for w in exchange.wishes] == ["Sales"]


class SlowMusic(FakeExchange):
    async def music(self, url: object, format: object) -> tuple[bytes, str | None]:
        await asyncio.sleep(8)
        return self.hold_music, None


def test_music_that_comes_when_the_agent_is_back_is_not_played() -> None:
    exchange = SlowMusic(music=music())

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).has_ended("busy")
        await back_with_the_agent(stage)
        since = asyncio.get_running_loop().time()
        await stage.person.waits(8000)
        assert not hears(stage.person, since)
        await stage.person.hang_up()

    hold(scene, exchange)
    assert exchange.statuses[-1] == "no_answer"


def test_the_agents_maximum_does_not_end_a_wait_on_hold() -> None:
    exchange = FakeExchange(music=music())

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        await stage.person.waits(25_000)
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await person.hang_up()

    result = hold(scene, exchange, target("cold"), max_call_duration_s=15)
    assert result.ending == ("completed", "transferred")


def test_an_operator_ends_the_call_during_the_briefing() -> None:
    exchange = FakeExchange()
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        people.append(await briefed(exchange))
        stage.call.hang_up("operator_ended")

    hold(scene, exchange)
    assert exchange.moves[-1] == ("cancelled", "the caller's call ended")
    assert people[0].ended is not None
