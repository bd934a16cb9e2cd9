"""The script model: the language, the understanding of callers, and the replay of a history."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.virtual import run_virtual

from chorus.llm.model import Message, ModelFailed, Prompt, TextDelta, ToolCall, ToolSpec
from chorus.llm.script import END_CALL, ScriptModel, answer
from chorus.llm.script_parse import ScriptError, parse

RESTAURANT = """You are the host of a restaurant. A model would read this; the script is below.

script:
# What holds at any time
at start: say "Chorus Bistro, good evening."
when caller says "book a table for {party:number} on {day}":
    remember party = {party}
    go to confirm; say "A table for {party} on {day}. Is that right?"
when caller says "book a table" or "reserve": say "For how many?" and go to party
when caller says "bye" or "goodbye": say "Goodbye." and end
when tool book_table fails: say "I could not book that: {result.error}"
otherwise: say "Sorry, I did not catch that."
otherwise again: say "You can book a table, or say bye." and expect "what can I do"

step party:
    when caller says "{party:number}": go to confirm, say "For {party}, today. Is that right?"
    otherwise: say "Please say a number."

step confirm:
    when caller says "yes" or "right":
        say "One moment."
        call book_table with party = {party}, note = "for {party}", vip = false
        then say "Booked. Your code is {result.code}, table {book_table.tables.0}."
        then go to done
    when caller says "no": say "Then again: for how many?" and go to party

step done:
    when caller says "thanks": say "You are welcome. Goodbye." then end
"""
END = ToolSpec(END_CALL, "Hangs up.", {"type": "object"})


def said(*messages: Message | str, system: str = RESTAURANT, tools: Any = (END,)) -> Any:
    """The reply to a history in which text is the caller's: text alone, or text and calls."""
    history = tuple(Message("user", m) if isinstance(m, str) else m for m in messages)
    items = list(answer(Prompt(system, history, tools)))
    text = "".join(i.text for i in items if isinstance(i, TextDelta))
    calls = [i for i in items if isinstance(i, ToolCall)]
    return (text, *calls) if calls else text


def agent(text: str = "", *calls: ToolCall) -> Message:
    return Message("assistant", text, calls)


# --- a conversation ----------------------------------------------------------------------------


def test_a_whole_call() -> None:
    assert said() == "Chorus Bistro, good evening."
    history: list[Message | str] = [agent("Chorus Bistro, good evening."), "I'd like to reserve."]
    assert said(*history) == "For how many?"
    history += [agent("For how many?"), "Um, four of us"]
    assert said(*history) == "For 4, today. Is that right?"
    history += [agent("For 4, today. Is that right?"), "Yes!"]
    call = ToolCall("script_1", "book_table", '{"party": 4, "note": "for 4", "vip": false}')
    assert said(*history) == ("One moment.", call)
    history += [
        agent("One moment.", call),
        Message("tool", '{"code": "A7", "tables": [12]}', tool_call_id="script_1"),
    ]
    assert said(*history) == "Booked. Your code is A7, table 12."
    history += [agent("Booked. Your code is A7, table 12."), "Thanks a lot"]
    end = ToolCall("script_2", "end_call", "{}")
    assert said(*history) == ("You are welcome. Goodbye.", end)


def test_text_streams_word_by_word() -> None:
    items = list(answer(Prompt(RESTAURANT, (Message("user", "bye"),), (END,))))
    assert items == [TextDelta("Goodbye."), ToolCall("script_1", "end_call", "{}")]
    assert [i.text for i in answer(Prompt(RESTAURANT, ())) if isinstance(i, TextDelta)] == [
        *("Chorus", " Bistro,", " good", " evening.")
    ]


def test_it_does_not_hang_up_where_it_may_not() -> None:
    assert said("bye", tools=()) == "Goodbye."


def test_a_failed_tool_has_its_own_answer() -> None:
    call = ToolCall("script_1", "book_table", "{}")
    failed = Message("tool", '{"error": "full"}', tool_call_id="script_1")
    start = ("book a table for two on friday", agent("Right?"), "yes", agent("", call), failed)
    assert said(*start) == "I could not book that: full"
    assert said(*start, agent("…"), "no") == "Then again: for how many?", "the step is the same"
    plain = 'script:\nwhen caller says "go": call x; say "done {x}"'
    start = ("go", agent("", ToolCall("1", "x", "{}")))
    assert said(*start, failed, system=plain) == ""  # the result of some other call
    mine = Message("tool", '{"error": 1}', tool_call_id="1")
    assert said(*start, mine, system=plain) == "Sorry, that did not work."
    text = Message("tool", "no JSON", tool_call_id="1")
    assert said(*start, text, system=plain) == "done no JSON"


