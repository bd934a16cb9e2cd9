"""Keys in the middle of a conversation: those the agent asks for, and those that it presses."""

from __future__ import annotations

import json
import logging
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.stage import BOOK, Result, Stage, Tools, agent, play

from chorus.audio.frame import MULAW_8K
from chorus.lines.dtmf import tones
from chorus.llm.model import Prompt, ToolCall
from chorus.talk.keypad import Keypad
from chorus.talk.spec import HttpTool, HttpToolField, KeyInput

PIN = KeyInput("pin", "Proves who they are.", min_length=4, max_length=4, secret=True)
ORDER = KeyInput("order", max_length=6)
SECRET = "7394"


def asks_for(name: str, then: str | Callable[[Prompt], Scripted] = "Thank you.") -> FakeModel:
    """Asks for an input when it is first spoken to."""

    def reply(prompt: Prompt) -> Scripted:
        if not any(m.role == "tool" for m in prompt.messages):
            arguments = json.dumps({"input": name})
            return Scripted("Please enter it now.", ToolCall("c", "collect_keys", arguments))
        return Scripted(then) if isinstance(then, str) else then(prompt)

    return FakeModel(reply)


def everything(result: Result) -> str:
    """All that a record of the call holds, and all that the model was shown."""
    told = [(h.kind, dict(h.data)) for h in result.timeline.happenings]
    return json.dumps([told, result.transcript, result.prompts], ensure_ascii=False)


async def asked(stage: Stage) -> None:
    await stage.person.says("my order please", 700)
    await stage.until("keys_awaited")
    await stage.until("reply_heard")


@pytest.mark.parametrize(
    ("keys", "entered"),
    [("123456", "123456"), ("12#", "12"), ("123456#", "123456"), ("*1#", "*1")],
)
def test_an_input_ends_with_its_length_or_its_key(keys: str, entered: str) -> None:
    async def scene(stage: Stage) -> None:
        await asked(stage)
        stage.person.press(keys)
        await stage.until("turn_committed", 2, timeout_s=1.0)
        await stage.until("reply_heard", 2)
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = play(scene, model=asks_for("order"), agent=agent(key_inputs=(ORDER,)))
    [got] = result.of("keys_collected")
    assert (got["digits"], got["count"], got["complete"]) == (entered, len(entered), True)
    assert result.transcript[2] == ("user", f"[pressed {' '.join(entered)}]")
    assert [role for role, _ in result.transcript] == ["user", "assistant"] * 2


def test_slow_keys_are_one_input_and_a_pause_ends_it() -> None:
    async def scene(stage: Stage) -> None:
        await asked(stage)
        for digit in "12":
            stage.person.press(digit)
            await stage.person.waits(2200)  # longer than between the keys of a turn
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=asks_for("order"), agent=agent(key_inputs=(ORDER,)))
    assert [each["digits"] for each in result.of("keys_collected")] == ["12"]


def test_keys_cut_off_the_question_and_count() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("my order please", 700)
        await stage.until("reply_started")
        await stage.person.waits(300)
        stage.person.press("12#")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=asks_for("order"), agent=agent(key_inputs=(ORDER,)))
    assert [each["digits"] for each in result.of("keys_collected")] == ["12"]
    assert result.of("interrupted")[0]["by"] == "digit"


def test_nothing_is_entered() -> None:
    async def scene(stage: Stage) -> None:
        await asked(stage)
        await stage.until("keys_missing")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(
        scene, model=asks_for("order", "Are you there?"), agent=agent(key_inputs=(ORDER,))
    )
    [missing] = result.timeline.of("keys_missing")
    [heard, _] = result.timeline.of("reply_heard")
    assert missing.at_ms - heard.at_ms == pytest.approx(10_000, abs=200)
    assert "No key was pressed for order" in str(result.prompts[-1])


def test_too_few_keys_are_told() -> None:
    async def scene(stage: Stage) -> None:
        await asked(stage)
        stage.person.press("12#")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=asks_for("pin"), agent=agent(key_inputs=(PIN,)))
    [got] = result.of("keys_collected")
    assert (got["count"], got["complete"], got["digits"]) == (2, False, None)
    assert "fewer than 4" in str(result.prompts[-1])


