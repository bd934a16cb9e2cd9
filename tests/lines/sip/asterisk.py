"""Asterisk as a PBX, set up as `docs/lines-sip.md` says, with telephones as its extensions.

It runs from the folder where `scripts/peers.py` has unpacked it, with that folder's own loader.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripts.peers import ASTERISK
from tests.lines.sip.peers import free_port

PASSWORD = "s3cret"
PAGE = Path(__file__).parents[3] / "docs/lines-sip.md"

needs_asterisk = pytest.mark.skipif(
    not ASTERISK.exists(), reason="Asterisk is not installed (scripts/peers.py)"
)

_ASTERISK = """
[directories]
astetcdir => {folder}
astrundir => {folder}
astdbdir => {folder}
astlogdir => {folder}
astspooldir => {folder}
astkeydir => {folder}
astvarlibdir => {folder}
astagidir => {folder}
astdatadir => {root}/usr/share/asterisk
astmoddir => {modules}
[options]
verbose = 3
"""
_LOGGER = "[general]\n[logfiles]\nlog => notice,warning,error,verbose\n"
_RTP = "[general]\nrtpstart={rtp}\nrtpend={rtp_end}\n"
_MUSIC = "[general]\n[default]\nmode=playlist\nentry={folder}/music\n"
_MODULES = """
res_pjproject res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjsip res_pjsip_session
res_pjsip_sdp_rtp res_pjsip_authenticator_digest res_pjsip_endpoint_identifier_user
res_pjsip_endpoint_identifier_ip res_pjsip_registrar res_pjsip_caller_id res_pjsip_refer
res_pjsip_nat res_pjsip_rfc3326 res_pjsip_pubsub res_pjsip_outbound_publish res_rtp_asterisk
res_timing_timerfd res_musiconhold codec_ulaw codec_alaw codec_g722 codec_resample
format_wav format_pcm app_dial app_playtones app_record app_playback bridge_simple
bridge_native_rtp bridge_softmix bridge_builtin_features pbx_config func_channel chan_pjsip
func_callerid app_stack res_srtp
"""
# What the page leaves to the reader: the transport, and the telephones.
_PJSIP = """
[transport]
type=transport
protocol=udp
bind={host}:{port}
[phone](!)
type=endpoint
context=internal
disallow=all
allow=ulaw
direct_media=no
rtp_symmetric=yes
[phone-auth](!)
type=auth
auth_type=userpass
password={password}
[phone-aor](!)
type=aor
max_contacts=1
remove_existing=yes
[1002](phone)
auth=1002
aors=1002
[1002](phone-auth)
username=1002
[1002](phone-aor)
[1003](phone)
auth=1003
aors=1003
[1003](phone-auth)
username=1003
[1003](phone-aor)
[1004](phone)
direct_media=yes
auth=1004
aors=1004
[1004](phone-auth)
username=1004
[1004](phone-aor)
"""
_DTLS = "media_encryption=dtls\ndtls_auto_generate_cert=yes\ndtls_setup=actpass\nrtcp_mux=yes"
_EXTENSIONS = """
[from-chorus]
exten => +4940111,1,Dial(PJSIP/1003,60)
; Answers in one codec and goes on in another.
exten => 700,1,Answer()
 same => n,Wait(1)
 same => n,Set(PJSIP_MEDIA_OFFER(audio)=!all,alaw)
 same => n,Set(PJSIP_SEND_SESSION_REFRESH()=invite)
 same => n,Playtones(600)
 same => n,Wait(60)
"""


@dataclass(frozen=True)
class Pbx:
    """Extensions: 1001 is the page's, 1011 the same with `direct_media`, 1021 with DTLS; 1002, 1003
    and 1004 are telephones, the last with `direct_media`."""

    host: str
    port: int
    folder: Path

    def settings(self, extension: str = "1001") -> dict[str, Any]:
        """Of a number that registers here."""
        return {
            "sipMode": "registration",
            "sipUsername": extension,
            "sipPassword": PASSWORD,
            "sipProxy": f"{self.host}:{self.port}",
            "sipPort": self.port,
        }

    def account(self, extension: str) -> str:
        """A telephone of that extension, for baresip."""
        return (
            f"<sip:{extension}@{self.host}:{self.port};transport=udp>;auth_user={extension};"
            f"auth_pass={PASSWORD};regint=60;answermode=auto;audio_codecs=PCMU/8000/1"
        )

    async def cli(self, command: str) -> str:
        """What its console says to a command."""
        process = await asyncio.create_subprocess_exec(
            *_program(), "-C", str(self.folder / "asterisk.conf"), "-rx", command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return out.decode(errors="replace")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


def blocks() -> dict[str, str]:
    """The files of the page by their names, which are in each one's first line."""
    found = re.findall(r"```ini\n; (\w+\.conf)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(found)


def _program() -> list[str]:
    libraries = next((ASTERISK / "usr/lib").glob("*-linux-gnu*"))
    loader = next(ASTERISK.glob("usr/lib*/ld-linux-*.so.*"), None) or next(
        libraries.glob("ld-linux-*.so.*")
    )
    path = f"{libraries}:{libraries / 'asterisk'}"
    return [str(loader), "--library-path", path, str(ASTERISK / "usr/sbin/asterisk")]


def _write(folder: Path, host: str, port: int) -> None:
    page = blocks()
    modules = next((ASTERISK / "usr/lib").glob("*-linux-gnu*/asterisk/modules"))
    rtp = 30_000 + (port % 200) * 20
    ours = page["pjsip.conf"].replace("password=…", f"password={PASSWORD}")
    direct = ours.replace("1001", "1011").replace("direct_media=no", "direct_media=yes")
    dtls = ours.replace("1001", "1021").replace("direct_media=no", f"direct_media=no\n{_DTLS}")
    files = {
        "asterisk.conf": _ASTERISK.format(folder=folder, root=ASTERISK, modules=modules),
        "logger.conf": _LOGGER,
        "modules.conf": "[modules]\nautoload=no\n"
        + "".join(f"load = {name}.so\n" for name in _MODULES.split()),
        "rtp.conf": _RTP.format(rtp=rtp, rtp_end=rtp + 18),
        "musiconhold.conf": _MUSIC.format(folder=folder),
        "pjsip.conf": _PJSIP.format(host=host, port=port, password=PASSWORD) + ours + direct + dtls,
        "extensions.conf": page["extensions.conf"] + _EXTENSIONS,
    }
    for name, text in files.items():
        (folder / name).write_text(text)


@contextmanager
def asterisk(host: str = "127.0.0.1") -> Generator[Pbx]:
    """Its folder is a short one: the path of its control socket may have 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="pbx"))
    port = free_port()
    _write(folder, host, port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*_program(), "-f", "-C", str(folder / "asterisk.conf")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    pbx = Pbx(host, port, folder)
    try:
        deadline_s = time.monotonic() + 30
        while "Asterisk Ready" not in pbx.log():
            assert process.poll() is None, pbx.log()[-3000:]
            assert time.monotonic() < deadline_s, pbx.log()[-3000:]
            time.sleep(0.05)
        yield pbx
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
