"""Calls between two user agents over a network that loses, doubles and crosses messages."""

from __future__ import annotations

from operator import attrgetter

import pytest
from tests.lines.sip.net import Heard, Net, Phone, Time, pair

from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip.message import Message, Request, Response


def _lose(net: Net, *what: str) -> list[str]:
    """Lose the first message of each kind."""
    left = list(what)

    def passes(message: Message) -> bool:
        name = (
            f"{message.status} {message.cseq[1]}"
            if isinstance(message, Response)
            else message.method  # type: ignore[attr-defined]
        )
        if name in left:
            left.remove(name)
            return False
        return True

    net.passes = passes
    return left


def empty(*phones: Phone) -> None:
    """Nothing is left of the calls, and no timer runs, once all transactions have ended."""
    net = phones[0].net
    net.time.advance(100)
    for phone in phones:
        assert phone.agent.dialogs == 0
        assert len(phone.agent.transactions) == 0
    assert net.time.pending == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_is_placed_answered_and_hung_up_by_the_caller(transport: str) -> None:
    net, alice, bob = pair(transport)
    call = alice.dial(bob)
    net.time.advance(1)
    assert alice.heard[0].log == ["ringing 180", "media PCMU sendrecv", "answered"]
    assert bob.heard[0].agreed is not None
    assert bob.heard[0].agreed.host == "192.0.2.1"
    assert net.said(alice.ip) == ["INVITE", "ACK"]
    assert call.session is not None
    call.session.bye()
    net.time.advance(1)
    assert net.said(alice.ip) == ["INVITE", "ACK", "BYE"]
    assert bob.heard[0].end is not None
    assert bob.heard[0].end.cause is LineCause.FAR_END
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.cause is LineCause.LOCAL
    empty(alice, bob)


def test_the_called_side_hangs_up() -> None:
    net, alice, bob = pair()
    alice.dial(bob)
    net.time.advance(1)
    assert bob.heard[0].session is not None
    bob.heard[0].session.bye('Q.850;cause=16;text="Normal"')
    net.time.advance(1)
    end = alice.heard[0].end
    assert end is not None
    assert (end.cause, end.detail) == (LineCause.FAR_END, "Q.850 cause 16 Normal")
    empty(alice, bob)


@pytest.mark.parametrize(
    "lost",
    ["INVITE", "100 INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"],
)
def test_any_message_may_be_lost_once(lost: str) -> None:
    net, alice, bob = pair()
    left = _lose(net, lost)
    call = alice.dial(bob)
    net.time.advance(5)
    assert call.session is not None
    call.session.bye()
    net.time.advance(5)
    assert left == []
    assert len(bob.calls) == 1
    assert bob.heard[0].end is not None
    assert bob.heard[0].end.cause is LineCause.FAR_END
    empty(alice, bob)


def test_every_message_comes_twice() -> None:
    net, alice, bob = pair()
    for phone in (alice, bob):
        once = phone.agent.receive
        net.places[(phone.ip, 5060)].receive = (  # type: ignore[method-assign]
            lambda data, hop, once=once: (once(data, hop), once(data, hop))  # type: ignore[misc,return-value]
        )
    call = alice.dial(bob)
    net.time.advance(1)
    assert len(bob.calls) == 1
    assert call.session is not None
    call.session.bye()
    net.time.advance(1)
    assert bob.heard[0].log[-1] == "ended far_end"
    empty(alice, bob)


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (486, LineCause.BUSY),
        (600, LineCause.BUSY),
        (480, LineCause.NO_ANSWER),
        (403, LineCause.REJECTED),
        (603, LineCause.REJECTED),
        (404, LineCause.FAILED),
        (500, LineCause.FAILED),
    ],
)
def test_each_refusal_is_told_with_its_status(status: int, cause: LineCause) -> None:
    net, alice, bob = pair()
    bob.answers = False
    alice.dial(bob)
    net.time.advance(1)
    bob.calls[0].reject(status)
    net.time.advance(1)
    end = alice.heard[0].end
    assert end is not None
    assert end.cause is cause
    assert end.detail.startswith(f"SIP {status} ")
    assert net.said(alice.ip)[-1] == "ACK"
    empty(alice, bob)


def test_the_refusal_is_repeated_until_it_is_acknowledged() -> None:
    net, alice, bob = pair()
    bob.answers = False
    _lose(net, "ACK", "ACK")
    alice.dial(bob)
    net.time.advance(1)
    bob.calls[0].reject(486)
    net.time.advance(10)
    assert net.said(bob.ip).count("486 INVITE") == 3
    empty(alice, bob)