def checks_pin(prompt: Prompt) -> Scripted:
    tools = [m for m in prompt.messages if m.role == "tool"]
    if len(tools) == 1:
        return Scripted(ToolCall("b", "book", '{"code": "{{pin}}", "party": 2}'))
    return Scripted("You are who you say.")


def test_a_secret_reaches_the_tool_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent: list[Any] = []

    class Server(Tools):
        async def send(self, method: str, url: str, **options: Any) -> Any:
            sent.append((json.loads(options["content"]), dict(options["headers"])))
            return await super().send(method, url, **options)

    book = HttpTool(
        "book",
        "Books.",
        BOOK.url,
        headers=(("X-Pin", "{{pin}}"),),
        fields=(HttpToolField("code", "string"), HttpToolField("party", "integer")),
    )

    async def scene(stage: Stage) -> None:
        await asked(stage)
        stage.person.press("7")
        stage.person.line.play(tones("7", MULAW_8K))  # as some carriers leave it in the sound
        await stage.person.waits(500)
        stage.person.press("394")
        stage.person.line.play(tones("394", MULAW_8K))
        await stage.person.waits(1000)
        stage.person.press("#")  # some press it anyway
        await stage.until("reply_heard", 2)
        await stage.person.waits(2000)
        await stage.person.says("thanks a lot", 900)
        await stage.person.waits(1500)
        await stage.person.hang_up()

    path = tmp_path / "call.wav"
    result = play(
        scene,
        model=asks_for("pin", checks_pin),
        agent=agent(key_inputs=(PIN,), tools=(book,)),
        tools=Server().set("book", {"echo": SECRET, "ok": True}),
        recording_path=str(path),
    )
    assert sent == [({"code": SECRET, "party": 2}, sent[0][1])]
    assert sent[0][1]["X-Pin"] == SECRET
    record = everything(result)
    assert SECRET not in record
    assert SECRET not in caplog.text
    for digit in SECRET:
        assert f'"digit": "{digit}"' not in record
    assert "[pressed • • • •]" in record
    assert '"echo": "••••"' in record.replace("\\", "")
    # Recorded: what they said before and after, and nothing of the keys.
    with wave.open(str(path)) as file:
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    left = np.abs(np.frombuffer(sound, "<i2").reshape(-1, 2)[:, 0].astype(int))
    begun = result.timeline.of("keys_awaited")[0].at_ms * rate // 1000
    ended = (result.timeline.of("keys_collected")[0].at_ms + 1200) * rate // 1000
    assert left[:begun].max() > 1000
    assert left[begun + rate // 20 : ended].max() == 0
    assert left[ended + 2 * rate :].max() > 1000


def test_a_caller_who_hangs_up_in_mid_secret_leaves_no_keys() -> None:
    async def scene(stage: Stage) -> None:
        await asked(stage)
        stage.person.press("73")
        await stage.person.waits(200)
        await stage.person.hang_up()

    result = play(scene, model=asks_for("pin"), agent=agent(key_inputs=(PIN,)))
    assert result.transcript[-1] == ("user", "[pressed • •]")
    assert '"7"' not in everything(result)


def test_a_caller_who_speaks_is_answered_and_may_enter_afterwards() -> None:
    def then(prompt: Prompt) -> Scripted:
        asked = "where" in prompt.messages[-1].content
        return Scripted("It is on your card." if asked else "Thanks.")

    async def scene(stage: Stage) -> None:
        await asked(stage)
        await stage.person.says("where do i find it", 900)
        await stage.until("reply_heard", 2)
        await stage.person.waits(6000)
        stage.person.press(SECRET)
        await stage.until("reply_heard", 3)
        await stage.person.hang_up()

    result = play(scene, model=asks_for("pin", then), agent=agent(key_inputs=(PIN,)))
    assert [each["complete"] for each in result.of("keys_collected")] == [True]
    assert SECRET not in everything(result)
    assert ("assistant", "It is on your card.") in result.transcript


def test_keys_that_nobody_asked_for_are_as_ever() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        stage.person.press("12#")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Yes."]), agent=agent(key_inputs=(PIN,)))
    assert result.transcript[0] == ("user", "[pressed 1 2 #]")


# --- pressing keys ---------------------------------------------------------------------------


def presses(*items: str | ToolCall) -> FakeModel:
    def reply(prompt: Prompt) -> Scripted:
        done = any(m.role == "tool" for m in prompt.messages)
        return Scripted("Anything else?") if done else Scripted(*items)

    return FakeModel(reply)


def keys(written: str) -> ToolCall:
    return ToolCall("k", "press_keys", json.dumps({"keys": written}))


MAY = agent(allow_press_keys=True)


def pressed(result: Result) -> list[str]:
    return [each["keys"] for each in result.of("keys_pressed")]


def test_the_agent_presses_without_a_word_and_waits() -> None:
    got: list[str] = []

    async def scene(stage: Stage) -> None:
        stage.person.line_digit = got.append  # type: ignore[method-assign]
        await stage.person.says("for sales press two", 900)
        await stage.until("keys_pressed")
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = play(scene, model=presses(keys("2 - 0w 4 #")), agent=MAY)
    assert pressed(result) == ["20w4#"]
    assert "".join(got) == "204#"
    assert [role for role, _ in result.transcript] == ["user"]
    assert len(result.prompts) == 1  # nothing to say: the menu goes on


def test_what_is_said_is_heard_before_the_keys() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("for sales press two", 900)
        await stage.until("keys_pressed")
        await stage.person.hang_up()

    result = play(scene, model=presses("One moment.", keys("2")), agent=MAY)
    [heard] = result.timeline.of("reply_heard")
    [done] = result.timeline.of("keys_pressed")
    assert done.at_ms >= heard.at_ms


@pytest.mark.parametrize("written", ["", "12x", "1" * 33, "one"])
def test_what_is_no_key_is_told_to_the_model(written: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("for sales press two", 900)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=presses(keys(written)), agent=MAY)
    assert pressed(result) == []
    assert "keys must be 1 to 32" in result.of("tool_result")[0]["result"]


def test_an_agent_that_may_not_is_not_offered_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello", 600)
        await stage.until("reply_heard")
        stage.call.press_keys("5")  # whoever asks over the API may
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Hi."]))
    names = [tool.name for tool in result.stage.model.requests[0].prompt.tools]
    assert "press_keys" not in names
    assert "collect_keys" not in names
    assert result.of("keys_pressed") == [{"keys": "5", "by": "api"}]


def test_two_tools_of_one_reply_are_both_done_once_it_was_heard() -> None:
    """Nothing that the model was told is done goes undone for what it asked for next."""

    async def scene(stage: Stage) -> None:
        await stage.person.says("for sales press two", 900)
        await stage.until("keys_pressed", 2)
        await stage.person.hang_up()

    second = ToolCall("k2", "press_keys", json.dumps({"keys": "3"}))
    result = play(scene, model=presses("One moment.", keys("2"), second), agent=MAY)
    assert pressed(result) == ["2", "3"]


def test_a_secret_that_was_taken_back_is_known_no_more() -> None:
    keypad = Keypad(lambda: 0.0, lambda *_, **__: None)
    keypad.begin(PIN)
    for digit in SECRET:
        keypad.press(digit)
    keypad.turn_over(SECRET)
    assert keypad.unmasked("{{pin}}") == SECRET
    keypad.retracted()
    assert keypad.unmasked("{{pin}}") == "{{pin}}"
    assert keypad.masked(f"order {SECRET}") == f"order {SECRET}"
    assert keypad.values == {}


def test_a_secret_is_masked_as_a_url_has_it() -> None:
    """What is wrong with a request may hold its URL, in which `*` and `#` are written otherwise."""
    keypad = Keypad(lambda: 0.0, lambda *_, **__: None)
    for name, digits in (("part", "8*1"), ("pin", "8*137")):
        keypad.begin(KeyInput(name, "", terminator=None, secret=True))
        keypad.turn_over(digits)
    for form in ("8*137", "8%2A137", "8%2a137"):
        assert keypad.masked(f"{form}, {form}") == "•••••, •••••"
