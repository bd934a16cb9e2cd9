"""What may answer a telephone, and how sure it is that it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Who = Literal["person", "mailbox", "unavailable", "menu", "screening", "fax", "silence"]
"""unavailable: a mailbox that takes no message, or a number that is out of order. screening: a
program that asks who calls before it rings. silence: nothing was heard at all."""

Why = Literal["words", "timing", "beep", "tone", "carrier", "silence"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`confidence` is 0 to 1; `at_ms` counts from the answer."""

    who: Who
    confidence: float
    at_ms: float
    why: Why

    @property
    def on_the_way(self) -> bool:
        """Whether it may be the menu that somebody's extension is behind: a menu, or an
        announcement that is long and no mailbox by its words."""
        return self.who == "menu" or (self.who, self.why) == ("mailbox", "timing")
