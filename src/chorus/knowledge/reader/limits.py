"""What the process that reads documents may not do, enforced by the kernel.

Its libraries are large and its input is a stranger's, so whatever takes it over is to find itself
with nothing: after `lock` it can open no file and no socket (it has the descriptors that it was
born with and gets no more), start no process, write no file, and neither its memory nor its time
grows beyond the limits. Modules and character sets must have been loaded before.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import resource

MEMORY_BYTES = 1024 * 1024 * 1024
CPU_S = 30
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_CHARSETS = (
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "latin-1",
    "ascii",
    "cp437",
    "mac-roman",
)


def lock(charset: str | None = None) -> None:
    """For the rest of this process's life. `LookupError` for a charset that does not exist."""
    for name in (*_CHARSETS, charset or "utf-8"):
        codecs.lookup(name)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    with contextlib.suppress(OSError, AttributeError):  # Linux alone has these
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
