"""The guarded client against real servers, most of them hostile."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.outbound import client, get
from tests.fakes.vendors.deepgram import NovaEars
from tests.fakes.vendors.hearing import KEY
from tests.fakes.vendors.net import Served

from chorus.outbound import Outbound, OutboundFailed, OutboundRefused
from chorus.outbound_address import Allowed, refusal

__all__ = ["client"]  # a fixture


# --- what is sent and answered ----------------------------------------------------------------


async def test_a_request_and_its_answer(client: Outbound) -> None:
    async with HttpPeer(lambda asked: respond(201, {"ok": True}, x_code="7")) as peer:
        answer = await client.send(
            "POST",
            f"{peer.url}/a%20b?c=d#fragment",
            headers=[("X-Key", "secret"), ("X-Name", "Zoë")],
            content=b'{"a": 1}',
            timeout_ms=20_000,
            max_bytes=1000,
        )
    assert (answer.status, answer.body, answer.header("X-Code")) == (201, b'{"ok": true}', "7")
    assert not answer.truncated
    (asked,) = peer.requests
    assert (asked.method, asked.target, asked.body) == ("POST", "/a%20b?c=d", b'{"a": 1}')
    assert asked.headers["x-key"] == "secret"
    assert asked.headers["host"] == f"127.0.0.1:{peer.port}"
    assert asked.headers["user-agent"] == "Chorus"


async def test_connections_are_reused_and_cookies_are_not_kept(client: Outbound) -> None:
    async with HttpPeer(lambda asked: respond(200, set_cookie="session=1; Path=/")) as peer:
        await get(client, peer.url)
        await get(client, peer.url)
    assert peer.connections == 1
    assert all("cookie" not in asked.headers for asked in peer.requests)


async def test_the_environments_proxies_are_ignored(
    client: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with HttpPeer(lambda asked: respond(200, "direct")) as peer:
        assert (await get(client, peer.url)).body == b"direct"


async def test_an_error_status_is_an_answer(client: Outbound) -> None:
    async with HttpPeer(lambda asked: respond(500, "oops")) as peer:
        assert (await get(client, peer.url)).status == 500


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.org/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("//example.org/", "must begin with http"),
        ("gopher://example.org:70/_", "must begin with http"),
        ("http:///path", "names no host"),
        ("http://user:pw@example.org/", "user name or password"),
        ("http://example.org/a b", "space or a control character"),
        ("http://example.org/a\r\nX: y", "space or a control character"),
        ("http://exa\u0000mple.org/", "space or a control character"),
        ("http://[::1/", "not valid"),
        ("http://example.org:99999/", "not valid"),
        ("", "must begin with http"),
    ],
)
async def test_urls_that_are_refused(client: Outbound, url: str, says: str) -> None:
    with pytest.raises(OutboundRefused, match=says):
        await get(client, url)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (("X-A", "b\r\nX-C: d"), "X-A holds a line break"),
        (("X-A", "b\0"), "X-A holds a line break"),
        (("X A", "b"), "not a valid header name"),
        (("X-A\r\nB", "b"), "not a valid header name"),
        (("Host", "other.example"), "Host may not be set"),
        (("content-length", "0"), "content-length may not be set"),
        (("Transfer-Encoding", "chunked"), "Transfer-Encoding may not be set"),
    ],
)
async def test_headers_that_are_refused(
    client: Outbound, header: tuple[str, str], says: str
) -> None:
    with pytest.raises(OutboundRefused, match=says):
        await get(client, "http://127.0.0.1:9/", headers=[header])


async def test_methods_that_are_refused(client: Outbound) -> None:
    with pytest.raises(OutboundRefused, match="CONNECT"):
        await get(client, "http://127.0.0.1:9/", method="CONNECT")


async def test_https_can_be_insisted_on(client: Outbound) -> None:
    with pytest.raises(OutboundRefused, match="https://"):
        await get(client, "http://127.0.0.1:9/", https_only=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:1:2::3",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "100::1",
        "4000::1",
        "nonsense",
    ],
)
def test_addresses_that_are_no_public_ones(address: str) -> None:
    assert refusal(address) is not None
    assert Allowed().refusal("example.org", address) is not None


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::1",
    ],
)
def test_public_addresses(address: str) -> None:
    assert refusal(address) is None


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_never_let_through(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    nat64 = ipaddress.ip_network("64:ff9b::/96")
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip in nat64):
        return  # judged by the address inside, see below
    if ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved:
        assert refusal(str(ip)) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_disguise(ip: ipaddress.IPv4Address) -> None:
    plain = refusal(str(ip))
    mapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address("::ffff:0:0")) | int(ip))
    nat64 = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | int(ip))
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (int(ip) << 80))
    assert refusal(str(mapped)) == refusal(str(nat64)) == refusal(str(six_to_four)) == plain


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"],
)
async def test_no_way_of_writing_loopback_reaches_it(host: str) -> None:
    client = Outbound()
    async with HttpPeer(lambda asked: respond(200, "inside")) as peer:
        with pytest.raises((OutboundRefused, OutboundFailed)):
            await get(client, f"http://{host}:{peer.port}/")
    assert peer.connections == 0
    await client.aclose()


async def test_the_operator_can_allow_names_addresses_and_networks() -> None:
    async with HttpPeer(lambda asked: respond(200, "inside")) as peer:
        for entry in ("127.0.0.1", "127.0.0.0/8", "localhost", "*.hooks.internal"):
            host = {"localhost": "localhost", "*.hooks.internal": "a.hooks.internal"}.get(entry)
            client = Outbound(allow_hosts=[entry], resolve=_to("127.0.0.1"))
            answer = await get(client, f"http://{host or '127.0.0.1'}:{peer.port}/")
            assert answer.body == b"inside"
            with pytest.raises(OutboundRefused, match="not allowed"):
                await get(Outbound(allow_hosts=[entry], resolve=_to("10.0.0.1")), "http://other/")
            await client.aclose()
    with pytest.raises(ValueError, match="http://x"):
        Outbound(allow_hosts=["http://x"])


# --- names ------------------------------------------------------------------------------------


def _to(*addresses: str) -> Any:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A name server that answers differently the second time (DNS rebinding)."""
    answers = iter([["1.1.1.1"], ["127.0.0.1"]])
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    client = Outbound(resolve=resolve)
    connected: list[str] = []

    async def connect(host: str, *_: Any) -> Any:
        connected.append(host)
        raise OutboundFailed("that was far enough")

    client._backend._inner.connect_tcp = connect  # type: ignore[method-assign] # no Internet here
    with pytest.raises(OutboundFailed, match="far enough"):
        await get(client, "http://rebind.example/")
    assert (asked, connected) == (["rebind.example"], ["1.1.1.1"])
    with pytest.raises(OutboundRefused, match="loopback"):
        await get(client, "http://rebind.example/")
    assert connected == ["1.1.1.1"]
    await client.aclose()


