"""What is done about who answered: talk, leave a message, go through a menu, say who calls.

    person              the conversation, as if nothing had been asked
    mailbox             silence until the beep, the message, the end (`voicemail`)
    unavailable, fax    the end, or the conversation
    menu                every option is heard, keys are pressed, nothing is said (`menu.py`)
    screening           one sentence, silence; then whoever answers is judged anew
    silence             the conversation, or the end

Somebody whose extension is behind a menu (`Answering.keys_ms`) is waited for in silence, whatever
the menu says and however long it rings.

`Judge` says who it is; here is only what follows from it, as the agent's `Answering` has it.
Without one nobody listens, and a mailbox is what the carrier says is one. All of it is called on
the event loop, with times of the audio in milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from chorus.lines.desk import Detected
from chorus.talk.answered import menu as menus
from chorus.talk.answered.judge import SILENT_MS, Judge
from chorus.talk.answered.mailbox import GREETING_MS, LEAVE_MESSAGE, Mailbox
from chorus.talk.answered.menu import Menu
from chorus.talk.answered.tones import Tone
from chorus.talk.answered.verdict import Verdict
from chorus.talk.answered.words import CERTAIN, phrases
from chorus.talk.spec import AgentSpec
from chorus.talk.talk import Host

if TYPE_CHECKING:
    from chorus.talk.conversation import Conversation

OPEN_AFTER_MS = 2500.0
"""Whoever answers and says nothing for so long hears the agent's first message."""
SAID_AFTER_MS = 900.0
"""Of silence, before a screening program is told who calls: it may have more to ask."""
SAYINGS = 2
"""Who calls is said no more often than this."""

SAY_WHO_CALLS = (
    "A program that screens calls has answered, not a person. Say in one short sentence who calls, "
    "for whom and why. Ask nothing and greet nobody; then wait."
)
KNOWS_WHY = (
    "A person is on the line now. A program has told them before who calls and why. Begin as you "
    "would, without repeating all of it."
)
A_PERSON = "A person is on the line now, not a machine any more. Talk to them as usual."

State = Literal[
    "open", "behind_menu", "waiting_beep", "leaving", "menu", "asked", "screened", "over"
]


