"""Secrets at rest: encrypted with the operator's key, or with one generated into the data folder.

Several keys may be given: the first encrypts, all decrypt, so that a key can be replaced. What
is stored begins with a version, so that the form can change too. The same keys sign URLs and
tokens, through a separate derivation for each purpose.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets as random
from pathlib import Path
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chorus.errors import Error
from chorus.settings import Settings

_VERSION = "v1:"
KEY_FILE = "secret.key"


class SecretsUnreadable(Error):
    """What is stored was encrypted with a key that this process does not have."""

    def __init__(self, sentence: str) -> None:
        super().__init__(503, "secrets_unreadable", sentence)


class Secrets:
    """Encrypts and signs with the keys given, newest first."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        assert keys
        self._keys = keys
        boxes = [Fernet(base64.urlsafe_b64encode(_derive(key, "at rest"))) for key in keys]
        self._newest = boxes[0]
        self._box = MultiFernet(boxes)

    @classmethod
    def of(cls, settings: Settings) -> Secrets:
        """The keys of the settings; without any, the key file, which is made if need be."""
        return cls(settings.secret_keys or (_key_file(settings.data_dir),))

    def encrypt(self, value: Any) -> str:
        """Any JSON value as text for a column."""
        return _VERSION + self._box.encrypt(orjson.dumps(value)).decode()

    def decrypt(self, stored: str) -> Any:
        """Raises `SecretsUnreadable`, also for text that was never encrypted."""
        if not is_encrypted(stored):
            raise SecretsUnreadable("the stored secret has an unknown form")
        try:
            return orjson.loads(self._box.decrypt(stored[len(_VERSION) :].encode()))
        except InvalidToken:
            raise SecretsUnreadable(
                "a stored secret cannot be decrypted: CHORUS_SECRET_KEY is not the key that it "
                "was encrypted with"
            ) from None

    def is_newest(self, stored: str) -> bool:
        """Whether the newest key encrypted it."""
        try:
            self._newest.decrypt(stored.removeprefix(_VERSION).encode())
        except InvalidToken:
            return False
        return is_encrypted(stored)

    def renew(self, stored: str) -> str:
        """The same secret, encrypted with the newest key."""
        return self.encrypt(self.decrypt(stored))

    def sign(self, purpose: str, message: str) -> str:
        """A signature in hex that only this installation can make."""
        return self._mac(self._keys[0], purpose, message)

    def verify(self, purpose: str, message: str, signature: str) -> bool:
        given = signature.encode("utf-8", "surrogateescape")
        return any(
            hmac.compare_digest(self._mac(key, purpose, message).encode(), given)
            for key in self._keys
        )

    def _mac(self, key: str, purpose: str, message: str) -> str:
        return hmac.new(_derive(key, f"sign {purpose}"), message.encode(), "sha256").hexdigest()


def is_encrypted(stored: str) -> bool:
    """Whether the text has the form of what `Secrets.encrypt` makes."""
    return stored.startswith(_VERSION)


def _derive(key: str, purpose: str) -> bytes:
    derivation = HKDF(hashes.SHA256(), length=32, salt=b"chorus", info=purpose.encode())
    return derivation.derive(key.encode())


def _key_file(folder: Path) -> str:
    path = folder / KEY_FILE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Written whole, then linked: of two processes that start at once, one makes the key
        # and the other finds it.
        draft = folder / f".{KEY_FILE}.{random.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(random.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = path.read_text().strip()
    if len(key) < 32:
        raise SecretsUnreadable(f"{path} holds no key; put back the one that was in it")
    return key


def digest(token: str) -> str:
    """What is stored of an API key or a call's token: both are random, so SHA-256 will do."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
