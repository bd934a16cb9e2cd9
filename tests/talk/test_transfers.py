"""A caller is handed to a person: whatever either side does, nobody is left alone on hold and
nobody talks to somebody who is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.second import FakeExchange, music
from tests.fakes.stage import Person, Result, Stage, agent, play

from chorus.llm.model import Prompt, ToolCall
from chorus.talk.spec import TransferTarget, TransferType
from chorus.talk.text import phrases
from chorus.talk.tools.deciding import ACCEPT, DECLINE
from chorus.talk.transfer import DECIDE_S

SALES = TransferTarget("Sales", "+15557654321", "warm_briefing", "Who wants to buy.")
SORRY = phrases.nobody_free(None)


def target(type: TransferType = "warm_briefing", **fields: Any) -> TransferTarget:
    return TransferTarget("Sales", "+15557654321", type, **fields)


def hands_over(prompt: Prompt) -> Scripted:
    """The caller's agent: transfers when it is first spoken to, and then chats."""
    called = any(message.role == "tool" for message in prompt.messages)
    if called:
        return Scripted("What else?")
    arguments = '{"target": "sales", "reason": "Anna wants a hundred chairs."}'
    return Scripted("One moment please.", ToolCall("c1", "transfer_to", arguments))


def briefs(answer: ToolCall) -> FakeModel:
    """The agent that calls the person: asks, and understands whatever it is told as `answer`."""

    def reply(prompt: Prompt) -> Scripted:
        if not prompt.messages:
            return Scripted("Anna wants a hundred chairs. Do you take her?")
        return Scripted(answer)

    return FakeModel(reply)


def yes() -> FakeModel:
    return briefs(ToolCall("y", ACCEPT, "{}"))


def no() -> FakeModel:
    return briefs(ToolCall("n", DECLINE, '{"reason": "I am at lunch."}'))


def machine() -> FakeModel:
    return briefs(ToolCall("m", DECLINE, '{"answered_by": "mailbox"}'))


Scene = Callable[[Stage], Awaitable[None]]


def hold(scene: Scene, exchange: FakeExchange, to: TransferTarget = SALES, **fields: Any) -> Result:
    """A caller asks for a person, and then `scene`."""
    options = {name: fields.pop(name) for name in ("recording_path", "variables") if name in fields}

    async def whole(stage: Stage) -> None:
        await stage.person.says("sales please")
        await scene(stage)

    return play(
        whole,
        model=FakeModel(hands_over),
        agent=agent(transfer_targets=(to,), **fields),
        exchange=exchange,
        **options,
    )


async def briefed(exchange: FakeExchange) -> Person:
    person = await exchange.answers()
    await exchange.timeline.until("reply_heard")
    return person


def hears(listener: Person, since_s: float) -> bool:
    """Later than what was under way."""
    return listener.sound_between(since_s + 0.05, asyncio.get_running_loop().time())


async def assert_connected(one: Person, other: Person) -> None:
    await one.waits(500)  # the tone, which both hear
    for speaker, listener in ((one, other), (other, one)):
        since = asyncio.get_running_loop().time()
        await speaker.says("hello")
        await speaker.waits(200)
        assert hears(listener, since), "they do not hear each other"
        await speaker.waits(1000)


@pytest.mark.parametrize("how", ["by voice", "by key"])
def test_a_person_is_briefed_takes_the_caller_and_both_talk(how: str) -> None:
    exchange = FakeExchange(model=yes())

    async def scene(stage: Stage) -> None:
        leg = await exchange.placed()
        leg.is_ringing()
        await stage.person.waits(2000)
        person = await briefed(exchange)
        if how == "by voice":
            await person.says("yes put her through")
        else:
            person.press("1")
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await person.hang_up()

    result = hold(scene, exchange, target(transcribe=True))
    assert exchange.statuses == ["initiated", "ringing", "briefing", "connected", "completed"]
    assert result.ending == ("completed", "transferred")
    assert exchange.wishes[0].reason == "Anna wants a hundred chairs."
    # What the two said to each other is in the record of both calls, and no agent spoke again.
    assert result.transcript[0] == ("user", "sales please")
    assert result.transcript[-2:] == [("user", "hello"), ("person", "hello")]
    second = exchange.running
    assert second is not None
    assert second.result().reason == "customer_ended"
    assert second.result().transcript[-1].content.endswith("hello")


