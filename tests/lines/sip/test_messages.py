"""Text: URIs, addresses, headers, streams, digests, session descriptions."""

from __future__ import annotations

import pytest

from chorus.lines.sip import digest
from chorus.lines.sip.framing import Frames
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.info import key_of
from chorus.lines.sip.message import Request, Response, parse_message, parse_via
from chorus.lines.sip.negotiate import Negotiation
from chorus.lines.sip.sdp import parse_sdp
from chorus.lines.sip.uri import Uri, parse_address, parse_addresses, parse_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:alice:secret@example.com:5061;transport=tls?subject=hi",
        "sip:[2001:db8::1]:5060;lr",
        "sip:+49301234567@trunk.example.com;user=phone",
        "tel:+49301234567;ext=5",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_a_users_plain_number() -> None:
    assert parse_uri("sip:%2b4930123;phone-context=x@example.com").plain_user == "+4930123"
    assert str(Uri.sip("a b@c", "example.com")) == "sip:a%20b%40c@example.com"


@pytest.mark.parametrize(
    "text",
    ["", "sip:", "alice@example.com", "sip:@example.com", "sip:a@b c", "sip:a@b:99999",
     "sip:a@[::1", "sip:a@b:x", "sip:a@b\x00", "sip:a@" + "é\n"],
)  # fmt: skip
def test_a_broken_uri_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_uri(text)


def test_an_address_keeps_what_is_quoted() -> None:
    address = parse_address('"Ann <a;b>, \\"x\\"" <sip:a@b;lr>;tag=1;note="a;b"')
    assert address.display == 'Ann <a;b>, "x"'
    assert address.params == {"tag": "1", "note": "a;b"}
    assert address.uri.params == {"lr": None}
    assert parse_address(str(address)) == address


def test_without_brackets_parameters_belong_to_the_header() -> None:
    address = parse_address("sip:a@b;tag=1")
    assert address.tag == "1"
    assert address.uri.params == {}


def test_a_list_of_routes() -> None:
    routes = parse_addresses('<sip:a;lr>, "x, y" <sip:b;lr>')
    assert [route.uri.host for route in routes] == ["a", "b"]


def test_a_via_with_spaces_and_ipv6() -> None:
    via = parse_via("SIP / 2.0 / TLS [2001:db8::9]:5061 ; branch=z9hG4bK1;rport")
    assert (via.transport, via.host, via.port) == ("tls", "2001:db8::9", 5061)
    assert str(via) == "SIP/2.0/TLS [2001:db8::9]:5061;branch=z9hG4bK1;rport"


def test_line_feeds_alone_are_read_too() -> None:
    message = parse_message(
        b"SIP/2.0 200 OK\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\n"
        b"To: <sip:a@b>;tag=2\nCall-ID: x\nCSeq: 1 INVITE\n\n"
    )
    assert isinstance(message, Response)


def test_a_stream_is_cut_into_messages_wherever_it_is_torn() -> None:
    one = Request(method="OPTIONS", target="sip:a@b", body=b"hello\r\n\r\n")
    one.headers.add("Call-ID", "1")
    data = one.encode()
    stream = b"\r\n\r\n" + data + b"\r\n" + data + data
    for size in (1, 2, 3, 7, 50, len(stream)):
        frames = Frames()
        found = [
            m for at in range(0, len(stream), size) for m in frames.feed(stream[at : at + size])
        ]
        assert found == [data, data, data]
        assert frames.pings == 1


