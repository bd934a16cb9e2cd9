"""A second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes.

1. `begin` makes a secret and ten recovery codes, which are shown this once;
2. `confirm` with a first code: from then on a log-in takes a code as well;
3. `accept` takes a code, each one once, also from another server: its step of the clock is kept.
   A code of the step before or after counts too, for clocks that are off (RFC 6238 §5.2);
4. `remove`, by its person with password and code, or by somebody who may touch the member.

Between the password and the code a log-in is a `challenge`: what is needed to go on, encrypted, so
that nothing of it is kept here. It ends with the password that it stands for, and after minutes.
"""

from __future__ import annotations

import hmac
import secrets as random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from pyotp import random_base32
from pyotp.totp import TOTP

from chorus.accounts.secrets import Secrets, SecretsUnreadable, digest, is_encrypted
from chorus.accounts.tables import Identity, Member
from chorus.errors import Error, conflict, invalid_field

STEP_S = 30
RECOVERY_CODES = 10
CHALLENGE_LASTS = timedelta(minutes=5)
_ISSUER = "Chorus"
# No letter that looks like a figure, or like another.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH = 12
"""Of a recovery code: 59 bits, so that SHA-256 will do for what is kept of it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """`uri` is what an app reads as a QR code (otpauth)."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    recovery_codes: list[str] = field(repr=False)


def is_on(identity: Identity) -> bool:
    return identity.second_factor_at is not None


def begin(secrets: Secrets, identity: Identity, host: str) -> Begun:
    """A new one, which counts for nothing until it is confirmed; one that was begun before is
    forgotten. `host` tells the app's user which Chorus it is. Raises `Error` 409 if there is one
    in use."""
    if is_on(identity):
        raise conflict("second_factor_in_use", "A second factor is in use; remove it first")
    secret = random_base32()
    codes = [new_code() for _ in range(RECOVERY_CODES)]
    identity.second_factor_secret = secrets.encrypt(secret)
    identity.second_factor_step = 0
    identity.recovery_hashes = [digest(_plain(code)) for code in codes]
    name = f"{identity.email} ({host})"
    return Begun(secret, TOTP(secret).provisioning_uri(name=name, issuer_name=_ISSUER), codes)


def confirm(secrets: Secrets, identity: Identity, code: str, now: datetime) -> None:
    """Raises `Error` 400 for a wrong code, 409 if none was begun or one is in use already."""
    if is_on(identity) or identity.second_factor_secret is None:
        raise conflict("no_second_factor_begun", "No second factor was begun, or it is in use")
    if not _is_of_app(secrets, identity, code, now):
        raise wrong_code()
    identity.second_factor_at = now


def accept(secrets: Secrets, identity: Identity, code: str, now: datetime) -> bool:
    """Whether the code is one of the identity's, which is locked; it is used up."""
    if _is_of_app(secrets, identity, code, now):
        return True
    given, kept = digest(_plain(code)), identity.recovery_hashes or []
    left = [each for each in kept if not hmac.compare_digest(each, given)]
    if len(left) == len(kept):
        return False
    identity.recovery_hashes = left
    return True


def remove(identity: Identity) -> None:
    identity.second_factor_secret = identity.second_factor_at = identity.recovery_hashes = None
    identity.second_factor_step = 0


def wrong_code() -> Error:
    return invalid_field("code", "Code is wrong, or was used before")


# --- between the password and the code ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Challenge:
    """Somebody who showed the password of which this is the hash's digest, on the way to an
    organization."""

    identity_id: uuid.UUID
    organization_id: uuid.UUID
    password: str = field(repr=False)

    def is_of(self, identity: Identity) -> bool:
        stored = identity.password_hash
        return stored is not None and hmac.compare_digest(self.password, digest(stored))


def required(secrets: Secrets, member: Member, identity: Identity, now: datetime) -> Error:
    """401, with what to send along with the code, after a right password."""
    assert identity.password_hash is not None
    ends = now + CHALLENGE_LASTS
    challenge = secrets.encrypt(
        {
            "for": "second factor",
            "identity": str(identity.id),
            "organization": str(member.organization_id),
            "password": digest(identity.password_hash),
            "ends": ends.timestamp(),
        }
    )
    return Error(
        401,
        "second_factor_required",
        "A code of the second factor is required",
        extra={"challenge": challenge},
    )


def read(secrets: Secrets, challenge: str, now: datetime) -> Challenge | None:
    """None for one that is none, or has ended."""
    if not is_encrypted(challenge):
        return None
    try:
        found = secrets.decrypt(challenge)
    except SecretsUnreadable:
        return None
    if not isinstance(found, dict):
        return None
    found = cast("dict[str, Any]", found)
    if found.get("for") != "second factor":
        return None
    if now.timestamp() >= found["ends"] or "identity" not in found:
        return None
    return Challenge(
        uuid.UUID(found["identity"]), uuid.UUID(found["organization"]), found["password"]
    )


# --- codes ----------------------------------------------------------------------------------


def _is_of_app(secrets: Secrets, identity: Identity, code: str, now: datetime) -> bool:
    figures = "".join(code.split())
    if identity.second_factor_secret is None or len(figures) != 6:
        return False
    app = TOTP(secrets.decrypt(identity.second_factor_secret), interval=STEP_S)
    step = int(now.timestamp()) // STEP_S
    for each in (step, step - 1, step + 1):
        right = hmac.compare_digest(app.generate_otp(each).encode(), figures.encode())
        if right and each > identity.second_factor_step:
            identity.second_factor_step = each
            return True
    return False


def new_code() -> str:
    letters = "".join(random.choice(_LETTERS) for _ in range(_LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, _LENGTH, 4))


def _plain(code: str) -> str:
    return "".join(char for char in code.lower() if char.isalnum())
