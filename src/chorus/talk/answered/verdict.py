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
