"""What the agent says on its own account, in the caller's language; English where there is none.

The texts are in `languages/`, one file for each language.
"""

from __future__ import annotations

from chorus.languages import code_of, languages


def ask_again(language: str | None) -> str:
    """After several turns in which no words were understood."""
    return _in("ask_again", language)


def apology(language: str | None) -> str:
    """After the model or the voice has failed in mid-reply."""
    return _in("apology", language)


def still_there(language: str | None) -> str:
    """After a long silence of the caller."""
    return _in("still_there", language)


def goodbye(language: str | None) -> str:
    """Before a call ends that cannot go on: no funds, no time, no transcriber. The caller is told
    no reason."""
    return _in("goodbye", language)


def _in(name: str, language: str | None) -> str:
    known = languages()
    return (known.get(code_of(language)) or known["en"]).phrases[name]
