"""Make `.venv` from `uv.lock` on a machine that has Python and nothing else.

In order: find uv at the pinned version (on PATH, in `.tools/`, else fetched from the package
index and checked against the hash below), then `uv sync --frozen`: what Chorus runs with, or
with `--dev` also what its tests and documentation need. Standard library only and
no `venv`, `ensurepip` or `pip`, because Debian ships those apart from `python3.11`.

What is honoured from the environment: `PIP_INDEX_URL` or `UV_DEFAULT_INDEX` (a mirror of
PyPI), `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools" / "bin"
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)

UV_VERSION = "0.13.8"
# The wheels of that version as PyPI lists them: https://pypi.org/simple/uv/
UV_WHEELS = {
    ("linux", "x86_64"): (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    ),
    ("linux", "aarch64"): (
        "manylinux_2_28_aarch64",
        "5337c30bb893b4f9ce0ceb921ba2da0d13f649da644f40ad3bef84083bef0203",
    ),
    ("musl", "x86_64"): (
        "musllinux_1_1_x86_64",
        "29451c60f5e8b07403e0a175d5229efc36b0289b34143ff4aaa499a5dd52553a",
    ),
    ("darwin", "x86_64"): (
        "macosx_10_12_x86_64",
        "b7124ca1956ec2e476a1003ea5715a15f0266afaec37f4dc9c6972ba8183e6d1",
    ),
    ("darwin", "arm64"): (
        "macosx_11_0_arm64",
        "62b6943c7fd64fac6854f780bea6e0359e5a5bc3241f83ee357bb38276afac49",
    ),
}


def main() -> int:
    try:
        uv = find_uv() or fetch_uv()
    except SetupFailed as failed:
        print(f"setup: {failed}", file=sys.stderr)
        return 1
    return sync(uv, dev="--dev" in sys.argv[1:])


class SetupFailed(Exception):
    """A sentence that tells the user what to do."""


def find_uv() -> str | None:
    """A uv of exactly the pinned version, so that everybody reads the lock file alike."""
    for candidate in (str(TOOLS / "uv"), shutil.which("uv")):
        if not candidate or not Path(candidate).exists():
            continue
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if said.stdout.split()[1:2] == [UV_VERSION]:
            return candidate
    return None


def fetch_uv() -> str:
    tag, sha256 = wheel_for_this_machine()
    filename = f"uv-{UV_VERSION}-py3-none-{tag}.whl"
    print(f"setup: fetching {filename}", flush=True)
    wheel = download(find_link(filename))
    if hashlib.sha256(wheel).hexdigest() != sha256:
        raise SetupFailed(f"{filename} from {index_url()} does not have the expected sha256")
    TOOLS.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        binary = archive.read(f"uv-{UV_VERSION}.data/scripts/uv")
    # Written beside and renamed: a setup that is interrupted leaves no half a binary.
    part = TOOLS / "uv.part"
    part.write_bytes(binary)
    part.chmod(0o755)
    part.replace(TOOLS / "uv")
    return str(TOOLS / "uv")


def wheel_for_this_machine() -> tuple[str, str]:
    system = platform.system().lower()
    if system == "linux" and platform.libc_ver()[0] != "glibc":
        system = "musl"
    machine = platform.machine().replace("AMD64", "x86_64")
    try:
        return UV_WHEELS[system, machine]
    except KeyError:
        raise SetupFailed(
            f"no pinned uv for {system} {machine}; install uv {UV_VERSION} yourself "
            "(https://docs.astral.sh/uv/) and put it on PATH"
        ) from None


def index_url() -> str:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if url := os.environ.get(name):
            return url.rstrip("/")
    return "https://pypi.org/simple"


def find_link(filename: str) -> str:
    """Look the file up in the index's page of the project (PEP 503)."""
    page_url = f"{index_url()}/uv/"
    page = download(page_url).decode(errors="replace")
    link = re.search(rf'href="([^"]*/{re.escape(filename)})[#"]', page)
    if not link:
        raise SetupFailed(f"{page_url} does not list {filename}")
    return urllib.parse.urljoin(page_url, link[1])


def download(url: str) -> bytes:
    attempts = 3
    while True:
        attempts -= 1
        try:
            with urllib.request.urlopen(url, timeout=60, context=tls()) as response:
                return response.read()
        except (OSError, http.client.HTTPException) as error:
            if not attempts:
                raise SetupFailed(f"cannot fetch {url}: {error}") from error
            time.sleep(1)


def tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not has_system_certificates():
        # A bare Debian has no ca-certificates. What is fetched is checked against the hash
        # in this file, so nothing here rests on who answered.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def has_system_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return True
    return bool(paths.capath) and any(Path(paths.capath).iterdir())


def uv_environment() -> dict[str, str]:
    """Ours, with uv told which authorities to trust."""
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    if has_system_certificates():
        # uv brings its own list of authorities; a company's proxy is only in the system's.
        environment.setdefault("UV_SYSTEM_CERTS", "1")
    return environment


def sync(uv: str, *, dev: bool) -> int:
    """`dev`: with what tests and documentation need, which a user can do without."""
    command = [uv, "sync", "--frozen", "--all-extras", "--quiet"]
    if not dev:
        command.append("--no-dev")
    print("setup: installing what uv.lock names into .venv", flush=True)
    if not (VENV / "bin" / "python").exists() and sys.version_info >= OLDEST_PYTHON:
        command += ["--python", sys.executable]
    environment = uv_environment() | {"UV_PROJECT_ENVIRONMENT": str(VENV)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
