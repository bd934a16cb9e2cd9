"""What `chorus doctor` finds: one line of its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: it works, it is worth knowing, or no server that holds calls can run with it."""

    state: Literal["ok", "note", "problem"]
    what: str
    says: str
    advice: str | None = None


Findings = list[Finding]
