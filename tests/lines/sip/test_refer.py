"""REFER: how handing the other side over goes, as the other side answers it."""

from __future__ import annotations

import pytest
from tests.lines.sip.net import Phone, pair
from tests.lines.sip.test_calls import empty

from chorus.lines.sip.message import Request
from chorus.lines.sip.transactions import ServerTransaction
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import Hop


def test_nobody_transfers_us() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    reports: list[tuple[int, bool]] = []
    assert call.session is not None
    call.session.refer(Uri.sip("boss", "192.0.2.9"), lambda s, last: reports.append((s, last)))
    net.time.advance(1)
    # Ours is a user agent that calls nobody because somebody else says so.
    assert reports == [(603, True)]
    assert net.said(bob.ip)[-1] == "603 REFER"
    call.session.bye()
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
def test_how_a_transfer_goes(fragments: list[str], expected: list[tuple[int, bool]]) -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    session = bob.heard[0].session
    assert session is not None
    handle = session.handle

    def notify(fragment: str) -> None:
        def build(hop: Hop) -> Request:
            request = session._request("NOTIFY", hop)
            request.headers.add("Event", "refer")
            last = fragment == fragments[-1]
            state = "terminated;reason=noresource" if last else "active"
            request.headers.add("Subscription-State", state)
            request.carry("message/sipfrag", fragment.encode())
            return request

        session._send(build, lambda _: None)

    def referred(transaction: ServerTransaction) -> None:
        if transaction.request.method != "REFER":
            handle(transaction)
            return
        assert transaction.request.headers.get("Refer-To") == "<sip:boss@192.0.2.9>"
        transaction.reject(202)
        for number, fragment in enumerate(fragments):
            net.time.call_later(1 + number, notify, fragment)

    session.handle = referred  # type: ignore[method-assign]
    reports: list[tuple[int, bool]] = []
    assert call.session is not None
    target = Uri.sip("boss", "192.0.2.9")
    call.session.refer(target, lambda status, last: reports.append((status, last)))
    net.time.advance(70)
    assert reports == expected
    assert alice.heard[0].end is None
    call.session.bye()
    empty(alice, bob)


def test_a_bye_after_the_transfer_was_taken_is_success() -> None:
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    session = bob.heard[0].session
    assert session is not None

    def referred(transaction: ServerTransaction) -> None:
        transaction.reject(202)
        net.time.call_later(0.3, session.bye)

    session.handle = referred  # type: ignore[method-assign]
    reports: list[tuple[int, bool]] = []
    assert call.session is not None
    target = Uri.sip("boss", "192.0.2.9")
    call.session.refer(target, lambda status, last: reports.append((status, last)))
    net.time.advance(2)
    assert reports == [(202, False), (200, True)]


def _referred(status: int | None) -> tuple[list[tuple[int, bool]], Phone, Phone]:
    """What is told of a REFER that is refused so, or, with None, answered by a BYE."""
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    session = bob.heard[0].session
    assert session is not None

    def referred(transaction: ServerTransaction) -> None:
        if status is not None:
            transaction.reject(status)
        else:
            session.bye()

    handle = session.handle
    session.handle = lambda each: (  # type: ignore[method-assign]
        referred if each.request.method == "REFER" else handle
    )(each)
    reports: list[tuple[int, bool]] = []
    assert call.session is not None
    target = Uri.sip("boss", "192.0.2.9")
    call.session.refer(target, lambda status, last: reports.append((status, last)))
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
