"""Which models can be pulled: where each file is, how large, with which hash, under what licence.

A URL names the revision, and a file whose SHA-256 is another is not taken, so that what is pulled
today is what was measured. `DEFAULTS` is what a first conversation needs. Sizes and hashes of
what was measured here are of the files themselves (docs/offline.md); those that `tried` leaves
out are what several public projects have pinned, and no such file was opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HUB = "https://huggingface.co"

_WHISPER = "the model: MIT (OpenAI); its conversion: MIT (SYSTRAN)"


@dataclass(frozen=True, slots=True)
class File:
    """`path` is below the hub's address; `size` in bytes."""

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One model. `languages` are BCP 47 tags; empty means fifty to a hundred. `tried`: its figures
    in the documentation were measured."""

    name: str
    kind: Literal["transcriber", "voice", "embedder"]
    does: str
    licence: str
    languages: tuple[str, ...]
    files: tuple[File, ...]
    tried: bool

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def _whisper(
    size: str, revision: str, does: str, files: dict[str, tuple[int, str]], *, tried: bool
) -> Weights:
    base = f"/Systran/faster-whisper-{size}/resolve/{revision}"
    return Weights(
        name=f"whisper-{size}",
        kind="transcriber",
        does=does,
        licence=_WHISPER,
        languages=("en",) if size.endswith(".en") else (),
        files=tuple(
            File(name, f"{base}/{name}", length, sha256) for name, (length, sha256) in files.items()
        ),
        tried=tried,
    )


def _piper(
    voice: str,
    revision: str,
    does: str,
    licence: str,
    model: tuple[int, str],
    config: tuple[int, str],
    *,
    tried: bool = False,
) -> Weights:
    """`voice` is Piper's own name of it, such as en_US-joe-medium."""
    locale, speaker, quality = voice.split("-")
    base = f"/rhasspy/piper-voices/resolve/{revision}/{locale.split('_')[0]}/{locale}"
    path = f"{base}/{speaker}/{quality}/{voice}.onnx"
    return Weights(
        name=f"piper-{voice}",
        kind="voice",
        does=does,
        licence=licence,
        languages=(locale.replace("_", "-"),),
        files=(
            File(f"{voice}.onnx", path, *model),
            File(f"{voice}.onnx.json", path + ".json", *config),
        ),
        tried=tried,
    )