def test_nobody_answers_the_invite() -> None:
    net, alice, bob = pair()
    net.passes = lambda message: False
    alice.dial(bob)
    net.time.advance(40)
    end = alice.heard[0].end
    assert end is not None
    assert end.cause is LineCause.NO_ANSWER
    assert "did not answer" in end.detail
    # 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s (RFC 3261 §17.1.1.2)
    assert net.said(alice.ip).count("INVITE") == 7
    empty(alice, bob)


def test_it_rings_for_as_long_as_it_may() -> None:
    net, alice, bob = pair()
    bob.answers = False
    alice.dial(bob, ring_timeout_s=20)
    net.time.advance(25)
    assert alice.heard[0].log == ["ringing 180", "ended no_answer"]
    assert bob.heard[0].log == ["ended canceled"]
    assert net.said(alice.ip) == ["INVITE", "CANCEL", "ACK"]
    empty(alice, bob)


def test_who_is_called_again_at_once_after_a_cancel_is_a_call_of_its_own() -> None:
    """As a transfer does that is tried again while the first one's end is still under way: the
    other side, which refuses an INVITE that it has had (482), must not take it for that one."""
    net, alice, bob = pair()
    bob.answers = False
    _lose(net, "487 INVITE", "200 CANCEL")
    first = alice.dial(bob)
    net.time.advance(1)
    first.cancel()
    again = alice.dial(bob)
    net.time.advance(0.1)
    assert net.said(bob.ip).count("180 INVITE") == 2
    bob.accept()
    net.time.advance(10)
    assert [heard.log[-1] for heard in alice.heard] == ["ended canceled", "answered"]
    assert [heard.log for heard in bob.heard[:1]] == [["ended canceled"]]
    invites = [m for _, m in net.log if isinstance(m, Request) and m.method == "INVITE"]
    for told in ("call_id", "via.branch", "from_.tag"):
        assert len({attrgetter(told)(invite) for invite in invites}) == 2, told
    assert not [said for said in net.said(bob.ip) if said.startswith("482")]
    assert again.session is not None
    again.session.bye()
    empty(alice, bob)


def test_a_cancel_waits_for_the_first_provisional_response() -> None:
    net, alice, bob = pair()
    bob.answers = False
    net.latency_s = 0.2
    call = alice.dial(bob)
    net.time.advance(0.1)
    call.cancel()
    net.time.advance(0.1)
    assert net.said(alice.ip) == ["INVITE"]
    net.time.advance(2)
    assert "CANCEL" in net.said(alice.ip)
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.cause is LineCause.CANCELED
    empty(alice, bob)


def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    net, alice, bob = pair()
    bob.answers = False
    net.latency_s = 0.1
    call = alice.dial(bob)
    net.time.advance(0.5)
    bob.accept()
    call.cancel()
    net.time.advance(2)
    assert alice.heard[0].log[-1] == "ended canceled"
    assert bob.heard[0].log[-1] == "ended far_end"
    assert net.said(alice.ip) == ["INVITE", "CANCEL", "ACK", "BYE"]
    empty(alice, bob)


def test_hanging_up_before_the_ack_waits_for_it() -> None:
    net, alice, bob = pair()
    _lose(net, "ACK")
    alice.dial(bob)
    net.time.advance(0.2)
    assert bob.heard[0].session is not None
    bob.heard[0].session.bye()
    assert "BYE" not in net.said(bob.ip)
    net.time.advance(3)
    assert net.said(bob.ip)[-1] == "BYE"
    assert alice.heard[0].log[-1] == "ended far_end"
    empty(alice, bob)


def test_an_answer_that_is_never_acknowledged_ends_the_call() -> None:
    net, alice, bob = pair()
    net.passes = lambda message: not (isinstance(message, Request) and message.method == "ACK")
    alice.dial(bob)
    net.time.advance(40)
    end = bob.heard[0].end
    assert end is not None
    assert (end.cause, end.detail) == (LineCause.DROPPED, "our answer was never acknowledged")
    empty(alice, bob)


def test_hold_and_resume() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    assert call.session is not None
    call.session.offer("sendonly")
    net.time.advance(1)
    assert bob.heard[0].agreed is not None
    assert bob.heard[0].agreed.direction == "recvonly"
    assert alice.heard[0].agreed is not None
    assert alice.heard[0].agreed.direction == "sendonly"
    call.session.offer("sendrecv")
    net.time.advance(1)
    assert bob.heard[0].agreed.direction == "sendrecv"
    call.session.bye()
    empty(alice, bob)


