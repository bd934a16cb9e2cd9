"""Secrets at rest: encrypted, replaceable keys, a key file of one's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import settings_for

from chorus.accounts.secrets import KEY_FILE, Secrets, SecretsUnreadable

OLD, NEW = "o" * 32, "n" * 32


def test_what_goes_in_comes_out_and_is_hidden_meanwhile():
    box = Secrets((OLD,))
    stored = box.encrypt({"sipPassword": "ä secret"})
    assert stored.startswith("v1:")
    assert "secret" not in stored
    assert stored != box.encrypt({"sipPassword": "ä secret"})
    assert box.decrypt(stored) == {"sipPassword": "ä secret"}


def test_a_key_can_be_replaced():
    stored = Secrets((OLD,)).encrypt("x")
    both = Secrets((NEW, OLD))
    assert both.decrypt(stored) == "x"
    renewed = both.renew(stored)
    assert Secrets((NEW,)).decrypt(renewed) == "x"
    with pytest.raises(SecretsUnreadable, match="CHORUS_SECRET_KEY"):
        Secrets((NEW,)).decrypt(stored)


@pytest.mark.parametrize("stored", ["", "plain text", "v2:abc", "v1:abc"])
def test_what_was_never_encrypted(stored: str):
    with pytest.raises(SecretsUnreadable):
        Secrets((OLD,)).decrypt(stored)


def test_signatures_are_for_one_purpose_and_survive_a_new_key():
    signature = Secrets((OLD,)).sign("recording", "call 1")
    assert Secrets((NEW, OLD)).verify("recording", "call 1", signature)
    assert not Secrets((NEW, OLD)).verify("recording", "call 2", signature)
    assert not Secrets((NEW, OLD)).verify("stream", "call 1", signature)
    assert not Secrets((NEW,)).verify("recording", "call 1", signature)
    assert not Secrets((OLD,)).verify("recording", "call 1", "é\udcff")


def test_without_a_key_one_is_made_once(tmp_path: Path):
    settings = settings_for(tmp_path / "new", secret_keys=())
    with ThreadPoolExecutor(8) as pool:
        boxes = list(pool.map(lambda _: Secrets.of(settings), range(8)))
    stored = boxes[0].encrypt("x")
    assert all(box.decrypt(stored) == "x" for box in boxes)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [KEY_FILE]
    path = tmp_path / "new" / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().strip()) >= 32


def test_an_empty_key_file_is_an_error_and_is_kept(tmp_path: Path):
    (tmp_path / KEY_FILE).write_text("\n")
    with pytest.raises(SecretsUnreadable, match=r"secret\.key"):
        Secrets.of(settings_for(tmp_path, secret_keys=()))
    assert (tmp_path / KEY_FILE).read_text() == "\n"
