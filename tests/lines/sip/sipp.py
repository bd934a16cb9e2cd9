"""sipp scenarios, written as Python: each step is a message to send or to wait for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

_HEAD = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="chorus">\n'

_SDP = """v=0
o=sipp 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
"""

INVITE = f"""INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "sipp" <sip:+4940555@[local_ip]:[local_port]>;tag=[pid]s[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
X-Order-Id: 77
User-to-User: 48656c6c6f;encoding=hex
Content-Type: application/sdp
Content-Length: [len]

{_SDP}"""


def in_dialog(method: str, sequence: int, body: str = "") -> str:
    """A request of the side that called."""
    kind = "Content-Type: application/sdp\n" if body else ""
    return f"""{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: "sipp" <sip:+4940555@[local_ip]:[local_port]>;tag=[pid]s[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {sequence} {method}
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
{kind}Content-Length: [len]

{body}"""


def response(status: int, reason: str, *, sdp: bool = False, more: str = "") -> str:
    """An answer of the side that was called."""
    kind = "Content-Type: application/sdp\n" if sdp else ""
    extra = f"{more}\n" if more else ""
    return f"""SIP/2.0 {status} {reason}
[last_Via:]
[last_From:]
[last_To:];tag=[pid]s[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:sipp@[local_ip]:[local_port]>
{extra}{kind}Content-Length: [len]

{_SDP if sdp else ""}"""


def send(message: str, *, lost: int = 0, retrans: bool = True) -> str:
    again = ' retrans="500"' if retrans else ""
    loss = f' lost="{lost}"' if lost else ""
    return f"<send{again}{loss}>\n<![CDATA[\n\n{message}\n]]>\n</send>\n"


def receive(what: int | str, *, optional: bool = False, save: bool = False) -> str:
    kind = f'response="{what}"' if isinstance(what, int) else f'request="{what}"'
    more = ' optional="true"' if optional else ""
    more += ' rrs="true"' if save else ""
    return f"<recv {kind}{more}></recv>\n"


def pause(ms: int) -> str:
    return f'<pause milliseconds="{ms}"/>\n'


@dataclass
class Done:
    code: int
    text: str


async def sipp(folder: Path, steps: list[str], *arguments: str, seconds: float = 40) -> Done:
    """Run a scenario to its end. `code` 0: every call went as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = folder / "scenario.xml"
    scenario.write_text(_HEAD + "".join(steps) + "</scenario>\n")
    process = await asyncio.create_subprocess_exec(
        "sipp", *arguments, "-sf", str(scenario), "-i", "127.0.0.1", "-mi", "127.0.0.1",
        "-nostdin", "-timeout", str(int(seconds)), "-timeout_error", "-trace_err",
        "-error_file", str(folder / "errors.log"),
        cwd=folder, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), seconds + 10)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    log = folder / "errors.log"
    errors = log.read_text(errors="replace") if log.exists() else ""
    return Done(process.returncode or 0, errors[-2000:] + out.decode(errors="replace")[-1500:])