def test_two_offers_at_once_are_tried_again() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    theirs = bob.heard[0].session
    assert call.session is not None
    assert theirs is not None
    call.session.offer("sendonly")
    theirs.offer("sendrecv")
    net.time.advance(0.05)
    assert "491 INVITE" in net.said(alice.ip)
    assert "491 INVITE" in net.said(bob.ip)
    net.time.advance(10)
    assert alice.heard[0].agreed is not None
    assert alice.heard[0].agreed.direction == "sendonly"
    call.session.bye()
    empty(alice, bob)


def test_a_refused_hold_leaves_the_call_as_it_was() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    bob.heard[0].session.negotiation._codecs = []  # type: ignore[union-attr]
    assert call.session is not None
    call.session.offer("inactive")
    net.time.advance(1)
    assert "488 INVITE" in net.said(bob.ip)
    assert alice.heard[0].end is None
    call.session.bye()
    empty(alice, bob)


def test_a_lost_dialog_ends_the_call() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    bob.agent._dialogs.clear()
    assert call.session is not None
    call.session.offer("sendonly")
    net.time.advance(1)
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.cause is LineCause.DROPPED


def test_the_session_is_refreshed_and_ends_without_refresh() -> None:
    net, alice, bob = pair()
    alice.dial(bob)
    net.time.advance(2000)
    assert "UPDATE" in net.said(alice.ip)
    assert alice.heard[0].end is None
    net.passes = lambda message: False
    net.time.advance(4000)
    assert bob.heard[0].end is not None
    assert bob.heard[0].end.detail == "the session was not refreshed in time"
    assert alice.heard[0].end is not None


def test_a_hold_tells_what_came_of_it() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    told: list[int] = []
    assert call.session is not None
    call.session.offer("sendonly", told.append)
    net.time.advance(1)
    bob.heard[0].session.negotiation._codecs = []  # type: ignore[union-attr]
    call.session.offer("sendrecv", told.append)
    net.time.advance(1)
    call.session.bye()
    call.session.offer("sendrecv", told.append)
    assert told == [200, 488, 481]


def test_a_stranger_gets_no_answer_and_no_call() -> None:
    net, alice, bob = pair()
    bob.trusted = False
    bob.talks_to_strangers = False
    alice.dial(bob)
    net.time.advance(40)
    assert bob.calls == []
    assert net.said(bob.ip) == []
    assert bob.agent.refused > 0
    empty(alice, bob)


def test_the_first_of_several_telephones_wins() -> None:
    """A proxy that forks: two answers from two places to one INVITE."""
    net = Net(Time())
    alice, bob, carol = (Phone(net, f"192.0.2.{n}") for n in (1, 2, 3))
    heard = Heard()

    class Forks:
        def receive(self, data: bytes, hop: object) -> None:
            for phone in (bob, carol):
                phone.agent.receive(data, hop)  # type: ignore[arg-type]

    net.places[("192.0.2.9", 5060)] = Forks()  # type: ignore[assignment]
    call = alice.dial("192.0.2.9", heard)
    net.time.advance(2)
    assert heard.log.count("answered") == 1
    ended = [phone.heard[0].end for phone in (bob, carol)]
    assert sum(end is None for end in ended) == 1
    assert call.session is not None
    call.session.bye()
    net.time.advance(1)
    assert all(phone.heard[0].end is not None for phone in (bob, carol))
    empty(alice, bob, carol)


def test_a_goodbye_whose_reason_cannot_be_read_is_a_goodbye() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    assert call.session is not None
    call.session.bye('SIP;cause=200;text="never closed')
    net.time.advance(1)
    assert bob.heard[0].end == LineEnded(LineCause.FAR_END)
    empty(alice, bob)


def test_lists_that_cannot_be_read_do_not_stop_a_call() -> None:
    net, alice, bob = pair()
    broken = (("Supported", 'timer, "x'), ("Allow", "INVITE, <"), ("Session-Expires", "1800"))
    call = alice.dial(bob, headers=broken)
    net.time.advance(1)
    assert call.session is not None
    call.session.bye()
    net.time.advance(1)
    refused = alice.dial(bob, headers=(("Require", '"x'),))
    net.time.advance(1)
    assert refused.session is None
    assert net.said(bob.ip)[-1] == "420 INVITE"
    empty(alice, bob)


def test_a_contact_that_cannot_be_read_moves_nobody() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    assert call.session is not None
    theirs = bob.heard[0].session
    assert theirs is not None
    there, theirs.dialog.contact = theirs.dialog.contact, "<sip:bob"
    call.session.offer("sendonly")
    net.time.advance(1)
    assert bob.heard[0].agreed is not None
    assert bob.heard[0].agreed.direction == "recvonly"
    theirs.dialog.contact = there
    call.session.bye()
    net.time.advance(1)
    assert bob.heard[0].end == LineEnded(LineCause.FAR_END)
    empty(alice, bob)