# Of all sizes that know more than English.
_VOCABULARY = (459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913")
EMBEDDER = "all-minilm-l6-v2"
MULTILINGUAL = "paraphrase-multilingual-minilm-l12-v2"
_MULTILINGUAL_AT = (
    "/sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2/resolve/"
    "e8f8c211226b894fcb81acc59f3b34ba3efd5f42"
)
_MINILM_AT = (
    "/sentence-transformers/all-MiniLM-L6-v2/resolve/1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
)
_VOICES_AT = "c10ece1aade47bb51c153c893d14e5bf8e5b7117"

MANIFEST: tuple[Weights, ...] = (
    _whisper(
        "tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        "hears English",
        {
            "model.bin": (
                75_537_502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ),
            "config.json": (
                2_317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            ),
            "vocabulary.txt": (
                422_309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            ),
        },
        tried=True,
    ),
    _piper(
        "en_US-ljspeech-medium",
        _VOICES_AT,
        "speaks American English, a woman's voice",
        "MIT (the voice); recordings in the public domain (LJ Speech), trained on nothing else",
        (63_531_379, "6f52a751e2349abe7a76735eb09dc1875298c77ea2342ffd2fef79ff81b87f22"),
        (4_972, "141d612cc0a95ed7efc1ca936b845c2364967f2e9217c5dbfcf69fc4d6c65860"),
    ),
    _piper(
        "en_US-joe-medium",
        "0d907f158acc877ddeebcbf827659ee13bea8bcd",
        "speaks American English, a man's voice",
        "MIT (the voice); recordings CC0, but trained on top of the voice lessac, whose recordings "
        "(Blizzard 2013) are for research",
        (63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
        (4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
        tried=True,
    ),
    _whisper(
        "base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        "hears 99 languages; English a little better than tiny.en, at twice the time",
        {
            "model.bin": (
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ),
            "config.json": (
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            "vocabulary.txt": _VOCABULARY,
        },
        tried=True,
    ),
    _whisper(
        "small",
        "536b0662742c02347bc0e980a01041f333bce120",
        "hears 99 languages better than base, at several times its cost",
        {
            "model.bin": (
                483_546_902,
                "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
            ),
            "config.json": (
                2_370,
                "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828",
            ),
            "vocabulary.txt": _VOCABULARY,
        },
        tried=False,
    ),
    _piper(
        "es_ES-carlfm-x_low",
        _VOICES_AT,
        "speaks Spanish, a man's voice, 16 kHz",
        "MIT (the voice); recordings in the public domain",
        (28_130_791, "d69677323a907cd4963f42b29c20a98b5d6bfa7f3e64df339915e4650c00d125"),
        (4_159, "d9bdfa9ff01eb2bc9e62e7d2593939d1e4c4d8eb7cf75f972731539d12399966"),
    ),
    _piper(
        "fr_FR-mls-medium",
        _VOICES_AT,
        "speaks French, many voices of readers",
        "MIT (the voice); recordings CC-BY-4.0 (MLS): name them",
        (76_733_750, "0ed223f78466917f2bae05ee90096ce69ab1fdeb251f55590d0e7422d234e162"),
        (7_036, "252b0b0a6e4cc4949e23eccb956f9c779986c32f934f2f7e2191e5fdc2edca61"),
    ),
    _piper(
        "de_DE-mls-medium",
        _VOICES_AT,
        "speaks German, many voices of readers",
        "MIT (the voice); recordings CC-BY-4.0 (MLS): name them",
        (76_961_079, "69cd1d2aa5a35839a518966fcc4924b5f93e5f8c948ed0752b1a616ad53f65bf"),
        (8_948, "b0af1c89ddfdc72d32e015729b0e89b99eec13c2c8caa1db7488d98e9e570b40"),
    ),
    _piper(
        "it_IT-riccardo-x_low",
        _VOICES_AT,
        "speaks Italian, a man's voice, 16 kHz",
        "MIT (the voice); recordings of M-AILABS: name them, and claim no endorsement",
        (28_130_791, "1368de15f123275a7ef951c9e5e30be0f58a032daa14a0da44037443c1d1d21b"),
        (4_161, "146ab9c634afe524e9fb7530f2510df7a42fb1db56b52658ca1fb3d98001a62a"),
    ),
    Weights(
        name=EMBEDDER,
        kind="embedder",
        does="finds passages of documents in English by their meaning",
        licence="Apache-2.0",
        languages=("en",),
        files=(
            File(
                "model.safetensors",
                f"{_MINILM_AT}/model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            File(
                "tokenizer.json",
                f"{_MINILM_AT}/tokenizer.json",
                466_247,
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
        tried=True,
    ),
    Weights(
        name=MULTILINGUAL,
        kind="embedder",
        does="finds passages of documents in some fifty languages by their meaning",
        licence="Apache-2.0",
        languages=(),
        files=(
            File(
                "model.safetensors",
                f"{_MULTILINGUAL_AT}/model.safetensors",
                470_641_600,
                "eaa086f0ffee582aeb45b36e34cdd1fe2d6de2bef61f8a559a1bbc9bd955917b",
            ),
            File(
                "tokenizer.json",
                f"{_MULTILINGUAL_AT}/tokenizer.json",
                9_081_518,
                "2c3387be76557bd40970cec13153b3bbf80407865484b209e655e5e4729076b8",
            ),
        ),
        tried=False,
    ),
)

OTHER_LANGUAGES = "whisper-base"
"""The smallest that hears other languages than English."""
DEFAULTS = ("whisper-tiny.en", "piper-en_US-ljspeech-medium")


def find(name: str) -> Weights | None:
    return next((weights for weights in MANIFEST if weights.name == name), None)