def test_a_stream_without_an_end_is_given_up() -> None:
    frames = Frames()
    with pytest.raises(Malformed):
        frames.feed(b"x" * 70_000)
    with pytest.raises(Malformed):
        Frames().feed(b"OPTIONS a SIP/2.0\r\nContent-Length: 9999999\r\n\r\n")


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    # RFC 7616 §3.9.1
    [
        ("md5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("sha-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_digests_of_the_rfc(algorithm: str, expected: str) -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    made = digest.digest(
        algorithm, "Mufasa", "http-auth@example.org", "Circle of Life", "GET",
        "/dir/index.html", nonce, "00000001", cnonce,
    )  # fmt: skip
    assert made == expected


def _challenge(value: str, status: int = 401) -> Response:
    response = Response(status=status)
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    response.headers.add(name, value)
    return response


def test_the_strongest_challenge_is_answered_and_the_count_rises() -> None:
    credentials = digest.Credentials("bob", "secret")
    response = _challenge('Digest realm="r", nonce="n1", algorithm=MD5, qop="auth,auth-int"')
    response.headers.add(
        "WWW-Authenticate",
        'Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth", opaque="o"',
    )
    assert credentials.accept(response, tried=False)
    for count in (1, 2):
        request = Request(method="REGISTER", target="sip:r")
        credentials.sign(request)
        (header,) = request.headers.all("Authorization")
        from chorus.lines.sip.grammar import parse_params, split

        params = parse_params(split(header.removeprefix("Digest "), ","))
        assert params["algorithm"] == "SHA-256"
        assert params["nc"] == f"{count:08x}"
        assert params["opaque"] == "o"
        assert digest.check(params, "secret", "REGISTER")
        assert not digest.check(params, "wrong", "REGISTER")


def test_a_wrong_password_is_not_tried_for_ever() -> None:
    credentials = digest.Credentials("bob", "wrong")
    assert credentials.accept(_challenge('Digest realm="r", nonce="1"'), tried=False)
    assert not credentials.accept(_challenge('Digest realm="r", nonce="2"'), tried=True)
    # A nonce that was too old says so.
    assert credentials.accept(_challenge('Digest realm="r", nonce="3", stale=TRUE'), tried=True)


@pytest.mark.parametrize("value", ["Basic realm=x", 'Digest realm="r",nonce="n",qop="auth-int"',
                                   'Digest realm="r",nonce="n",algorithm=FOO'])  # fmt: skip
def test_a_challenge_that_cannot_be_answered(value: str) -> None:
    assert not digest.Credentials("a", "b").accept(_challenge(value), tried=False)


OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
    b"m=audio 20000 RTP/AVP 18 8 0 101\r\na=rtpmap:18 G729/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-15\r\na=ptime:20\r\n"
    b"m=video 30000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
)


def _negotiation(**more: object) -> Negotiation:
    return Negotiation(("G722", "PCMU", "PCMA"), "192.0.2.1", 40000, **more)  # type: ignore[arg-type]


def test_an_answer_takes_the_first_codec_that_both_have() -> None:
    body, agreed = _negotiation().answer(OFFER)
    assert (agreed.codec.name, agreed.codec.payload, agreed.events) == ("PCMA", 8, 101)
    assert (agreed.host, agreed.port, agreed.rtcp_port) == ("198.51.100.7", 20000, 20001)
    answer = parse_sdp(body)
    assert [(m.kind, m.port) for m in answer.media] == [("audio", 40000), ("video", 0)]
    assert [f.name for f in answer.media[0].formats] == ["PCMA", "TELEPHONE-EVENT"]


OPUS_OFFER = OFFER.replace(b"18 8 0 101", b"101 8 100").replace(
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15",
    b"a=rtpmap:101 opus/48000/2\r\na=fmtp:101 useinbandfec=1;maxaveragebitrate=20000\r\n"
    b"a=rtpmap:100 telephone-event/8000",
)


def test_opus_is_taken_with_what_we_say_of_our_own_end() -> None:
    ours = Negotiation(("PCMU", "PCMA", "OPUS"), "192.0.2.1", 40000)
    body, agreed = ours.answer(OPUS_OFFER)
    assert (agreed.codec.name, agreed.codec.payload) == ("OPUS", 101)
    assert "maxaveragebitrate=20000" in agreed.codec.fmtp
    # Its digits are at 8000 Hz, as some telephones have them, and stay there.
    assert (agreed.events, agreed.events_hz) == (100, 8000)
    assert b"a=rtpmap:101 opus/48000/2\r\n" in body
    assert b"maxaveragebitrate" not in body
    assert b"a=fmtp:101 maxplaybackrate=16000" in body


def test_payload_types_of_an_offer_never_collide() -> None:
    ours = Negotiation(("PCMU", "PCMA", "OPUS"), "192.0.2.1", 40000)
    first = parse_sdp(ours.offer()).media[0].formats
    assert [(each.name, each.payload, each.clock_hz) for each in first] == [
        ("PCMU", 0, 8000), ("PCMA", 8, 8000), ("OPUS", 96, 48000),
        ("TELEPHONE-EVENT", 101, 8000), ("TELEPHONE-EVENT", 102, 48000),
    ]  # fmt: skip
    ours.answer(OPUS_OFFER)
    again = parse_sdp(ours.offer()).media[0].formats
    assert [each.name for each in again[:1]] == ["OPUS"]
    assert ("TELEPHONE-EVENT", 100, 8000) in [(f.name, f.payload, f.clock_hz) for f in again]
    assert len({each.payload for each in again}) == len(again)
    # A codec that was ours to name keeps its number where theirs is another's.
    other = Negotiation(("PCMU", "OPUS"), "192.0.2.1", 40000)
    other.answer(OFFER.replace(b"101", b"96"))
    formats = parse_sdp(other.offer()).media[0].formats
    assert len({each.payload for each in formats}) == len(formats) == 4


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive"),
     ("sendrecv", "sendrecv")],
)  # fmt: skip
def test_a_hold_is_answered(theirs: str, ours: str) -> None:
    _, agreed = _negotiation().answer(OFFER.replace(b"a=ptime:20", b"a=" + theirs.encode()))
    assert agreed.direction == ours


