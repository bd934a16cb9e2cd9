"""The torture messages of RFC 4475 (Appendix A, byte for byte): read, or refused with the right
status. The files are the RFC's own; § numbers are those of its section 3."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lines.sip.net import pair

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import MalformedRequest, Request, Response, parse_message
from chorus.lines.sip.wire import Hop

FOLDER = Path(__file__).parent / "torture"

# None: a message that is read. A number: what its request is answered with. 0: dropped.
EXPECTED: dict[str, int | None] = {
    # 3.1.1, valid
    "wsinv": None, "intmeth": None, "esc01": None, "escnull": None, "esc02": None,
    "lwsdisp": None, "longreq": None, "dblreq": None, "semiuri": None, "transports": None,
    "mpart01": None, "unreason": None, "noreason": None,
    # 3.1.2, invalid
    "badinv01": 0, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": 0, "quotbal": 400,
    "ltgtruri": 400, "lwsruri": 505, "lwsstart": 505, "trws": 400, "mismatch01": 400,
    "mismatch02": 400, "bigcode": 0, "badvers": 0,
    # What may be refused, and is taken: dates, URIs and names that nothing here depends on.
    "escruri": None, "baddate": None, "regbadct": None, "badaspec": None, "baddn": None,
    # 3.2 and 3.3, for whoever handles the transaction or the application
    "badbranch": None, "insuf": 0, "unkscm": 416, "novelsc": 416, "unksm2": 416, "bext01": None,
    "invut": None, "regaut01": None, "multi01": 400, "mcl01": 400, "bcast": None, "zeromf": None,
    "cparam01": None, "cparam02": None, "regescrt": None, "sdp01": None,
    # 3.4
    "inv2543": None,
}  # fmt: skip


def _read(name: str) -> bytes:
    return (FOLDER / f"{name}.dat").read_bytes()


def test_every_message_of_the_rfc_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(EXPECTED)
    assert len(EXPECTED) == 49


@pytest.mark.parametrize("name", EXPECTED)
def test_a_torture_message_is_read_or_refused(name: str) -> None:
    expected = EXPECTED[name]
    if expected is None:
        message = parse_message(_read(name))
        # What we write of it says the same.
        again = parse_message(message.encode())
        assert list(again.headers)[:-1] == [
            item for item in message.headers if item[0] != "Content-Length"
        ] or list(again.headers) == list(message.headers)
        assert again.body == message.body
    elif expected == 0:
        with pytest.raises(Malformed) as raised:
            parse_message(_read(name))
        assert not isinstance(raised.value, MalformedRequest)
    else:
        with pytest.raises(MalformedRequest) as raised:
            parse_message(_read(name))
        assert raised.value.status == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_a_torture_message_does_not_hurt_the_user_agent(name: str) -> None:
    net, alice, _ = pair()
    alice.agent.receive(_read(name), Hop("udp", "192.0.2.77", 5060))
    net.time.advance(200)
    assert len(alice.agent.transactions) == 0
    assert alice.agent.dialogs == 0


def test_the_short_tortuous_invite_is_understood() -> None:
    """§3.1.1.1: folded lines, spaces everywhere, compact names."""
    message = parse_message(_read("wsinv"))
    assert isinstance(message, Request)
    assert message.uri.user == "vivekg"
    assert message.to.tag == "1918181833n"
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.cseq == (9, "INVITE")
    assert message.max_forwards == 68
    assert [via.host for via in message.vias] == [
        "192.0.2.2", "spindle.example.com", "192.168.255.111",
    ]  # fmt: skip
    assert [via.transport for via in message.vias] == ["udp", "tcp", "udp"]
    assert message.contact is not None
    assert message.contact.params["newparam"] == "newvalue"


def test_a_user_part_may_hold_semicolons() -> None:
    """§3.1.1.9."""
    message = parse_message(_read("semiuri"))
    assert isinstance(message, Request)
    assert message.uri.user == "user;par=u%40example.net"
    assert message.uri.params == {}


def test_what_follows_the_body_is_dropped() -> None:
    """§3.1.1.8: a second request in one datagram."""
    message = parse_message(_read("dblreq"))
    assert message.body == b""


def test_a_response_without_a_reason_is_read() -> None:
    message = parse_message(_read("noreason"))
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (100, "")
