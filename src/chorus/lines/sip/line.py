"""One SIP call as a line that can be transferred and held: its session (signalling) and its stream
(sound) joined.

The line sends at 1x by the process's clock and so knows what has left: `heard_ms` is what left,
without the way to the far end, and `clear` takes back what has not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from chorus.audio.frame import AudioFormat
from chorus.audio.pace import Ticker, Ticket
from chorus.lines.dtmf import check_digits, tones
from chorus.lines.inbox import Inbox
from chorus.lines.line import (
    RING_TIMEOUT_S,
    Line,
    LineCause,
    LineEnded,
    LineEvents,
    LineMove,
    MoveRefused,
)
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.media.dtls import HandshakeFailed, Identity
from chorus.lines.sip.media.ports import MediaSocket
from chorus.lines.sip.media.quality import Quality
from chorus.lines.sip.media.stream import MediaStream
from chorus.lines.sip.message import REASONS
from chorus.lines.sip.negotiate import Agreed
from chorus.lines.sip.sdp import Direction
from chorus.lines.sip.session import Session
from chorus.lines.sip.uri import Uri, parse_uri

log = logging.getLogger(__name__)

MOVE_S = 12.0
"""For a hold to be answered: what crosses an offer of theirs is tried again a few times."""
LET_GO_S = 1.0
"""From the last word about a transfer to the end of the call, for the other side's own goodbye."""
TOLD_S = 5.0
"""So much longer than somebody may ring the news of it is waited for."""
NO_SOUND_S = 60.0
"""A call on which neither sound nor a report comes for so long is over."""


