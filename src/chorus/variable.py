"""One environment variable, as the settings list it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Variable:
    """`default` is what the documentation calls the default."""

    name: str
    field: str
    read: Callable[[str], Any]
    default: str
    help: str
    secret: bool = False
