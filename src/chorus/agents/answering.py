"""What an agent does when it is no person who answers, at the HTTP edge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chorus.wire import In, Text, Whole


class Answering(In):
    """What to do about who answers a call that was placed. A person is talked to. Chorus listens
    for it by itself; the carrier's detection (`detectMachine`) is one more witness."""

    mailbox: Annotated[
        Literal["leave_message", "hang_up", "talk"],
        Field(
            description="leave_message: after the beep or the greeting, in one go; then the call "
            "ends as `voicemail`, as it does with hang_up."
        ),
    ] = "leave_message"
    message: Annotated[
        Annotated[Text, Field(max_length=1000)] | None,
        Field(description="Said to a mailbox, a template. The model makes one if null."),
    ] = None
    beep_wait_seconds: Annotated[
        Whole,
        Field(ge=5, le=60, description="For the beep; a greeting that is longer is spoken over."),
    ] = 30
    unavailable: Annotated[
        Literal["hang_up", "talk"],
        Field(description="A mailbox that takes no messages, or a number that is out of order."),
    ] = "hang_up"
    menu: Annotated[
        Literal["navigate", "hang_up", "talk"],
        Field(description="navigate: hear all options, press keys, say nothing."),
    ] = "hang_up"
    menu_goal: Annotated[
        Text, Field(max_length=500, description="What is to be reached in a menu, a template.")
    ] = ""
    menu_limit_seconds: Annotated[
        Whole, Field(ge=10, le=600, description="After so long in a menu the call ends.")
    ] = 120
    screening: Annotated[
        Literal["say_who_calls", "hang_up", "talk"],
        Field(
            description="A program that asks who calls before the telephone rings. "
            "say_who_calls: in one sentence, then wait."
        ),
    ] = "say_who_calls"
    introduction: Annotated[
        Annotated[Text, Field(max_length=300)] | None,
        Field(
            description="Who calls and why, in one sentence, a template: said to a screening. The "
            "model makes one if null."
        ),
    ] = None
    screening_wait_seconds: Annotated[
        Whole, Field(ge=5, le=120, description="So long a screening is waited for.")
    ] = 45
    silence: Annotated[
        Literal["hang_up", "talk"],
        Field(description="Nothing at all is heard for eight seconds."),
    ] = "talk"