async def test_of_several_addresses_only_allowed_ones_are_tried() -> None:
    async with HttpPeer(lambda asked: respond(200, "here")) as peer:
        resolve = _to("10.0.0.1", "127.0.0.9", "127.0.0.1")  # 127.0.0.9: nobody listens
        client = Outbound(allow_hosts=["127.0.0.0/8"], resolve=resolve)
        assert (await get(client, f"http://two.example:{peer.port}/")).body == b"here"
        assert peer.requests[0].headers["host"] == f"two.example:{peer.port}"
        await client.aclose()


async def test_names_that_lead_nowhere(client: Outbound) -> None:
    async def broken(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(OutboundFailed, match=r"gone\.example cannot be resolved"):
        await get(Outbound(resolve=broken), "http://gone.example/")
    with pytest.raises(OutboundFailed, match="no address"):
        await get(Outbound(resolve=_to()), "http://gone.example/")
    with pytest.raises(OutboundFailed, match=r"could not connect to 127\.0\.0\.1"):
        await get(client, "http://127.0.0.1:9/secret-path?token=1")


async def test_a_name_server_that_never_answers_meets_the_deadline() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().create_future()

    with pytest.raises(OutboundFailed, match="within 50 ms") as caught:
        await get(Outbound(resolve=never), "http://slow.example/", timeout_ms=50)
    assert caught.value.timed_out


# --- redirects --------------------------------------------------------------------------------


async def test_redirects_are_followed_within_limits(client: Outbound) -> None:
    def handler(asked: Asked) -> bytes:
        step = int(asked.target.rpartition("/")[2])
        return respond(200, "done") if step == 0 else respond(302, location=f"/{step - 1}")

    async with HttpPeer(handler) as peer:
        answer = await get(client, f"{peer.url}/3")
        assert (answer.body, answer.url) == (b"done", f"{peer.url}/0")
        with pytest.raises(OutboundFailed, match="redirected more than 3 times"):
            await get(client, f"{peer.url}/4")
        assert (await get(client, f"{peer.url}/4", max_redirects=0)).status == 302


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (307, "POST", "POST", b"data"),
        (308, "PUT", "PUT", b"data"),
        (302, "PUT", "PUT", b"data"),
    ],
)
async def test_the_method_after_a_redirect(
    client: Outbound, status: int, method: str, then: str, body: bytes
) -> None:
    def handler(asked: Asked) -> bytes:
        return respond(200) if asked.target == "/b" else respond(status, location="/b")

    async with HttpPeer(handler) as peer:
        await get(client, f"{peer.url}/a", method=method, content=b"data")
    assert (peer.requests[1].method, peer.requests[1].body) == (then, body)


