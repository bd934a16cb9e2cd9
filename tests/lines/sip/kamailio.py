"""Kamailio as a PBX's proxy: registrar with digest authentication, Record-Route, and calls between
whoever is registered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.lines.sip.peers import free_port

PASSWORD = "s3cret"

_CONFIG = """#!KAMAILIO
debug=2
log_stderror=yes
fork=no
children=1
listen=udp:127.0.0.1:{port}
alias="pbx.test"
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "jsonrpcs.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
modparam("jsonrpcs", "transport", 0)
modparam("rr", "append_fromtag", 1)
modparam("auth", "nonce_expire", 30)
modparam("auth", "qop", "auth")
modparam("registrar", "max_expires", {expires})
modparam("registrar", "min_expires", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here"); exit;
    }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("pbx.test", "{password}", "0")) {{
            www_challenge("pbx.test", "1"); exit;
        }}
        consume_credentials();
        save("location"); exit;
    }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("INVITE")) {{
        if (!pv_proxy_authenticate("pbx.test", "{password}", "0")) {{
            proxy_challenge("pbx.test", "1"); exit;
        }}
        consume_credentials();
    }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""


@asynccontextmanager
async def kamailio(folder: Path, expires: int = 60) -> AsyncGenerator[int, None]:
    """Its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "kamailio.cfg"
    config.write_text(_CONFIG.format(port=port, password=PASSWORD, expires=expires))
    log = folder / "kamailio.log"
    process = await asyncio.create_subprocess_exec(
        "kamailio", "-f", str(config), "-DD", "-E", "-m", "16", "-M", "4",
        "-Y", str(folder), "-w", str(folder),
        stdin=asyncio.subprocess.DEVNULL, stdout=log.open("wb"), stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        await _up(port, process, log)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _up(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Asked by OPTIONS until it answers."""
    answered = asyncio.Event()

    class Asker(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answered.set()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Asker, remote_addr=("127.0.0.1", port))
    own = transport.get_extra_info("sockname")[1]
    try:
        for number in range(150):
            assert process.returncode is None, log.read_text(errors="replace")[-3000:]
            transport.sendto(
                f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKup{number};rport\r\n"
                f"From: <sip:up@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: up{number}\r\n"
                f"CSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n".encode()
            )
            try:
                await asyncio.wait_for(answered.wait(), 0.1)
            except TimeoutError:
                continue
            return
        raise AssertionError(log.read_text(errors="replace")[-3000:])
    finally:
        transport.close()