class SipLine:
    """Implements `TransferableLine`, `JoinableLine`, `HoldableLine`, and `SessionEvents` for the
    session under it. Made before the call is answered, since a session description needs the port;
    `answer` begins it."""

    provider = "sip"
    # It plays at its own pace, so that what is ahead can still be taken back or mixed.
    lead_ms = 100
    lossless = False
    takes_keys = True

    def __init__(
        self,
        leg_id: str,
        socket: MediaSocket,
        ticker: Ticker,
        identity: Identity | None = None,
    ) -> None:
        self._leg_id = leg_id
        self._loop = asyncio.get_running_loop()
        self._ticker = ticker
        self._ticket: Ticket | None = None
        self._socket = socket
        self._stream = MediaStream(
            socket.send,
            socket.send_report,
            self._audio,
            self._key,
            time.time,
            identity,
            self.give_up,
        )
        self._session: Session | None = None
        self._signalling = ""
        self._inbox = Inbox()
        self._described = asyncio.Event()
        self._answered_s: float | None = None
        self._hanging_up = False
        self._held = False
        self._holding = False  # because we asked for it
        self._resumed_s = 0.0
        self._transferred = False
        self._referred = False  # a transfer was taken, and what became of it was not told
        self._giving_up: asyncio.TimerHandle | None = None
        self.on_ended: Callable[[LineEnded], None] | None = None
        self.quality: Quality | None = None
        socket.listen(self._packet, self._report)

    # --- the Line -------------------------------------------------------------------------------

    @property
    def format(self) -> AudioFormat:
        return self._stream.format

    @property
    def leg_id(self) -> str:
        return self._leg_id

    def start(self, events: LineEvents) -> None:
        self._inbox.start(events)

    def play(self, audio: bytes) -> None:
        if not self.over:
            self._stream.play(audio)

    def clear(self) -> None:
        if not self.over:
            self._stream.clear()

    @property
    def ahead_ms(self) -> float:
        return self._stream.sent_ms - self._stream.left_ms

    @property
    def sent_ms(self) -> float:
        return self._stream.sent_ms

    @property
    def heard_ms(self) -> float:
        return self._stream.left_ms

    def send_digits(self, digits: str) -> None:
        """By RFC 4733 where the other side takes it, else as tones. `w` and `W` are pauses of 0.5
        and 1 s. Raises `ValueError` for what is no key."""
        check_digits(digits)
        if not self.over and not self._stream.press(digits):
            self.play(tones(digits, self.format))

    def ended_at_carrier(self, ended: LineEnded) -> None:
        """The carrier's way is the session itself."""

    async def transfer(self, to: str, ring_timeout_s: int = RING_TIMEOUT_S) -> None:
        """By REFER (RFC 3515): returns when the other side has taken it. Raises `MoveRefused` if
        it did not, or if the target could not be reached, which may be known only later: then the
        call is as it was. A REFER takes no time, and some tell nothing of what came of one: then it
        counts as failed. Who answers after that gets the far end all the same."""
        session = self._open_session()
        await self._refer(session, self._target(to, session))
        if self._referred:
            give_up_s = ring_timeout_s + TOLD_S
            self._giving_up = self._loop.call_later(give_up_s, self._give_up_transfer)

    def _give_up_transfer(self) -> None:
        if self._referred and not self.over:
            log.info("call %s: nobody told what became of its transfer", self._leg_id)
            self._referred = False
            self._inbox.moved(LineMove.NOT_TRANSFERRED)

    async def connect_with(self, other: Line) -> None:
        """By REFER with Replaces (RFC 3891, RFC 5589 §7): the other side calls whom `other` talks
        with, in place of that call. Many trunks refuse it; telephone systems mostly take it."""
        if not isinstance(other, SipLine):
            raise MoveRefused("the other call is not by SIP")
        session, theirs = self._open_session(), other._open_session()
        # As the other call was placed: its Contact may be an address behind somebody's router.
        await self._refer(session, theirs.dialog.remote.uri, theirs)

    async def _refer(self, session: Session, target: Uri, replaces: Session | None = None) -> None:
        taken: asyncio.Future[int] = self._loop.create_future()

        def report(status: int, last: bool) -> None:
            if not taken.done():
                taken.set_result(status)
                self._referred = status < 300
            was_referred = self._referred
            if last:
                self._referred = False
                if self._giving_up is not None:
                    self._giving_up.cancel()
            if last and status < 300 and not self.over:
                self._transferred = True
                self._inbox.moved(LineMove.TRANSFERRED)
                # Who asked for it says goodbye (RFC 5589 §6.1), unless the other side does.
                self._loop.call_later(LET_GO_S, self._let_go)
            elif last and status >= 300:
                log.info("call %s: transfer to %s ended with %d", self._leg_id, target, status)
                if was_referred and not self.over:
                    self._inbox.moved(LineMove.NOT_TRANSFERRED)

        session.refer(target, report, replaces=replaces)
        status = await taken
        if status >= 300:
            words = REASONS.get(status, "")
            raise MoveRefused(f"the other side refused the transfer: SIP {status} {words}".strip())

    def _let_go(self) -> None:
        if not self.over and self._session is not None:
            self._session.bye()

    async def hold(self) -> None:
        self._holding = True
        try:
            await self._ask("sendonly")
        except BaseException:
            self._holding = False
            raise

    async def resume(self) -> None:
        self._holding = False
        await self._ask("sendrecv")

    async def hang_up(self) -> None:
        if self.over:
            return
        self._hanging_up = True
        if self._session is not None:
            self._session.bye()
        self.ended(LineEnded(LineCause.LOCAL))

    # --- for whoever made it --------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self._inbox.ended is not None

    @property
    def session(self) -> Session | None:
        return self._session

    @property
    def port(self) -> int:
        return self._socket.port

    def named(self, leg_id: str) -> None:
        """The Call-ID is known once the INVITE is made."""
        self._leg_id = leg_id

    async def described(self) -> None:
        """Wait for the session description that the ACK brings, or for the end."""
        await self._described.wait()

    def signalled_from(self, ip: str) -> None:
        """Where the other side's SIP comes from: its sound may come from there too."""
        self._signalling = ip

    def answer(self, session: Session) -> None:
        """Both have agreed that it begins now."""
        self._session = session
        self._answered_s = self._loop.time()
        if self._ticket is None and not self.over:
            self._ticket = self._ticker.add(self._stream.tick, self._broke)

    def silent_s(self, now_s: float) -> float:
        """How long nothing has come in, where something should: not on hold."""
        if self._answered_s is None or self.over or self._held:
            return 0.0
        last_s = max(self._stream.heard_s or 0.0, self._answered_s, self._resumed_s)
        return now_s - last_s

    def give_up(self, detail: str) -> None:
        """End a call that cannot go on."""
        if self.over:
            return
        if self._session is not None:
            self._session.bye(f'SIP;cause=408;text="{detail}"')
        self.ended(LineEnded(LineCause.DROPPED, detail))

    # --- SessionEvents --------------------------------------------------------------------------

    def media(self, agreed: Agreed) -> None:
        # Who only listens (recvonly) still hears us.
        was_held, self._held = self._held, self._holding or not agreed.sends
        if was_held != self._held:
            self._resumed_s = self._loop.time()
            self._inbox.moved(LineMove.HELD if self._held else LineMove.RESUMED)
        try:
            self._stream.agree(agreed, self._signalling, self._loop.time())
        except (LookupError, Malformed, HandshakeFailed) as failure:
            log.warning("call %s: %s", self._leg_id, failure)
            self.give_up(str(failure))
        self._described.set()

    def digit(self, digit: str) -> None:
        self._key(digit)

    def ended(self, ended: LineEnded) -> None:
        if self.over:
            return
        if self._ticket is not None:
            self._ticket.remove()
            self._ticket = None
            self.quality = self._stream.quality
        self._socket.close()
        self._described.set()
        if self._hanging_up:
            ended = LineEnded(LineCause.LOCAL)
        elif self._transferred:
            # Whoever of the two says goodbye first.
            ended = LineEnded(LineCause.TRANSFERRED)
        self._inbox.end(ended)
        if self.on_ended is not None:
            self.on_ended(ended)

    # --- moving ---------------------------------------------------------------------------------

    def _open_session(self) -> Session:
        session = self._session
        if session is None or self.over:
            raise MoveRefused("the call is over")
        return session

    async def _ask(self, direction: Direction) -> None:
        session = self._open_session()
        done: asyncio.Future[int] = self._loop.create_future()

        def told(status: int) -> None:
            if not done.done():
                done.set_result(status)

        session.offer(direction, told)
        try:
            async with asyncio.timeout(MOVE_S):
                status = await done
        except TimeoutError:
            raise MoveRefused("the other side did not answer") from None
        if status >= 300:
            raise MoveRefused(f"the other side refused it: SIP {status} {REASONS.get(status, '')}")

    @staticmethod
    def _target(to: str, session: Session) -> Uri:
        """A number at the trunk where the call is, or the SIP address that was given."""
        if to.lower().startswith(("sip:", "sips:", "tel:")):
            try:
                return parse_uri(to)
            except Malformed as broken:
                raise MoveRefused(f"{to} is no address: {broken.reason}") from None
        return Uri.sip(to, session.dialog.remote.uri.host, session.dialog.remote.uri.port)

    # --- sound ----------------------------------------------------------------------------------

    def _packet(self, data: bytes, place: tuple[str, int]) -> None:
        self._stream.received(data, place, self._loop.time())

    def _report(self, data: bytes, place: tuple[str, int]) -> None:
        self._stream.reported(data, place, self._loop.time())

    def _audio(self, audio: bytes, at_ms: float) -> None:
        # Sound before the answer (ringing, announcements) is nobody's who was called.
        if self._answered_s is not None:
            self._inbox.audio(audio, at_ms)

    def _key(self, digit: str) -> None:
        if self._answered_s is not None:
            self._inbox.digit(digit)

    def _broke(self, failure: Exception) -> None:
        self.give_up(f"the sound could not be sent ({type(failure).__name__})")
