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


def nobody_free(language: str | None) -> str:
    """To a caller whom nobody took, when the agent goes on."""
    return _in("nobody_free", language)


def caller_left(language: str | None) -> str:
    """To a person who was being told of a caller, when that one hung up."""
    return _in("caller_left", language)


def caller_waits(language: str | None) -> str:
    """To a person who is called for a caller of whom there is nothing to say."""
    return _in("caller_waits", language)


def take_or_leave(language: str | None) -> str:
    """Which keys take the caller, or do not."""
    return _in("take_or_leave", language)


def not_connected(language: str | None) -> str:
    """To a person who did not take the caller."""
    return _in("not_connected", language)


def fillers(language: str | None) -> tuple[str, ...]:
    """While the answer is not there yet; a hum where the language has none of its own."""
    known = languages().get(code_of(language) or "en")
    return (known.fillers if known is not None else ()) or ("Hm.",)


def _in(name: str, language: str | None) -> str:
    known = languages()
    return (known.get(code_of(language)) or known["en"]).phrases[name]
