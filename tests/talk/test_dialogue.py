"""The history: what a model is shown of it, and what the record."""

from __future__ import annotations

from chorus.llm.model import Message, ToolCall
from chorus.talk.dialogue import AgentReply, Dialogue, ToolRound, with_keys


def said(dialogue: Dialogue, heard: str, unsaid: str = "", heard_ms: float = 1000) -> AgentReply:
    reply = AgentReply(1)
    dialogue.reply_began(reply)
    dialogue.reply_settled(reply, heard, unsaid, heard_ms, estimated=False)
    return reply


def test_only_what_was_heard_is_shown() -> None:
    dialogue = Dialogue()
    dialogue.caller_said(1, "hello")
    reply = said(dialogue, "Good", "day.")
    assert dialogue.messages() == (Message("user", "hello"), Message("assistant", "Good"))
    assert (reply.interrupted, reply.unsaid) == (True, "day.")


def test_under_200_ms_nothing_was_heard_and_the_turns_join() -> None:
    dialogue = Dialogue()
    dialogue.caller_said(1, "I want")
    reply = said(dialogue, "Oh", "well.", heard_ms=199)
    dialogue.caller_said(2, "bread")
    assert dialogue.messages() == (Message("user", "I want bread"),)
    assert dialogue.turn_count == 1
    assert reply.unsaid == "Oh well."


def test_turns_that_join_in_the_transcript_are_one_turn() -> None:
    dialogue = Dialogue()
    dialogue.caller_said(1, "book it")
    reply = AgentReply(1, [ToolRound("", (ToolCall("1", "book", "{}"),))])
    dialogue.reply_began(reply)
    dialogue.reply_settled(reply, "", "", 0, estimated=False)
    dialogue.caller_said(2, "for two")
    assert [line.content for line in dialogue.transcript()] == ["book it for two"]
    assert dialogue.turn_count == 1


def test_a_short_reply_that_was_heard_whole_was_heard() -> None:
    dialogue = Dialogue()
    said(dialogue, "Hm.", heard_ms=150)
    assert dialogue.messages() == (Message("assistant", "Hm."),)


def test_what_the_caller_will_have_said_changes_nothing_yet() -> None:
    dialogue = Dialogue()
    dialogue.note("be brief")
    version = dialogue.version
    [shown] = dialogue.messages_with("hello")
    assert shown.content.endswith("hello")
    assert dialogue.version == version
    assert dialogue.transcript() == ()


def test_a_turn_taken_back_was_never_there() -> None:
    dialogue = Dialogue()
    dialogue.caller_said(1, "I want")
    dialogue.reply_began(AgentReply(1))
    dialogue.retract(1)
    assert dialogue.messages() == ()


def test_keys_are_shown_with_the_words_of_their_turn() -> None:
    assert with_keys("it is", "42") == "it is [pressed 4 2]"
    assert with_keys("", "1") == "[pressed 1]"
    assert with_keys("hello", "") == "hello"