def test_the_hold_of_rfc_2543() -> None:
    offer = OFFER.replace(b"c=IN IP4 198.51.100.7", b"c=IN IP4 0.0.0.0")
    _, agreed = _negotiation().answer(offer)
    assert not agreed.sends


def test_an_offer_and_its_answer_with_srtp() -> None:
    one, other = _negotiation(srtp=True), _negotiation()
    body, theirs = other.answer(one.offer())
    ours = one.answered(body)
    assert ours.send_key is not None
    assert ours.receive_key is not None
    assert theirs.receive_key is not None
    assert theirs.receive_key.key == ours.send_key.key
    assert theirs.send_key is not None
    assert theirs.send_key.key == ours.receive_key.key
    assert "secret" not in repr(ours.send_key)
    assert ours.send_key.key not in repr(ours)


def test_an_answer_in_the_clear_to_an_encrypted_offer_is_refused() -> None:
    one = _negotiation(srtp=True)
    one.offer()
    with pytest.raises(Malformed):
        one.answered(OFFER)


def test_the_version_rises_only_with_what_is_said() -> None:
    negotiation = _negotiation()
    first, again = negotiation.offer(), negotiation.offer()
    assert first == again
    assert b" 2 IN IP4" in negotiation.offer("inactive")


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"v=0\r\n", b"v=0\r\nm=audio\r\n", b"v=0\r\nm=audio x RTP/AVP 0\r\n",
     b"v=0\r\nc=IN\r\nm=audio 1 RTP/AVP 0\r\n", b"v=0\r\nm=audio 0 RTP/AVP 0\r\n",
     b"v=0\r\nm=audio 10 RTP/AVP 18\r\n", b"v=0\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 99,
     b"v=0\r\nm=audio 10 RTP/SAVP 0\r\n", b"\xff" * 20_000],
)  # fmt: skip
def test_a_description_of_no_use_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        _negotiation().answer(body)
    assert raised.value.status == 488


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", b"Signal= *\r\n", "*"),
        ("application/dtmf-relay", b"Signal=11\r\n", "#"),
        ("application/dtmf", b"7", "7"),
        ("application/dtmf-relay", b"Signal=99\r\n", None),
        ("text/plain", b"5", None),
    ],
)
def test_keys_told_by_info(kind: str, body: bytes, key: str | None) -> None:
    assert key_of(kind, body) == key
