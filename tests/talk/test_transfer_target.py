"""What a target asks for: what is written down of two people who talk, and headers."""

from __future__ import annotations

import pytest
from tests.fakes.second import FakeExchange
from tests.fakes.stage import Stage
from tests.talk.test_transfers import YES, briefed, hold, target


@pytest.mark.parametrize("wanted", [True, False])
def test_two_people_are_written_down_where_it_is_wanted_and_not_listened_to_else(
    wanted: bool,
) -> None:
    exchange = FakeExchange(model=YES)

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
    exchange = FakeExchange(model=YES)
    headers = (("X-Why", "{{reason}}"), ("X-Who", "{{callerNumber}}"), ("X-Id", "{{order}}"))

    async def scene(stage: Stage) -> None:
        leg = await exchange.placed()
        assert leg.headers[0] == ("X-Why", "Anna wants a hundred chairs.")
        assert leg.headers[1][1].startswith("+1")
        assert leg.headers[2] == ("X-Id", "")
        await stage.person.hang_up()

    hold(scene, exchange, target("cold", headers=headers))