class Reception:
    """Of one call. `filled` fills a template with the call's variables."""

    def __init__(
        self,
        agent: AgentSpec,
        conversation: Conversation,
        host: Host,
        filled: Callable[[str], str],
    ) -> None:
        self._wants = agent.answering
        self._conversation = conversation
        self._host = host
        self._filled = filled
        tags = [agent.language or "", *agent.languages]
        self._phrases = phrases([tag for tag in tags if tag])
        self._judge = Judge(self._phrases)
        self._mailbox = self._new_mailbox()
        self._verdict: Verdict | None = None
        self._passed_over: Verdict | None = None  # a menu, while somebody behind it is waited for
        self._keys_ms = None if agent.answering is None else agent.answering.keys_ms
        self._state: State = "open" if self._keys_ms is None else "behind_menu"
        self._menu: Menu | None = None
        self._quiet_ms = 0.0
        self._since_ms = 0.0
        self._said = 0
        self._now_ms = 0.0
        self._told = asyncio.Event()
        if self._wants is None or not self._wants.waits:
            self._told.set()

    @property
    def listens(self) -> bool:
        return self._wants is not None

    @property
    def hears_tones(self) -> bool:
        """Whether `tone` may still change anything. Once it does not, it never will."""
        if not self._acts:
            return False
        talks = self._state == "open" and self._verdict is not None
        return not talks or self._judge.early(self._now_ms)

    @property
    def _acts(self) -> bool:
        """Whether anything that is heard may change what is done."""
        return self.listens and self._state not in ("leaving", "over")

    @property
    def if_hung_up(self) -> str | None:
        """Why the call ended, if the other side hangs up now."""
        if self._state in ("asked", "screened"):
            return "screened_out"
        return "voicemail" if self.listens and self._state in ("waiting_beep", "leaving") else None

    @property
    def waits_for_hello(self) -> bool:
        """Whoever answered hears the agent's first message as soon as they have said something."""
        return self._wants is not None and self._wants.waits and self._state == "open"

    def begin(self) -> None:
        """The line is answered."""
        if self._state == "behind_menu":
            self._conversation.suspend()

    async def may_open(self) -> None:
        """Returns when the agent's first message may be heard."""
        await self._told.wait()

    # --- what is heard ----------------------------------------------------------------------------

    def frame(self, voiced: bool, now_ms: float, frame_ms: float) -> None:
        self._now_ms = now_ms
        self._mailbox.frame(voiced, now_ms)
        if self._wants is None or not self._acts:
            return
        self._quiet_ms = 0.0 if voiced else self._quiet_ms + frame_ms
        if self._keys_ms is not None and now_ms <= self._keys_ms:
            self._judge.again(now_ms)
            return
        self._judge.frame(voiced, now_ms, frame_ms)
        self._look()
        if self._state == "open":
            if not self._told.is_set() and self._quiet_ms >= self._open_after_ms:
                self._told.set()
        elif self._state == "behind_menu":
            if self._passed_over is not None and self._quiet_ms >= SAID_AFTER_MS:
                self._passed_over = self._verdict = None
                self._judge.again(now_ms)
        elif self._state == "asked" and self._quiet_ms >= SAID_AFTER_MS:
            self._say_who_calls()
        elif self._state == "screened":
            if now_ms - self._since_ms >= self._wants.screening_wait_s * 1000:
                self._end("screened_out", "nobody took the call")
        elif self._state == "menu" and self._menu is not None and self._menu.too_long(now_ms):
            self._end("menu", "the way through the menu took too long")

    @property
    def _open_after_ms(self) -> float:
        waits = self._wants is not None and self._wants.silence == "hang_up"
        return SILENT_MS + 1000.0 if waits else OPEN_AFTER_MS

    def words(self, text: str, *, final: bool, heard_to_ms: float) -> None:
        if self._acts and heard_to_ms > (self._keys_ms or 0):
            self._judge.words(text, final=final, heard_to=heard_to_ms, now=self._now_ms)
            self._look()

    def tone(self, tone: Tone) -> None:
        # It may be the telephone that rings behind a menu, or a key.
        if not self.hears_tones or (self._keys_ms is not None and tone == "beep"):
            return
        self._host.note("tone", tone=tone)
        self._judge.tone(tone, self._now_ms)
        self._look()
        if tone == "beep" and self._state == "waiting_beep":
            self._mailbox.answered(self._now_ms, greeting_over=True)

    def carrier(self, found: Detected | None, *, greeting_over: bool) -> None:
        """The carrier's own detection; None: it is not sure."""
        if self._wants is None:
            if found == "fax":
                self._end("fax")
            elif found == "machine":
                self._mailbox.answered(self._now_ms, greeting_over=greeting_over)
            return
        if not self._acts:
            return
        if found is not None:
            self._judge.carrier(found, now=self._now_ms)
        self._look()
        if greeting_over and self._state == "waiting_beep":
            self._mailbox.answered(self._now_ms, greeting_over=True)

    def somebody_else(self) -> None:
        """The caller is handed to a person, or taken over by one: the agent has no more to do."""
        self._mailbox.forget()
        self._state = "over"
        self._told.set()

    # --- what the conversation asks ---------------------------------------------------------------

    def mutes(self, text: str) -> bool:
        """Whether an answer to `text` is written and not spoken: a menu talks."""
        if self._state != "menu":
            return False
        kinds = self._phrases.kinds(text)
        return not kinds or bool(CERTAIN & set(kinds))

    def turn(self, text: str) -> None:
        """A turn of the other side is over."""
        if self._state != "menu" or self._menu is None:
            return
        seen = self._menu.heard(text)
        if seen == "stuck":
            self._end("menu", "the menu said the same again and again")
        elif seen == "again":
            self._conversation.dialogue.note(menus.AGAIN)

    # --- what follows -----------------------------------------------------------------------------

    def _look(self) -> None:
        verdict = self._judge.verdict
        if verdict is None or verdict is self._verdict or self._wants is None:
            return
        before, self._verdict = self._verdict, verdict
        self._host.who_answered(verdict)
        if self._state == "behind_menu" and (verdict.on_the_way or verdict.who == "silence"):
            self._passed_over = verdict if verdict.on_the_way else None
            return
        wants = self._wants
        match verdict.who:
            case "person":
                self._a_person()
            case "mailbox":
                self._a_mailbox(beep=verdict.why == "beep")
            case "unavailable":
                self._end_or_talk(wants.unavailable, "unavailable")
            case "fax":
                self._end("fax")
            case "menu":
                self._a_menu()
            case "screening":
                self._a_screening()
            case "silence" if before is None:
                self._end_or_talk(wants.silence, "silence")
            case "silence":
                pass

    def _a_person(self) -> None:
        note = {"waiting_beep": A_PERSON, "menu": A_PERSON, "asked": A_PERSON}.get(self._state)
        note = KNOWS_WHY if self._state == "screened" else note
        self._talk(note)

    def _talk(self, note: str | None = None) -> None:
        conversation = self._conversation
        self._leave_nothing()
        self._state = "open"
        conversation.patience(None)
        conversation.come_back(note)
        self._told.set()

    def _leave_nothing(self) -> None:
        """It is no mailbox after all, or none any more."""
        if self._state == "waiting_beep":
            self._mailbox.forget()
            self._mailbox = self._new_mailbox()

    def _new_mailbox(self) -> Mailbox:
        longest_ms = GREETING_MS if self._wants is None else self._wants.beep_wait_s * 1000.0
        return Mailbox(self._conversation.suspend, self._leave_message, longest_ms)

    def _a_mailbox(self, *, beep: bool) -> None:
        assert self._wants is not None
        if self._wants.mailbox == "hang_up":
            self._end("voicemail")
        elif self._wants.mailbox == "talk":
            self._talk()
        else:
            self._state = "waiting_beep"
            spoke = self._judge.spoken
            self._mailbox.answered(self._now_ms, greeting_over=beep, spoke=spoke)

    def _leave_message(self) -> None:
        self._host.note("greeting_over")
        wants = self._wants
        self._state = "leaving"
        if wants is None:
            self._conversation.resume()
            self._conversation.announcer.speak_up(LEAVE_MESSAGE)
            return
        message = self._filled(wants.message) if wants.message else None
        if message is None:
            self._conversation.dialogue.note(LEAVE_MESSAGE)
        self._conversation.deliver(message, "voicemail")

    def _a_menu(self) -> None:
        assert self._wants is not None
        if self._wants.menu == "hang_up":
            self._end("menu")
        elif self._wants.menu == "talk":
            self._talk()
        elif self._state != "menu":
            self._leave_nothing()
            self._state = "menu"
            self._menu = Menu(self._now_ms, self._wants.menu_limit_s * 1000)
            self._conversation.patience(menus.PATIENCE_MS)
            self._conversation.suspend()  # what is being said is forgotten
            self._conversation.resume()
            self._conversation.dialogue.note(menus.note(self._filled(self._wants.menu_goal)))

    def _a_screening(self) -> None:
        assert self._wants is not None
        if self._wants.screening == "hang_up":
            self._end("screened_out")
        elif self._wants.screening == "talk":
            self._talk()
        elif self._said < SAYINGS:
            self._leave_nothing()
            self._state = "asked"
            self._conversation.suspend()

    def _say_who_calls(self) -> None:
        assert self._wants is not None
        self._said += 1
        self._state = "screened"
        self._since_ms = self._now_ms
        conversation = self._conversation
        conversation.resume()
        introduction = self._wants.introduction
        if not introduction:
            conversation.dialogue.note(SAY_WHO_CALLS)
        conversation.announcer.say_first(
            self._filled(introduction) if introduction else None, self._introduced
        )

    def _introduced(self) -> None:
        if self._state != "screened":
            return
        self._host.note("screening_answered")
        self._conversation.suspend()
        self._since_ms = self._now_ms
        self._judge.again(self._now_ms)

    def _end_or_talk(self, what: str, reason: str) -> None:
        if what == "hang_up":
            self._end(reason)
        else:
            self._talk()

    def _end(self, reason: str, detail: str = "") -> None:
        self._mailbox.forget()
        self._state = "over"
        self._host.hang_up(reason, detail)
