"""The keys that a caller was asked for: which, how they end, and who may see them.

An entry is begun by the tool `collect_keys`. From then on the keys of the caller's next turn are
its value; the turn ends as the entry says (`KeyRule`), and an entry for which no key comes in
time is given up. What was entered can be used in the agent's tools by the entry's name.

Of a secret entry nobody sees more than how many keys there were: not the model, the transcript, the
events or the log. While one is awaited, and a moment longer, `private` holds: keys may also be
heard as tones, so the caller is not recorded then.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from chorus.talk.spec import KeyInput
from chorus.talk.turns.events import KeyRule

HIDDEN = "•"
TAIL_MS = 1500.0
"""After the last key: its tone may come later than its message, and some press one more."""
SHORTEST_MASKED = 3
"""A shorter secret is in too many texts that have nothing to do with it."""


def _rule(wanted: KeyInput) -> KeyRule:
    return KeyRule(wanted.max_length, wanted.terminator, wanted.gap_ms)


class Keypad:
    """Of one call. `clock` is the call's time in milliseconds, `note` writes its timeline."""

    def __init__(self, clock: Callable[[], float], note: Callable[..., None]) -> None:
        self._clock = clock
        self._note = note
        self._expect: Callable[[KeyRule | None], None] = lambda _: None
        self._wanted: KeyInput | None = None
        self._last: KeyInput | None = None  # the entry that ended last, for a turn taken back
        self._hides = False  # keys of the open turn are secret
        self._since_ms = 0.0
        self._ended_ms = 0.0
        self._private_until_ms = 0.0
        self._secrets: dict[str, str] = {}
        self.values: dict[str, str] = {}
        """What was entered, by name; for templates."""

    def attach(self, expect: Callable[[KeyRule | None], None]) -> None:
        """`expect` is told by what rule keys end from now on; None: by the usual one."""
        self._expect = expect

    @property
    def waiting(self) -> bool:
        return self._wanted is not None

    @property
    def private(self) -> bool:
        """The caller must not be recorded or listened to now."""
        secret = self._wanted is not None and self._wanted.secret
        return secret or self._clock() < self._private_until_ms

    def begin(self, wanted: KeyInput) -> None:
        """Another entry that is awaited is given up for it."""
        self._wanted, self._last = wanted, None
        self._since_ms = self._clock()
        self._expect(_rule(wanted))
        self._note("keys_awaited", name=wanted.name, secret=wanted.secret)

    def cancel(self) -> None:
        """Nobody waits for keys any more."""
        if self._wanted is not None:
            self._end()

    def press(self, digit: str) -> str | None:
        """One key, as the timeline may show it. None: it is to be ignored, because it ends an entry
        that has ended by itself."""
        wanted, last = self._wanted, self._last
        just_ended = self._clock() - self._ended_ms < TAIL_MS
        if wanted is None and last is not None and digit == last.terminator and just_ended:
            return None
        self._hides = self._hides or self.private
        return HIDDEN if self._hides else digit

    def shown(self, digits: str) -> str:
        """Keys of the open turn, as everybody may see them."""
        return HIDDEN * len(digits) if self._hides else digits

    def turn_over(self, digits: str) -> tuple[str, str]:
        """A turn has ended that holds these keys, and maybe words. Returns the keys that may be
        shown, and what is wrong with them."""
        wanted = self._wanted
        if not digits:
            self._since_ms = self._clock()  # they spoke: there is time again
            return "", ""
        shown = self.shown(digits)
        self._hides = False
        if wanted is None:
            return shown, ""
        if wanted.terminator and digits.endswith(wanted.terminator):
            digits, shown = digits[:-1], shown[:-1]
        complete = len(digits) >= wanted.min_length
        self.values[wanted.name] = digits
        if wanted.secret:
            self._secrets[wanted.name] = digits
        self._note(
            "keys_collected",
            name=wanted.name,
            secret=wanted.secret,
            count=len(digits),
            complete=complete,
            digits=None if wanted.secret else digits,
        )
        self._end()
        self._last = wanted
        return shown, "" if complete else f"fewer than {wanted.min_length}"

    def retracted(self) -> None:
        """The turn that ended last goes on: so does its entry."""
        if self._wanted is None and self._last is not None:
            wanted, self._last = self._last, None
            self.values.pop(wanted.name, None)
            self._secrets.pop(wanted.name, None)
            self._hides = wanted.secret
            self._wanted = wanted
            self._expect(_rule(wanted))

    def tick(self, *, quiet: bool, keyed: bool) -> KeyInput | None:
        """Time passes. `quiet`: nobody speaks and nothing is being prepared; `keyed`: keys are
        being pressed. Returns the entry that was given up, once."""
        wanted = self._wanted
        if wanted is None:
            return None
        now = self._clock()
        if not quiet or keyed:
            self._since_ms = now
            return None
        if now - self._since_ms < wanted.timeout_s * 1000:
            return None
        self._note("keys_missing", name=wanted.name)
        self._end()
        return wanted

    def unmasked(self, arguments: str) -> str:
        """A tool's arguments, with what was entered in the place of `{{name}}`."""
        for name, digits in self._secrets.items():
            arguments = arguments.replace("{{" + name + "}}", digits)
        return arguments

    def masked(self, text: str) -> str:
        """`text` without what was entered in secret, nor as a URL has it (`*` is `%2A` there)."""
        # The longest first: one may be a part of another.
        for digits in sorted(self._secrets.values(), key=len, reverse=True):
            if len(digits) >= SHORTEST_MASKED:
                for form in (digits, (in_url := quote(digits, safe="")), in_url.lower()):
                    text = text.replace(form, HIDDEN * len(digits))
        return text

    def _end(self) -> None:
        if self._wanted is not None and self._wanted.secret:
            self._private_until_ms = self._clock() + TAIL_MS
        self._ended_ms = self._clock()
        self._wanted = None
        self._expect(None)
