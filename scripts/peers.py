"""Install the other people's SIP stacks that tests call: baresip, sipp, Kamailio.

They are Debian packages. Only root on a machine with apt-get can install them; anywhere else this
says so and succeeds, and the tests that need them skip with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PEERS = {
    "baresip": "baresip-core",
    "sipp": "sip-tester",
    "kamailio": "kamailio",
}


def main() -> int:
    missing = [package for program, package in PEERS.items() if shutil.which(program) is None]
    if not missing:
        return 0
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"peers: not installed, their tests are skipped: {', '.join(missing)}")
        return 0
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            print(f"peers: their tests are skipped: {done.stderr.strip()[-300:]}")
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