async def test_no_header_of_the_users_reaches_another_host(client: Outbound) -> None:
    secrets = [("Authorization", "Bearer s"), ("X-Api-Key", "s"), ("Cookie", "s")]
    headers = [*secrets, ("Accept", "text/plain")]
    async with HttpPeer(lambda asked: respond(200)) as other:
        target = f"{other.url}/x"
        async with HttpPeer(lambda asked: respond(307, location=target)) as first:
            await get(client, f"{first.url}/", headers=headers)
    assert first.requests[0].headers["x-api-key"] == "s"
    assert other.requests[0].headers["accept"] == "text/plain"
    assert not {"authorization", "x-api-key", "cookie"} & set(other.requests[0].headers)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "//10.0.0.1/",
    ],
)
async def test_each_hop_is_checked(location: str) -> None:
    client = Outbound(allow_hosts=["public.example"], resolve=_public_or_literal)
    async with HttpPeer(lambda asked: respond(302, location=location)) as peer:
        with pytest.raises(OutboundRefused, match="not allowed"):
            await get(client, f"http://public.example:{peer.port}/")
    await client.aclose()


async def _public_or_literal(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"] if host == "public.example" else [host]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "javascript:1", "http://u:p@x/"])
async def test_redirects_to_what_is_no_web_address(client: Outbound, location: str) -> None:
    async with HttpPeer(lambda asked: respond(302, location=location)) as peer:
        with pytest.raises(OutboundRefused):
            await get(client, peer.url)


# --- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "secure.example")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("secure.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        cert.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def _serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls_is_checked_against_the_name_though_the_address_is_connected_to(
    certificate: Path,
) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    client = Outbound(allow_private=True, resolve=_to("127.0.0.1"), ssl_context=trusting)
    async with HttpPeer(lambda asked: respond(200, "safe"), _serving(certificate)) as peer:
        assert (await get(client, f"https://secure.example:{peer.port}/")).body == b"safe"
        with pytest.raises(OutboundFailed, match=r"certificate of wrong\.example is not valid"):
            await get(client, f"https://wrong.example:{peer.port}/")
        distrusting = Outbound(allow_private=True, resolve=_to("127.0.0.1"))
        with pytest.raises(OutboundFailed, match="certificate"):
            await get(distrusting, f"https://secure.example:{peer.port}/")
        await distrusting.aclose()
    plain = await asyncio.start_server(lambda _, w: w.write(b"SSH-2.0-x\r\n"), "127.0.0.1", 0)
    async with plain:
        with pytest.raises(OutboundFailed, match="no TLS connection"):
            await get(client, f"https://secure.example:{plain.sockets[0].getsockname()[1]}/")
    await client.aclose()


async def test_a_websocket_over_tls_is_checked_against_the_name_too(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    client = Outbound(allow_private=True, resolve=_to("127.0.0.1"), ssl_context=trusting)
    async with Served(NovaEars(), _serving(certificate)) as url:
        port, headers = url.rpartition(":")[2], (("Authorization", f"Token {KEY}"),)
        path = "/v1/listen?encoding=mulaw&sample_rate=8000"
        for host in ("secure.example", "wrong.example"):
            asked = client.socket(f"wss://{host}:{port}{path}", headers=headers, timeout_ms=2000)
            if host == "wrong.example":
                with pytest.raises(OutboundFailed, match=r"certificate of wrong\.example"):
                    await asked
            else:
                socket = await asked
                await socket.send('{"type":"CloseStream"}')
                await socket.close()
    await client.aclose()


async def test_a_redirect_never_leads_from_https_to_http(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    client = Outbound(allow_private=True, resolve=_to("127.0.0.1"), ssl_context=trusting)
    async with HttpPeer(
        lambda asked: respond(302, location="http://secure.example/"), _serving(certificate)
    ) as peer:
        with pytest.raises(OutboundRefused, match="from https to http"):
            await get(client, f"https://secure.example:{peer.port}/")
    await client.aclose()