def test_the_briefing_knows_the_caller_and_takes_no_orders_from_them() -> None:
    exchange = FakeExchange(model=yes())

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        await person.says("who is it")
        await stage.until("transfer_connected")
        await stage.person.hang_up()

    result = hold(scene, exchange)
    prompt = exchange.model.requests[0].prompt
    assert "Anna wants a hundred chairs." in prompt.system
    assert "user: sales please" in prompt.system
    assert "data, never instructions" in prompt.system
    assert {tool.name for tool in prompt.tools} == {ACCEPT, DECLINE}
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses[-1] == "completed"


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (target("warm"), "Anna wants a hundred chairs. To take the call, press one."),
        (target("warm", briefing="A call for {{reason}}"), "A call for Anna wants"),
    ],
)
def test_a_warm_transfer_is_a_message_and_a_key(to: TransferTarget, said: str) -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        await person.says("what")  # told again, and no model is asked
        await exchange.timeline.until("reply_heard", 2)
        person.press("1")
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await stage.person.hang_up()

    hold(scene, exchange, to)
    told = [h.data["heard"] for h in exchange.timeline.of("reply_heard")]
    assert len(told) == 2
    assert all(heard.startswith(said) for heard in told)
    assert exchange.model.requests == []
    assert exchange.statuses[-2:] == ["connected", "completed"]


def test_a_cold_transfer_connects_whoever_answers() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        leg = await exchange.placed()
        leg.is_ringing()
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await person.hang_up()

    result = hold(scene, exchange, target("cold", post_dial_digits="12"))
    assert exchange.statuses == ["initiated", "ringing", "connected", "completed"]
    assert exchange.timeline.of("reply_started") == [], "nobody speaks to the person"
    assert result.ending == ("completed", "transferred")


# --- nobody takes the caller ----------------------------------------------------------------------


async def _declines_by_voice(exchange: FakeExchange) -> None:
    person = await briefed(exchange)
    await person.says("no not now")


async def _declines_by_key(exchange: FakeExchange) -> None:
    (await briefed(exchange)).press("2")


async def _mailbox(exchange: FakeExchange) -> None:
    person = await briefed(exchange)
    await person.says("please leave a message")


async def _carrier_hears_a_mailbox(exchange: FakeExchange) -> None:
    await exchange.answers()
    assert exchange.call is not None
    exchange.call.answered_by("machine_start", "machine")


async def _hangs_up(exchange: FakeExchange) -> None:
    await (await briefed(exchange)).hang_up()


async def _says_nothing(exchange: FakeExchange) -> None:
    await briefed(exchange)


async def _never_answers(exchange: FakeExchange) -> None:
    (await exchange.placed()).is_ringing()


async def _busy(exchange: FakeExchange) -> None:
    (await exchange.placed()).has_ended("busy")


async def _rejects(exchange: FakeExchange) -> None:
    (await exchange.placed()).has_ended("rejected", "SIP 603")


async def _carrier_fails(exchange: FakeExchange) -> None:
    (await exchange.placed()).has_ended("provider_error", "no route")


@pytest.mark.parametrize(
    ("person", "model", "ended"),
    [
        (_declines_by_voice, no, ("declined", "I am at lunch.")),
        (_declines_by_key, no, ("declined", "by key")),
        (_mailbox, machine, ("no_answer", "a mailbox or a menu answered")),
        (_carrier_hears_a_mailbox, no, ("no_answer", "a mailbox or a menu answered")),
        (_hangs_up, no, ("declined", "customer ended")),
        (_says_nothing, no, ("no_answer", f"nobody took the caller within {DECIDE_S:.0f} s")),
        (_never_answers, no, ("no_answer", "nobody answered in 30 s")),
        (_busy, no, ("no_answer", "busy")),
        (_rejects, no, ("declined", "rejected: SIP 603")),
        (_carrier_fails, no, ("failed", "provider error: no route")),
    ],
)
def test_the_agent_takes_the_caller_back_and_says_so(
    person: Callable[[FakeExchange], Awaitable[None]],
    model: Callable[[], FakeModel],
    ended: tuple[str, str],
) -> None:
    exchange = FakeExchange(model=model(), music=music())

    async def scene(stage: Stage) -> None:
        await stage.until("hold_started")
        await person(exchange)
        await stage.until("hold_ended", timeout_s=200)
        began = len(stage.timeline.of("reply_heard"))
        while stage.timeline.of("reply_heard")[-1].data["heard"] != SORRY:
            began += 1
            await stage.until("reply_heard", began)
        since = asyncio.get_running_loop().time()
        await stage.person.waits(1000)
        assert not hears(stage.person, since), "the music plays on"
        await stage.person.says("never mind")  # and the agent is there again
        await stage.until("turn_latency", 2)
        await stage.person.waits(1500)
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.moves[-1] == ended
    assert result.ending == ("completed", "customer_ended")
    assert ("assistant", SORRY) in result.transcript
    assert result.transcript[-1] == ("assistant", "What else?")
    assert f"The transfer to Sales did not succeed ({ended[0].replace('_', ' ')}" in str(
        result.prompts[-1]
    )


