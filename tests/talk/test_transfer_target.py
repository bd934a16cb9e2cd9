"""What a target asks for: what is written down of two people who talk, and headers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.second import FakeExchange
from tests.fakes.stage import Result, Stage, agent, play
from tests.talk.test_transfers import SORRY, Scene, briefed, hold, target, yes

from chorus.talk.transfer import Wish


@pytest.mark.parametrize("wanted", [True, False])
def test_two_people_are_written_down_where_it_is_wanted_and_not_listened_to_else(
    wanted: bool,
) -> None:
    exchange = FakeExchange(model=yes())

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        person.press("1")
        await stage.until("transfer_connected")
        await person.waits(500)
        await person.says("sales this is tom")
        await person.waits(3000)
        await stage.person.says("i want a hundred chairs")
        await stage.person.waits(3000)
        await person.says("bye then")
        await person.waits(200)  # in the middle of their turn
        await person.hang_up()

    result = hold(scene, exchange, target(transcribe=wanted))
    assert result.ending == ("completed", "transferred")
    assert exchange.running is not None
    second = exchange.running.result()
    two = [line for line in result.transcript if line[0] != "assistant"]
    said = [("user", "sales please"), ("person", "sales this is tom")]
    said.append(("user", "i want a hundred chairs"))
    assert two == (said if wanted else said[:1])
    words = [line.content for line in second.transcript if line.role == "user"]
    assert words == (["sales this is tom bye then"] if wanted else [])
    for timeline in (result.timeline, exchange.timeline):
        assert len(timeline.of("transcriber_stopped")) == (0 if wanted else 1)
    spoken = [happening.data["text"] for happening in result.timeline.of("person_said")]
    assert spoken == (["sales this is tom"] if wanted else [])


def test_headers_are_filled_in_for_each_call() -> None:
    exchange = FakeExchange(model=yes())
    headers = (("X-Why", "{{reason}}"), ("X-Who", "{{callerNumber}}"), ("X-Id", "{{order}}"))

    async def scene(stage: Stage) -> None:
        leg = await exchange.placed()
        assert leg.headers[0] == ("X-Why", "Anna wants a hundred chairs.")
        assert leg.headers[1][1].startswith("+1")
        assert leg.headers[2] == ("X-Id", "")
        await stage.person.hang_up()

    hold(scene, exchange, target("cold", headers=headers))


def wished(scene: Scene, exchange: FakeExchange, wish: Wish, **options: Any) -> Result:
    """A call that is to be handed over at once, and then `scene`."""

    async def whole(stage: Stage) -> None:
        await stage.until("answered")
        await stage.person.waits(100)
        stage.call.transfer(wish)
        await scene(stage)

    return play(whole, exchange=exchange, **options)


VALUES = {"name": "Anna", "card": "4711", "said": "{{card}} {{name}} {{nothing}}"}


@pytest.mark.parametrize("type", ["warm", "warm_briefing"])
@pytest.mark.parametrize(
    ("briefing", "heard"),
    [
        ("It is {{name}}: {{said}}.", "It is Anna: {{card}} {{name}} {{nothing}}."),
        ("{{reason}}", "Wants {{name}} and {{card}}"),
        (None, "Wants {{name}} and {{card}}"),
    ],
)
def test_values_are_data_to_the_person(type: Any, briefing: str | None, heard: str) -> None:
    """Whatever braces a variable or a reason holds: they are heard, and show nothing else."""
    exchange = FakeExchange(model=yes())

    wish = Wish(target(type, briefing=briefing), "Wants {{name}} and {{card}}", "api")

    async def scene(stage: Stage) -> None:
        person = await briefed(exchange)
        if type == "warm":
            await person.says("what")  # it is said again, word for word
            await exchange.timeline.until("reply_heard", 2)
        person.press("1")
        await stage.until("transfer_connected")
        await stage.person.hang_up()

    wished(scene, exchange, wish, variables=VALUES)
    said = [str(each.data["heard"]) for each in exchange.timeline.of("reply_heard")]
    if type == "warm_briefing" and briefing is None:  # the model has the reason as it is
        assert heard in exchange.model.requests[-1].prompt.system
        return
    assert all(each.startswith(heard) for each in said), said
    assert len(said) == (2 if type == "warm" else 1)


def test_what_the_caller_hears_is_filled_in_once() -> None:
    exchange = FakeExchange(refuses="no room")
    wanted = target("warm", when_unavailable="{{name}}, nobody for {{reason}} {{callerNumber}}.")

    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    agent_of = agent(hold_message="One moment {{said}}.")
    wish = Wish(wanted, "{{card}}", "api")
    result = wished(scene, exchange, wish, agent=agent_of, variables=VALUES)
    told = [content for role, content in result.transcript if role == "assistant"]
    assert told[-2] == "One moment {{card}} {{name}} {{nothing}}."
    assert told[-1] == "Anna, nobody for {{card}} +15551230000."


def test_a_text_that_is_empty_without_its_variable_is_not_said() -> None:
    exchange = FakeExchange(refuses="no room")

    async def scene(stage: Stage) -> None:
        await stage.until("hold_ended")
        await stage.person.waits(8000)
        await stage.person.hang_up()

    wish = Wish(target("warm", when_unavailable="{{gone}}"), "", "api")
    result = wished(scene, exchange, wish, agent=agent(hold_message="{{gone}}"))
    assert result.transcript[-1] == ("assistant", SORRY)
    assert result.of("variables_missing")[0]["names"] == ["gone"]