def test_any_tools_failure_can_be_answered() -> None:
    script = 'script:\nwhen caller says "go": call x\nwhen tool fails: say "Oh: {result.error}"'
    failed = Message("tool", '{"error": "x"}', tool_call_id="1")
    assert said("go", agent("", ToolCall("1", "x", "{}")), failed, system=script) == "Oh: x"


def test_tools_one_after_the_other_each_with_the_result_of_the_one_before() -> None:
    script = 'script:\nwhen caller says "go": call a; call b with id = {a.id}; say "{b.name}"'
    first = ToolCall("script_1", "a", "{}")
    assert said("go", system=script) == ("", first)
    history = ("go", agent("", first), Message("tool", '{"id": 7}', tool_call_id="script_1"))
    second = ToolCall("script_2", "b", '{"id": 7}')
    assert said(*history, system=script) == ("", second)
    history = (*history, agent("", second), Message("tool", '{"name": "x"}', (), "script_2"))
    assert said(*history, system=script) == "x"


def test_a_look_up_that_the_caller_cut_short_has_not_failed() -> None:
    script = (
        'script:\nwhen caller says "go": call x; go to b; say "{x.cancelled}"\n'
        'when tool x fails: go to b\nwhen caller says "where": say "still here"\n'
        'step b:\nwhen caller says "where": say "in b"'
    )
    start = ("go", agent("", ToolCall("1", "x", "{}")))
    cut = Message("tool", '{"cancelled": true, "note": "The caller spoke."}', tool_call_id="1")
    assert said(*start, cut, "where", system=script) == "still here"
    # What a tool itself calls so is its answer.
    theirs = Message("tool", '{"cancelled": true, "error": null}', tool_call_id="1")
    assert said(*start, theirs, system=script) == "true"


def test_a_caller_who_goes_on_before_the_result_is_answered() -> None:
    call = ToolCall("script_1", "book_table", "{}")
    start = ("book a table for two on friday", agent("Right?"), "yes", agent("One moment.", call))
    assert said(*start, "bye") == ("Goodbye.", ToolCall("script_2", "end_call", "{}"))


def test_what_is_not_understood() -> None:
    assert said("what is the weather") == "Sorry, I did not catch that."
    assert said("weather", agent("Sorry"), "rain") == "You can book a table, or say bye."
    assert said("weather", agent(), "reserve", agent(), "rain") == "Please say a number."
    assert said("") == "Sorry, I did not catch that."
    bare = 'script:\nwhen caller says "a b": say "x"'
    assert said("weather", system=bare) == "Sorry, I did not understand that."


def test_nothing_is_said_to_ones_own_words() -> None:
    assert said("bye", agent("Goodbye.")) == ""


def test_an_equal_history_gives_an_equal_reply() -> None:
    history = ("book a table", agent("For how many?"), "twenty")
    assert len({said(*history) for _ in range(3)}) == 1


def test_unknown_paths_are_left_out() -> None:
    script = 'script:\nwhen caller says "go": call x; say "[{x.a.b}] [{x.9}] [{x.l.0}] [{x.l.5}]"'
    result = Message("tool", '{"l": [true]}', tool_call_id="1")
    got = said("go", agent("", ToolCall("1", "x", "{}")), result, system=script)
    assert got == "[] [] [true] []"


def test_it_keeps_the_pace_it_is_given() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        model = ScriptModel(word_ms=100)
        assert [i async for i in model.reply(Prompt(RESTAURANT, ()))]
        return loop.time() - start

    assert run_virtual(main()) == pytest.approx(0.4, abs=0.01)


# --- which rule --------------------------------------------------------------------------------


def test_the_pattern_that_accounts_for_more_words_wins() -> None:
    script = (
        'script:\nwhen caller says "table": say "a"\nwhen caller says "cancel the table": say "b"\n'
        'when caller says "cancel table for {number}": say "c{number}"\n'
        'when caller says "table": say "never"'
    )
    assert said("a table", system=script) == "a"
    assert said("cancel my table", system=script) == "b"
    assert said("cancel the table for six", system=script) == "c6"


def test_a_steps_own_rules_come_first() -> None:
    script = (
        'script:\nwhen caller says "yes please do": say "global"\n'
        'when caller says "go": go to ask; say "?"\n'
        'step ask:\nwhen caller says "yes": say "own"'
    )
    assert said("go", "yes please do", system=script) == "own"
    assert said("yes please do", system=script) == "global"


# --- phrases -------------------------------------------------------------------------------------


def test_phrases_are_what_callers_may_say() -> None:
    phrases = ScriptModel().phrases(RESTAURANT)
    assert len(phrases) <= 500
    assert len(set(phrases)) == len(phrases)
    for expected in ("reserve", "bye", "four", "what can i do", "book a table for two on friday"):
        assert expected in phrases