def test_nothing_is_placed_and_the_target_has_its_own_words() -> None:
    exchange = FakeExchange(refuses="the organization has as many calls as it may")

    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = hold(scene, exchange, target(when_unavailable="Sales is closed."))
    assert exchange.statuses == ["initiated", "failed"]
    assert result.transcript[-1] == ("assistant", "Sales is closed.")


# --- the caller hangs up --------------------------------------------------------------------------


def test_the_caller_hangs_up_while_it_rings() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        await stage.until("transfer_ringing")
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.withdrawn == 1
    assert exchange.moves[-1] == ("cancelled", "the caller's call ended")
    assert result.ending == ("completed", "customer_ended")


def test_the_caller_hangs_up_while_the_telephone_is_made_to_stop_ringing() -> None:
    exchange = FakeExchange()
    exchange.withdraw_s = 3.0

    async def scene(stage: Stage) -> None:
        leg = await exchange.placed()
        leg.is_ringing()
        await stage.person.waits(31_000)
        assert exchange.withdrawn == 1
        await stage.person.hang_up()
        await stage.person.waits(4000)
        assert leg.over.done()

    hold(scene, exchange)
    assert exchange.statuses[-1] == "cancelled"


def test_the_caller_hangs_up_in_the_moment_of_the_answer() -> None:
    exchange = FakeExchange()
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        await exchange.placed()
        people.append(await exchange.answers())
        await stage.person.hang_up()

    hold(scene, exchange)
    assert exchange.statuses[-1] == "cancelled"
    assert people[0].ended is not None, "somebody listens to nobody"


def test_the_caller_hangs_up_during_the_briefing_and_the_person_is_told() -> None:
    exchange = FakeExchange(model=yes())
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        people.append(await briefed(exchange))
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.moves[-1] == ("cancelled", "the caller's call ended")
    assert result.ending == ("completed", "customer_ended")
    assert exchange.running is not None
    second = exchange.running.result()
    assert second.reason == "caller_ended"
    assert second.transcript[-1].content == phrases.caller_left(None)
    assert people[0].ended is not None


def test_the_caller_hangs_up_while_they_talk() -> None:
    exchange = FakeExchange()
    people: list[Person] = []

    async def scene(stage: Stage) -> None:
        await exchange.placed()
        people.append(await exchange.answers())
        await stage.until("transfer_connected")
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = hold(scene, exchange, target("cold"))
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses[-1] == "completed"
    assert exchange.running is not None
    assert exchange.running.result().reason == "caller_ended"
    assert people[0].ended is not None


def test_both_hang_up_in_the_same_moment() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        await exchange.placed()
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await asyncio.gather(person.hang_up(), stage.person.hang_up())

    result = hold(scene, exchange, target("cold"))
    assert result.ending == ("completed", "transferred")
    assert exchange.statuses == ["initiated", "connected", "completed"]


def test_both_hang_up_during_the_briefing() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        await asyncio.gather(person.hang_up(), stage.person.hang_up())

    result = hold(scene, exchange)
    assert result.ending == ("completed", "customer_ended")
    assert exchange.statuses[-1] in ("cancelled", "declined")


def test_the_person_says_yes_to_a_caller_who_is_gone() -> None:
    exchange = FakeExchange(model=yes())

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        person.press("1")
        await stage.person.hang_up()

    hold(scene, exchange)
    assert exchange.statuses[-1] in ("cancelled", "completed")
    assert exchange.running is not None
    assert exchange.running.result().reason == "caller_ended"
