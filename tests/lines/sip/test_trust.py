"""Who may call, and registrations; without sockets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lines.sip.net import Net, Phone, Time

from chorus.lines.desk import Connection
from chorus.lines.sip import digest
from chorus.lines.sip.calls import caller_of
from chorus.lines.sip.grammar import parse_params, split
from chorus.lines.sip.headers import headers_of, variables_of
from chorus.lines.sip.message import Request, response_to
from chorus.lines.sip.registration import Registration
from chorus.lines.sip.transactions import ServerTransaction
from chorus.lines.sip.trunks import Trunk, is_number, trunk_of
from chorus.lines.sip.trust import Gatekeeper
from chorus.lines.sip.wire import Hop

NUMBER = "+493012345"


def _trunk(number: str = NUMBER, **settings: Any) -> Trunk:
    return trunk_of(Connection(f"id-{number}", number, settings))


def _listed(ip: str = "203.0.113.0/28", number: str = NUMBER, protocol: str = "udp") -> Trunk:
    return _trunk(number, sipMode="ip_allowlist", sipIp=ip, sipProtocol=protocol)


def _invite(user: str, to: str | None = None, **headers: str) -> Request:
    request = Request(method="INVITE", target=f"sip:{user}@192.0.2.1")
    request.headers.add("To", f"<sip:{user if to is None else to}@192.0.2.1>")
    for name, value in headers.items():
        request.headers.add(name.replace("_", "-"), value)
    return request


def test_an_allowlist_needs_the_address_and_the_number() -> None:
    gate = Gatekeeper(lambda: 0.0)
    trunk = _listed()
    gate.set_listed([trunk])
    inside, outside = Hop("udp", "203.0.113.9", 5060), Hop("udp", "203.0.113.99", 5060)
    assert gate.admit(_invite(NUMBER), inside) is trunk
    assert gate.admit(_invite("03012345"), inside) is trunk
    assert gate.admit(_invite("s", NUMBER), inside) is trunk
    diverted = _invite("queue", "queue", Diversion=f"<sip:{NUMBER}@pbx>;reason=unconditional")
    assert gate.admit(diverted, inside) is trunk
    assert gate.admit(_invite(NUMBER), outside) is None
    assert gate.admit(_invite("+4930999"), inside) is None
    assert gate.admit(_invite("00442071234567"), inside) is None


def test_a_tls_trunk_is_not_believed_over_udp() -> None:
    gate = Gatekeeper(lambda: 0.0)
    gate.set_listed([_listed(protocol="tls")])
    assert gate.admit(_invite(NUMBER), Hop("udp", "203.0.113.9", 5060)) is None
    assert gate.admit(_invite(NUMBER), Hop("tls", "203.0.113.9", 5061)) is not None


def test_of_two_numbers_at_one_address_the_one_that_is_called() -> None:
    gate = Gatekeeper(lambda: 0.0)
    one, other = _listed(), _listed(number="+49893012345")
    gate.set_listed([one, other])
    hop = Hop("udp", "203.0.113.9", 5060)
    assert gate.admit(_invite("+49893012345"), hop) is other
    assert gate.admit(_invite(NUMBER), hop) is one


def test_whoever_names_a_number_later_gets_no_call_of_it() -> None:
    gate = Gatekeeper(lambda: 0.0)
    ours, theirs = _listed(), replace(_listed("203.0.113.9"), phone_number_id="theirs")
    gate.set_listed([ours, theirs])
    assert gate.admit(_invite(NUMBER), Hop("udp", "203.0.113.9", 5060)) is ours
    settings = {"sipUsername": "1", "sipPassword": "x", "sipProxy": "pbx.example.com"}
    ours, theirs = _trunk(**settings), replace(_trunk(**settings), phone_number_id="theirs")
    hop = Hop("udp", "198.51.100.7", 5060)
    registrations: list[Registration] = []
    # The stranger's was made first, or came back after a change of ours.
    for trunk in (theirs, ours):
        registration = cast("Registration", SimpleNamespace(token=trunk.phone_number_id))
        registration.hop, registration.accepted = hop, trunk is ours
        registrations.append(registration)
        gate.add(trunk, registration)
    # A password that the registrar never took gets nothing.
    assert gate.admit(_invite(NUMBER), hop) is ours
    registrations[0].accepted = True
    gate.set_order([ours.phone_number_id, theirs.phone_number_id])
    assert gate.admit(_invite(NUMBER), hop) is ours
    # The registrar alone knows the part that cannot be guessed.
    assert gate.admit(_invite(theirs.phone_number_id, NUMBER), hop) is theirs


def test_strangers_are_answered_seldom() -> None:
    now = [0.0]
    gate = Gatekeeper(lambda: now[0])
    hop = Hop("udp", "198.51.100.1", 5060)
    assert sum(gate.may_answer(hop) for _ in range(1000)) == 1
    now[0] = 10.0
    assert gate.may_answer(hop)
    # Ten thousand addresses together get no more than the rate of all.
    crowd = [Hop("udp", f"10.0.{n // 250}.{n % 250}", 5060) for n in range(10_000)]
    assert sum(map(gate.may_answer, crowd)) < 30
    assert len(gate._each) <= 4096


@pytest.mark.parametrize(
    ("called", "means"),
    [
        ("+493012345", True), ("493012345", True), ("00493012345", True), ("03012345", True),
        ("012345", False), ("12345", False), ("", False), ("anonymous", False),
        ("+4930123456", False),
    ],
)  # fmt: skip
def test_how_a_number_may_be_written(called: str, means: bool) -> None:
    assert is_number(called, NUMBER) is means


def test_settings_become_a_trunk() -> None:
    trunk = _trunk(
        sipUsername="1001", sipPassword="x", sipProxy="pbx.example.com:5070",
        sipOutboundProxy="edge.example.com", sipAuthUser="auth", sipRegisterTransport="tcp",
    )  # fmt: skip
    assert trunk.account is not None
    assert str(trunk.account.registrar) == "sip:pbx.example.com:5070;transport=tcp"
    assert str(trunk.account.address) == "sip:1001@pbx.example.com"
    assert str(trunk.route) == "sip:edge.example.com;lr;transport=tcp"
    target = "sip:+4940@pbx.example.com:5070;user=phone;transport=tcp"
    assert str(trunk.target("+4940")) == target
    assert "x" not in repr(trunk.account.credentials).replace("examp", "").replace("proxy", "")
    assert _listed().target("+4940") is None
    with pytest.raises(ValueError, match="host"):
        _trunk(sipUsername="1", sipPassword="x", sipProxy="not a host")


@pytest.mark.parametrize(
    ("privacy", "withheld"),
    [("id", True), ("user;id", True), ("header; user", True), ("none", False), ("critical", False)],
)
def test_a_number_that_is_withheld_is_not_told(privacy: str, withheld: bool) -> None:
    request = _invite(NUMBER, From="<sip:trunk@192.0.2.9>")
    request.headers.add("P-Asserted-Identity", "<sip:+4940999@192.0.2.9>")
    assert caller_of(request) == "+4940999"
    request.headers.add("Privacy", privacy)
    assert caller_of(request) == ("" if withheld else "+4940999")


def test_headers_both_ways() -> None:
    message = _invite("a", X_Order_Id='"77"', X_Bad="ok", User_to_User="416e6e;encoding=hex")
    found = variables_of(message)
    assert found == {"sip_x_order_id": "77", "sip_x_bad": "ok", "sip_user_to_user": "Ann"}
    sent = headers_of({**found, "name": "no", "sip_x_new": "a\r\nEvil: 1", "sip_evil": "no"})
    assert ("X-Order-Id", "77") in sent
    assert ("X-New", "a  Evil: 1") in sent
    assert ("User-to-User", "416e6e;encoding=hex") in sent
    assert len(sent) == 4


@pytest.mark.parametrize(
    ("headers", "called"),
    [
        ([("Diversion", "<sip:+4940111@pbx>;reason=unconditional")], "+4940111"),
        # The last diversion stands on top.
        ([("Diversion", "<sip:222@pbx>;reason=no-answer"), ("Diversion", "<tel:111>")], "111"),
        ([("Diversion", "<sip:222@pbx>, <sip:111@pbx>")], "111"),
        ([("History-Info", "<sip:111@pbx>;index=1, <sip:222@pbx?Reason=SIP>;index=1.1")], "111"),
        ([("History-Info", "<sip:222@pbx>;index=1")], None),
        ([("Diversion", "<<broken")], None),
    ],
)
def test_who_was_called_at_first_is_told(headers: list[tuple[str, str]], called: str) -> None:
    message = _invite("a")
    for name, value in headers:
        message.headers.add(name, value)
    assert variables_of(message).get("sip_diversion") == called


INSTANCE = "7d444840-9dc0-11d1-b245-5ffdce74fad2"


class Registrar:
    """Answers REGISTER as a registrar does; `password` None takes everybody."""

    def __init__(self, net: Net, password: str | None = "secret") -> None:
        self.phone = Phone(net, "192.0.2.9")
        self.password = password
        self.status: int | None = None
        self.silent = False
        self.expires_s = 120
        self.bindings: list[tuple[str, int]] = []
        self.requests: list[Request] = []
        self.phone.agent._request = self.request  # type: ignore[method-assign]
        self.phone.agent.transactions._on_request = self.request

    def request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        self.requests.append(request)
        if self.silent:
            return
        if self.status is not None:
            transaction.reject(self.status, ("Min-Expires", "900"))
            return
        if self.password is not None:
            header = request.headers.get("Authorization")
            params = parse_params(split((header or "").removeprefix("Digest "), ","))
            if header is None or not digest.check(params, self.password, request.method):
                challenge = 'Digest realm="pbx", nonce="n1", qop="auth", algorithm=SHA-256'
                transaction.reject(401, ("WWW-Authenticate", challenge))
                return
        assert request.contact is not None
        wanted = int(request.contact.params.get("expires") or 0)
        self.bindings.append((request.contact.uri.user or "", wanted))
        answer = response_to(request, 200)
        granted = min(wanted, self.expires_s)
        answer.headers.add("Contact", f"<{request.contact.uri}>;expires={granted}")
        transaction.respond(answer)


def _registered(
    password: str = "secret", **more: Any
) -> tuple[Net, Registrar, Registration, list[str]]:
    net = Net(Time())
    registrar = Registrar(net, **more)
    phone = Phone(net, "192.0.2.1")
    trunk = _trunk(sipUsername="1001", sipPassword=password, sipProxy="192.0.2.9")
    assert trunk.account is not None
    states: list[str] = []
    registration = Registration(
        phone.agent.context, trunk.account, phone.agent.contact,
        lambda r: states.append(r.standing.state), INSTANCE,
    )  # fmt: skip
    registration.start()
    return net, registrar, registration, states


def test_it_registers_is_renewed_and_taken_away() -> None:
    net, registrar, registration, states = _registered()
    net.time.advance(2)
    assert registration.standing.state == "registered"
    assert registration.standing.expires_s == pytest.approx(120, abs=2)
    assert registrar.bindings == [(registration.token, 600)]
    net.time.advance(300)
    assert 3 <= len(registrar.bindings) <= 5
    assert registration.standing.state == "registered"
    registration.stop()
    net.time.advance(1)
    assert registrar.bindings[-1] == (registration.token, 0)
    assert states[-1] == "stopped"
    # One Call-ID and a rising CSeq all along (RFC 3261 §10.2).
    assert len({request.call_id for request in registrar.requests}) == 1
    sequences = [request.cseq[0] for request in registrar.requests]
    assert sequences == sorted(set(sequences))


def test_a_registrar_that_grants_seconds_is_asked_in_time() -> None:
    net, registrar, _, states = _registered()
    registrar.expires_s = 10
    net.time.advance(60)
    assert set(states) <= {"registering", "registered"}
    assert 6 <= len(registrar.bindings) <= 9


def test_over_udp_the_way_back_is_kept_open_while_it_is_registered() -> None:
    net, _, registration, _ = _registered()
    net.time.advance(85)
    assert [source for _, source in net.pings] == ["192.0.2.1"] * 3
    times = [at_s for at_s, _ in net.pings]
    assert [round(after - before) for before, after in pairwise(times)] == [25, 25]
    registration.stop()
    net.time.advance(100)
    assert len(net.pings) == 3


def test_a_wrong_password_is_asked_seldom_and_said_plainly() -> None:
    net, registrar, registration, _ = _registered("wrong")
    net.time.advance(60)
    assert registration.standing.state == "failed"
    assert registration.standing.error == (
        "SIP 401: the user name or the password was not accepted"
    )
    assert len(registrar.requests) <= 3
    assert "wrong" not in str(registration.standing)


def test_a_registrar_that_is_away_is_tried_again_and_found() -> None:
    net, registrar, registration, states = _registered()
    registrar.silent = True
    net.time.advance(40)
    assert registration.standing.state == "failed"
    assert registration.standing.error is not None
    assert "did not answer" in registration.standing.error
    registrar.silent = False
    net.time.advance(120)
    assert registration.standing.state == "registered"
    assert states[0] == "failed"


def test_the_instance_is_named_and_left_out_where_the_way_does_not_know_it() -> None:
    net, registrar, registration, _ = _registered()
    net.time.advance(2)
    contact = registrar.requests[-1].contact
    assert contact is not None
    assert contact.params["reg-id"] == "1"
    assert contact.params["+sip.instance"] == f"<urn:uuid:{INSTANCE}>"
    assert "outbound" in registrar.requests[-1].headers.tokens("Supported")
    registrar.status = 439
    asked = len(registrar.requests)
    while len(registrar.requests) == asked:  # it is renewed at a time by chance
        net.time.advance(0.5)
    registrar.status = None
    net.time.advance(5)
    assert registration.standing.state == "registered"
    contact = registrar.requests[-1].contact
    assert contact is not None
    assert "reg-id" not in contact.params
    assert "outbound" not in registrar.requests[-1].headers.tokens("Supported")


def test_a_registrar_that_wants_longer_intervals_gets_them() -> None:
    net, registrar, registration, _ = _registered()
    registrar.status = 423
    net.time.advance(1)
    registrar.status = None
    net.time.advance(10)
    assert registration.standing.state == "registered"
    assert registrar.bindings[-1][1] == 900


def test_the_binding_admits_whoever_knows_it_and_the_registrar() -> None:
    net, _, registration, _ = _registered()
    net.time.advance(2)
    gate = Gatekeeper(lambda: 0.0)
    trunk = _trunk(sipUsername="1001", sipPassword="x", sipProxy="192.0.2.9")
    gate.add(trunk, registration)
    elsewhere, there = Hop("udp", "203.0.113.5", 5060), Hop("udp", "192.0.2.9", 5060)
    assert gate.admit(_invite(registration.token), elsewhere) is trunk
    assert gate.admit(_invite("1001"), elsewhere) is None
    assert gate.admit(_invite("1001"), there) is trunk
    assert gate.admit(_invite(NUMBER), there) is trunk
    assert gate.admit(_invite("00442071234567"), there) is None
    gate.remove(registration)
    assert gate.admit(_invite(registration.token), elsewhere) is None
