"""What callers may be asked to key in, at the HTTP edge."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from chorus.wire import Flag, In, Number, Text, Whole, told

FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def field_name(value: str) -> str:
    if not FIELD.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits or underscores, and begin with no digit")
    return value


class KeyInput(In):
    """Something that the agent may have the caller key in, with its tool `collect_keys`."""

    name: Annotated[
        Text,
        told(FIELD),
        AfterValidator(field_name),
        Field(description="By which the agent asks for it, and tools have it as a variable."),
    ]
    description: Annotated[
        Text, Field(max_length=500, description="When to ask for it, and what it is.")
    ] = ""
    min_length: Annotated[Whole, Field(ge=1, le=32)] = 1
    max_length: Annotated[
        Annotated[Whole, Field(ge=1, le=32)] | None,
        Field(description="With so many keys the input is complete."),
    ] = None
    terminator: Annotated[
        Literal["#", "*"] | None, Field(description="The key that ends the input.")
    ] = "#"
    timeout_seconds: Annotated[
        Whole, Field(ge=3, le=120, description="Without a key for so long the agent goes on.")
    ] = 10
    gap_seconds: Annotated[
        Number, Field(ge=1, le=30, description="So long after the last key the input has ended.")
    ] = 3
    secret: Annotated[
        Flag,
        Field(
            description="The keys are nowhere to be seen or heard: not for the model, in the "
            "transcript, the events, webhooks, the log or the recording."
        ),
    ] = False

    @model_validator(mode="after")
    def _fits(self) -> KeyInput:
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError("maxLength must not be less than minLength")
        return self


def unique_inputs(inputs: list[KeyInput]) -> list[KeyInput]:
    names = [each.name for each in inputs]
    if len(set(names)) < len(names):
        raise ValueError("must not hold the same name twice")
    return inputs
