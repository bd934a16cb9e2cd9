"""A call that the trunk sends elsewhere (3xx): followed, and not everywhere."""

from __future__ import annotations

import pytest
from tests.lines.sip.net import Net, Phone, pair

from chorus.lines.line import LineCause
from chorus.lines.sip.digest import Credentials
from chorus.lines.sip.message import Request
from chorus.lines.sip.redirect import allowed
from chorus.lines.sip.wire import Hop


def _three() -> tuple[Net, Phone, Phone, Phone]:
    net, alice, bob = pair()
    bob.answers = False
    return net, alice, bob, Phone(net, "192.0.2.3")


def _invites(net: Net, phone: Phone) -> list[Request]:
    return [
        message
        for source, message in net.log
        if source == phone.ip and isinstance(message, Request) and message.method == "INVITE"
    ]


def test_it_is_followed_to_where_the_trunk_says() -> None:
    net, alice, bob, carol = _three()
    alice.dial(bob, credentials=Credentials("me", "secret"))
    net.time.advance(0.5)
    bob.calls[0].reject(302, ("Contact", "<sip:carol@192.0.2.3?Subject=x>;q=0.5"))
    net.time.advance(1)
    assert alice.heard[0].log[-1] == "answered"
    assert alice.heard[0].agreed is not None
    assert alice.heard[0].agreed.host == "192.0.2.3"
    first, second = _invites(net, alice)
    assert second.target == "sip:carol@192.0.2.3"
    assert (second.call_id, second.from_.tag) == (first.call_id, first.from_.tag)
    assert second.cseq[0] > first.cseq[0]
    assert len(carol.calls) == 1
    session = alice.heard[0].session
    assert session is not None
    # A stranger's challenge gets no answer that our password went into.
    assert session.credentials is None
    session.bye()
    net.time.advance(1)
    assert carol.heard[0].end is not None


def test_the_most_wanted_first_and_the_next_when_that_fails() -> None:
    net, alice, bob, carol = _three()
    carol.answers = False
    alice.dial(bob)
    net.time.advance(0.5)
    contacts = "<sip:b@192.0.2.2>;q=0.2, <sip:c@192.0.2.3>;q=0.9"
    bob.calls[0].reject(300, ("Contact", contacts))
    net.time.advance(0.5)
    assert len(carol.calls) == 1
    bob.answers = True
    carol.calls[0].reject(480)
    net.time.advance(1)
    assert alice.heard[0].log[-1] == "answered"
    assert [invite.target for invite in _invites(net, alice)][1:] == [
        "sip:c@192.0.2.3", "sip:b@192.0.2.2",
    ]  # fmt: skip


def test_a_no_for_all_ends_it() -> None:
    net, alice, bob, carol = _three()
    carol.answers = False
    alice.dial(bob)
    net.time.advance(0.5)
    bob.calls[0].reject(300, ("Contact", "<sip:c@192.0.2.3>, <sip:b@192.0.2.2>"))
    net.time.advance(0.5)
    carol.calls[0].reject(603)
    net.time.advance(1)
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.cause is LineCause.REJECTED


def test_a_circle_ends() -> None:
    net, alice, bob, _ = _three()
    alice.dial(bob)
    for number in range(8):
        net.time.advance(0.5)
        if len(bob.calls) > number:
            bob.calls[number].reject(302, ("Contact", f"<sip:x{number % 3}@192.0.2.2>"))
    net.time.advance(40)
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.detail.startswith("SIP 302")
    assert len(_invites(net, alice)) == 4


@pytest.mark.parametrize("contact", [None, "garbage <", "<http://192.0.2.3>", "<sip:x@>"])
def test_a_redirection_to_nowhere_ends_it(contact: str | None) -> None:
    net, alice, bob, _ = _three()
    alice.dial(bob)
    net.time.advance(0.5)
    bob.calls[0].reject(302, *([("Contact", contact)] if contact else []))
    net.time.advance(1)
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.cause is LineCause.FAILED


def test_withdrawn_while_it_rings_elsewhere() -> None:
    net, alice, bob, carol = _three()
    carol.answers = False
    call = alice.dial(bob)
    net.time.advance(0.5)
    bob.calls[0].reject(302, ("Contact", "<sip:c@192.0.2.3>"))
    net.time.advance(0.5)
    call.cancel()
    net.time.advance(1)
    assert carol.heard[0].end is not None
    assert alice.heard[0].end is not None
    assert alice.heard[0].end.cause is LineCause.CANCELED


def test_a_trunk_on_the_internet_sends_nobody_into_our_network() -> None:
    public, private = Hop("udp", "8.8.8.8", 5060), Hop("udp", "10.0.0.5", 5060)
    inside = [Hop("udp", ip, 5060) for ip in ("127.0.0.1", "169.254.169.254", "::1", "fd00::1")]
    assert allowed([private, *inside, Hop("udp", "9.9.9.9", 5060)], public) == [
        Hop("udp", "9.9.9.9", 5060)
    ]
    assert allowed([private, public], private) == [private, public]
    # SRTP's keys are in the message: what was encrypted stays so.
    secure = Hop("tls", "8.8.8.8", 5061)
    assert allowed([public, secure], secure) == [secure]
