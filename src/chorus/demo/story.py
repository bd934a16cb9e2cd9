"""What two of the demo's calls are about: the agents' scripts, and what the people say.

Anna calls a garden shop, asks for her order and moves its delivery; then the shop calls her
about the same order, which must have moved. She coughs over the agent once, which must not stop
it, and interrupts it once, which must.

The people's phrases were chosen by measurement: PocketSphinx, with the phrases of the script
as its grammar, understands each of them in `PERSON_VOICE` over a telephone line every time, and
Smart Turn takes nearly all of them for complete, which it does not do with every sentence of a
synthetic voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SHOP_NUMBER = "+14155550100"
ANNA_NUMBER = "+14155550199"
ORDER = "427"
AGENT_VOICE = "en-gb"
AGENT_SPEED = 1.15
PERSON_VOICE = "en-us"
PERSON_SPEED = 0.95
AGAIN = "Sorry, could you say that again?"
COUGH_MS = 300


@dataclass(frozen=True, slots=True)
class ScriptedLine:
    """One thing that the person says. `manner`: after the agent has finished, or into the middle
    of what it says, after a cough that it should ignore."""

    name: str
    text: str
    manner: Literal["politely", "interrupting"] = "politely"


@dataclass(frozen=True, slots=True)
class Story:
    """One call. `spoken` are words that the agent must have said, each with the reason;
    `unheard` are words that an interruption must have kept from being heard."""

    title: str
    direction: Literal["inbound", "outbound"]
    prompt: str
    greeting: str | None
    lines: tuple[ScriptedLine, ...]
    goodbye: str
    spoken: tuple[tuple[str, str], ...]
    unheard: str = ""
    variables: tuple[tuple[str, Any], ...] = ()

    @property
    def interruption(self) -> ScriptedLine | None:
        return next((line for line in self.lines if line.manner == "interrupting"), None)


INBOUND = Story(
    title="Anna calls the garden shop",
    direction="inbound",
    prompt=f"""You answer the telephone of a garden shop.

script:
at start: say "Garden shop, hello. Which order is it about?"
when caller says "the number is four two seven" or "the number is {ORDER}":
    call order with number = "{ORDER}"
    then say "You ordered {{result.item}}. They come on {{result.day}}, between nine and six."
    say "The driver telephones you half an hour before, and he needs somebody who can help him"
    say "to carry the trees into the garden, because they are heavy."
when caller says "can I change the delivery day": say "Of course. Which day would you like?"
when caller says "{{day}} would be better for me":
    call move_delivery with number = "{ORDER}", day = {{day}}
    then say "Done. They come on {{result.day}} now. Anything else?"
when caller says "I do not need anything else": say "Thank you for calling. Goodbye." and end
otherwise: say "{AGAIN}"
""",
    greeting=None,
    lines=(
        ScriptedLine("number", "The number is four two seven"),
        ScriptedLine("change", "Can I change the delivery day?", "interrupting"),
        ScriptedLine("day", "Saturday would be better for me"),
        ScriptedLine("goodbye", "I do not need anything else"),
    ),
    goodbye="Thank you for calling. Goodbye.",
    spoken=(
        ("two pear trees", "the shop answered the look-up"),
        ("friday", "the shop answered the look-up"),
        ("they come on saturday now", "the shop has moved the delivery"),
    ),
    unheard="they are heavy",
)

OUTBOUND = Story(
    title="The garden shop calls Anna",
    direction="outbound",
    prompt=f"""You call the customers of a garden shop about their deliveries.

script:
when caller says "hello what can I do for you":
    call order with number = "{{{{order}}}}"
    then say "Your {{result.item}} come on {{result.day}}. Where may we leave them?"
when caller says "please leave them behind the house":
    call leave_at with number = "{{{{order}}}}", place = "behind the house"
    then say "We leave them {{result.place}}. Anything else, {{{{name}}}}?"
when caller says "thank you very much for calling": say "Thank you, {{{{name}}}}. Goodbye." and end
otherwise: say "{AGAIN}"
""",
    greeting="Hello {{name}}, this is the garden shop.",
    lines=(
        ScriptedLine("hello", "Hello what can I do for you?"),
        ScriptedLine("place", "Please leave them behind the house"),
        ScriptedLine("thanks", "Thank you very much for calling"),
    ),
    goodbye="Thank you, Anna. Goodbye.",
    spoken=(
        ("hello anna", "a context variable fills the greeting"),
        ("two pear trees come on saturday", "the first call has moved the delivery"),
        ("we leave them behind the house", "the shop has noted the place"),
        ("anything else anna", "a context variable fills the prompt"),
    ),
    variables=(("name", "Anna"), ("order", ORDER)),
)
