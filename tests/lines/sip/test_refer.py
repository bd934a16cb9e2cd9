"""REFER: how handing the other side over goes, as the other side answers it."""

from __future__ import annotations

import pytest
from tests.lines.sip.net import Net, Phone, pair
from tests.lines.sip.test_calls import empty

from chorus.lines.sip.message import Request
from chorus.lines.sip.session import Session
from chorus.lines.sip.transactions import ServerTransaction
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import Hop

Reports = list[tuple[int, bool]]


def talking() -> tuple[Net, Phone, Phone, Session, Session]:
    """Alice talks with Bob: the network, both, and the session of each."""
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    theirs = bob.heard[0].session
    assert call.session is not None
    assert theirs is not None
    return net, alice, bob, call.session, theirs


def refer(session: Session) -> Reports:
    """What the session tells, from now on, of handing the other side to the boss."""
    reports: Reports = []
    session.refer(Uri.sip("boss", "192.0.2.9"), lambda status, last: reports.append((status, last)))
    return reports


def test_nobody_transfers_us() -> None:
    net, alice, bob, session, _ = talking()
    reports = refer(session)
    net.time.advance(1)
    # Ours is a user agent that calls nobody because somebody else says so.
    assert reports == [(603, True)]
    assert net.said(bob.ip)[-1] == "603 REFER"
    session.bye()
    empty(alice, bob)


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        (["SIP/2.0 100 Trying", "SIP/2.0 200 OK"], [(202, False), (100, False), (200, True)]),
        (["SIP/2.0 180 Ringing", "SIP/2.0 486 Busy"], [(202, False), (180, False), (486, True)]),
        # A subscription that ends without a word, after it rang or before.
        (["SIP/2.0 180 Ringing", ""], [(202, False), (180, False), (200, True)]),
        ([""], [(202, False), (500, True)]),
        # Nothing is ever told.
        ([], [(202, False), (408, True)]),
    ],
)
def test_how_a_transfer_goes(fragments: list[str], expected: Reports) -> None:
    net, alice, bob, session, theirs = talking()
    handle = theirs.handle

    def notify(fragment: str) -> None:
        def build(hop: Hop) -> Request:
            request = theirs._request("NOTIFY", hop)
            request.headers.add("Event", "refer")
            last = fragment == fragments[-1]
            state = "terminated;reason=noresource" if last else "active"
            request.headers.add("Subscription-State", state)
            request.carry("message/sipfrag", fragment.encode())
            return request

        theirs._send(build, lambda _: None)

    def referred(transaction: ServerTransaction) -> None:
        if transaction.request.method != "REFER":
            handle(transaction)
            return
        assert transaction.request.headers.get("Refer-To") == "<sip:boss@192.0.2.9>"
        transaction.reject(202)
        for number, fragment in enumerate(fragments):
            net.time.call_later(1 + number, notify, fragment)

    theirs.handle = referred  # type: ignore[method-assign]
    reports = refer(session)
    net.time.advance(70)
    assert reports == expected
    assert alice.heard[0].end is None
    session.bye()
    empty(alice, bob)


def test_a_bye_after_the_transfer_was_taken_is_success() -> None:
    net, _, _, session, theirs = talking()

    def referred(transaction: ServerTransaction) -> None:
        transaction.reject(202)
        net.time.call_later(0.3, theirs.bye)

    theirs.handle = referred  # type: ignore[method-assign]
    reports = refer(session)
    net.time.advance(2)
    assert reports == [(202, False), (200, True)]


def _referred(status: int | None) -> tuple[Reports, Phone, Phone]:
    """What is told of a REFER that is refused so, or, with None, answered by a BYE."""
    net, alice, bob, session, theirs = talking()

    def referred(transaction: ServerTransaction) -> None:
        if status is not None:
            transaction.reject(status)
        else:
            theirs.bye()

    handle = theirs.handle
    theirs.handle = lambda each: (  # type: ignore[method-assign]
        referred if each.request.method == "REFER" else handle
    )(each)
    reports = refer(session)
    net.time.advance(2)
    return reports, alice, bob


@pytest.mark.parametrize("status", [405, 501])
def test_a_transfer_that_the_other_side_cannot_do_leaves_the_call(status: int) -> None:
    reports, alice, bob = _referred(status)
    assert reports == [(status, True)]
    assert alice.heard[0].end is None
    assert bob.heard[0].end is None
    session = alice.heard[0].session
    assert session is not None
    session.bye()
    empty(alice, bob)


def test_a_bye_before_the_transfer_was_taken_is_no_success() -> None:
    reports, alice, _ = _referred(None)
    assert reports == [(487, True)]
    assert alice.heard[0].end is not None