def test_phrases_are_bounded_and_fair() -> None:
    many = "\n".join(f'when caller says "go {n} {{number}} {{day}}": say "x"' for n in range(300))
    phrases = ScriptModel().phrases(f"script:\n{many}")
    assert len(phrases) == 500
    assert {p.split()[1] for p in phrases} == {str(n) for n in range(300)}


def test_what_cannot_be_listed_is_left_out() -> None:
    script = 'script:\nwhen caller says "i am {words}" or "yes": say "x"'
    assert ScriptModel().phrases(script) == ("yes",)


def test_a_script_that_cannot_be_read_expects_nothing() -> None:
    assert ScriptModel().phrases("no script here") == ()


# --- the language --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "line", "says"),
    [
        ("Just a prompt.", 1, "there is no script"),
        ("script:", 1, "has no rules"),
        ("script:\n\nsay hello", 3, 'a rule begins with "when"'),
        ('script:\nwhen caller says "a" say "b"', 2, "colon is needed"),
        ('script:\nwhen caller says: say "b"', 2, "in quotation marks, is needed here"),
        ('script:\nwhen caller says "a":', 2, "does nothing"),
        ('script:\nwhen caller says "a: say b', 2, "never closed"),
        ('script:\nwhen caller says "!": say "b"', 2, "matches nothing"),
        ('script:\nwhen caller says "{colour}": say "b"', 2, "captures nothing known: use number"),
        ('script:\nwhen caller says "{1:number}": say "b"', 2, "no usable name"),
        ('script:\nwhen it rains: say "b"', 2, 'after "when" comes'),
        ('script:\nwhen tool x works: say "b"', 2, 'comes "fails"'),
        ('script:\notherwise: shout "b"', 2, '"shout" is no action'),
        ("script:\notherwise: say hello", 2, "not 'hello'"),
        ("script:\notherwise: say", 2, "but the line ends"),
        ("script:\notherwise: go to nowhere", 2, 'no step "nowhere"'),
        ('script:\nstep a:\notherwise: end\nstep a:\notherwise: end', 4, 'already a step "a"'),
        ('script:\nstep a: say "x"', 2, "on the lines below"),
        ('script:\notherwise: say "{party}"', 2, "nothing gives {party} a value"),
        ('script:\notherwise: say "{a b}"', 2, "{a b} is no name"),
        ("script:\notherwise: call x with y", 2, '"=" and a value'),
        ("script:\notherwise: call x with y =", 2, "a value is needed for 'y'"),
        ("script:\notherwise: call x with y = z", 2, "'z' is no value"),
        ('script:\notherwise: end; say "x"', 2, 'nothing can come after "end"'),
        ('script:\notherwise: say "x" & end', 2, "'&' is not understood"),
        ('script:\nwhen caller says "%s": end' % ("a " * 40), 2, "30 words at most"),
        ('script:\nwhen caller says "%s": end' % ("{word} " * 6), 2, "capture 5 things"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(script: str, line: int, says: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(script)
    assert caught.value.line == line
    assert says in caught.value.sentence
    assert isinstance(caught.value, ModelFailed)
    assert not caught.value.retryable
    with pytest.raises(ModelFailed, match=f"script: line {line}: "):
        said("x", system=script)


def test_a_script_may_be_fenced_and_what_surrounds_it_is_ignored() -> None:
    system = 'Hi "there.\n```script\notherwise: say "in"\n```\nwhen "nonsense'
    assert said("x", system=system) == "in"


def test_writing_is_forgiving() -> None:
    script = (
        "SCRIPT:\n"
        'When the Caller says “yes”, or “ok”  :  Say “a \\"b\\" #1”  ;  # a comment\n'
        "   and say 'c'" + "\n"
    ).replace("'c'", '"c"')
    assert said("OK.", system=script) == 'a "b" #1 c'
    assert said("x", system='script:\r\notherwise: say "in"\r\n') == "in"


def test_values_keep_their_types() -> None:
    script = (
        'script:\nwhen caller says "{n:number} {day}":\n  remember who = "x"\n'
        '  call f with a = {n}, b = "{n}", c = "no {n}", d = -2.5, e = true and g = {who}'
        ", h = {day}"
    )
    _, call = said("seven on monday", system=script)
    assert json.loads(call.arguments) == {
        "a": 7, "b": "7", "c": "no 7", "d": -2.5, "e": True, "g": "x", "h": "monday",
    }  # fmt: skip


@given(st.text(alphabet='whencalrsyop :"{}=;,\n#x1`', max_size=120) | st.text(max_size=60))
def test_no_text_breaks_the_reader_otherwise_than_with_a_line(text: str) -> None:
    try:
        parse("script:\n" + text)
    except ScriptError as error:
        line = error.line
    else:
        line = 1
    assert 1 <= line <= text.count("\n") + 2


MESSAGES = st.one_of(
    st.sampled_from(["reserve", "yes", "no", "four", "bye", "thanks", "rain"]).map(
        lambda t: Message("user", t)
    ),
    st.sampled_from(['{"code": "A7", "tables": [1]}', '{"error": "x"}', "[]", "?"]).map(
        lambda t: Message("tool", t, tool_call_id="script_1")
    ),
    st.just(agent("One moment.", ToolCall("script_1", "book_table", "{}"))),
    st.just(agent("Well.")),
)


@given(st.lists(MESSAGES, max_size=12))
def test_no_history_breaks_it_and_only_the_end_of_it_is_answered(history: list[Message]) -> None:
    reply = said(*history)
    if history and history[-1].role == "user":
        assert reply
    if history and history[-1].role == "assistant":
        assert reply == ""


# --- the documentation -----------------------------------------------------------------------


def test_the_documented_script_does_what_the_documentation_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "script-model.md").read_text(encoding="utf-8")
    start = page.index("```script")
    system = page[start : page.index("```\n", start + 3) + 4]
    assert said(system=system) == "Chorus Bistro, good evening."
    text, call = said("reserve", agent("For how many people?"), "four please", system=system)
    assert (text, call.name) == ("One moment.", "book_table")
    assert json.loads(call.arguments) == {"party": 4, "day": "friday"}
    history = ("reserve", agent("?"), "four", agent("", call))
    booked = Message("tool", '{"code": "A7"}', tool_call_id=call.id)
    full = Message("tool", '{"error": "full"}', tool_call_id=call.id)
    assert said(*history, booked, system=system).endswith("for 4 is booked. The code is A7.")
    assert said(*history, full, system=system) == "I am sorry, we are full."
    assert said("bye", system=system)[1].name == END_CALL


AFTER = """script:
when caller says "table for {party:number}": go to booked
step booked:
    after call: extract outcome = "booked"; summary "For {party}."
step other:
    after call: extract outcome = "other"
"""


def test_after_the_call_the_last_step_comes_first():
    general = AFTER.replace("step booked", 'after call: extract outcome = "none"\nstep booked', 1)
    said = (Message("user", "A table for four, please."),)
    found = ScriptModel().conclude(general, said)
    assert (found.summary, found.values) == ("For 4.", {"outcome": "booked"})
    found = ScriptModel().conclude(general, (Message("user", "What?"),))
    assert (found.summary, found.values) == ("", {"outcome": "none"})


def test_after_the_call_what_was_said_at_any_time_counts():
    script = (
        'script:\notherwise: say "Yes."\n'
        'after call when caller said "call me at {number:digits}": extract back = "{number}"\n'
        'after the call: extract back = "nobody"'
    )
    calls = (Message("user", "call me at five five two"), Message("user", "bye"))
    assert ScriptModel().conclude(script, calls).values == {"back": "552"}
    assert ScriptModel().conclude(script, calls[1:]).values == {"back": "nobody"}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('after call: say "x"', "is too late after the call"),
        ('at start: summary "x"', 'belongs to a rule that begins with "after call"'),
        ("after noon: summary", 'after "after" comes'),
        ('after call: summary "{nobody}"', "nothing gives {nobody} a value"),
        ("after call: extract x = {nobody}", "nothing gives {nobody} a value"),
        ("after call: extract x", "are needed after 'x'"),
        ("after call:", "this rule does nothing"),
    ],
)
def test_mistakes_in_rules_for_after_the_call(rule: str, says: str):
    with pytest.raises(ScriptError) as mistake:
        ScriptModel().conclude(f'script:\notherwise: say "x"\n{rule}', ())
    assert mistake.value.line == 3
    assert says in mistake.value.sentence


async def test_a_script_that_is_made_to_be_slow_holds_up_nobody() -> None:
    """Every pattern as costly as a pattern can be."""
    costly = "{a:words} word {b:words} word {c:words} word {d:words} word {e:words} " + "word " * 19
    rules = "".join(f'when caller says "{costly}{n}": say "{n}"\n' for n in range(40))
    system = f'script:\n{rules}otherwise: say "No."'
    loop = asyncio.get_running_loop()
    passes = 0

    async def spin() -> None:
        nonlocal passes
        while True:
            await asyncio.sleep(0)
            passes += 1

    spinning = asyncio.create_task(spin())
    prompt = Prompt(system, (Message("user", "word " * 60),))
    began_s = loop.time()
    said = [item async for item in ScriptModel().reply(prompt)]
    took_s = loop.time() - began_s
    spinning.cancel()
    assert said
    # The interpreter's lock changes hands every 5 ms where two want it; followed on the loop, the
    # script would leave it three passes.
    assert passes > 10
    assert took_s < 30
