"""What the callers say: recorded people in five languages and several synthetic voices.

One question by one voice tells how fast one question is answered. Where a speaker pauses, how a
sentence falls at its end and how loud it is decide when its end is noticed, so the callers say
one utterance after another out of this list. The recordings are Debian's (`setup_utterances.sh`
installs them): telephone prompts by Allison Smith (English, Spanish), June Wallack (French),
Carlo Flora (Italian) and ivrvoice.ru (Russian), and sentences that LibriVox readers read. Chosen
before anything was measured with them: whole sentences and questions of 1.2 to 7 seconds, some
with a pause inside.
"""

from __future__ import annotations

import subprocess
import wave
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import soxr

from bench.carrier import QUESTION, Utterance, speech_frames

SOUNDS = Path("/usr/share/asterisk/sounds")
READINGS = Path("/usr/share/pocketsphinx/test/data")
SETUP = "bench/setup_utterances.sh"

RECORDED: dict[str, tuple[str, ...]] = {
    "en_US_f_Allison": (
        "all-circuits-busy-now",
        "check-number-dial-again",
        "conf-getpin",
        "conf-invalid",
        "demo-nomatch",
        "demo-thanks",
        "enter-num-blacklist",
        "followme/status",
        "invalid",
        "please-try-call-later",
        "priv-introsaved",
        "queue-youarenext",
        "ss-noservice",
        "tt-weasels",
        "vm-nobodyavail",
        "vm-nobox",
        "vm-savefolder",
        "vm-whichbox",
    ),
    "es_MX_f_Allison": ("conf-getpin", "invalid", "vm-nobodyavail", "vm-savefolder"),
    "fr_CA_f_June": ("conf-getpin", "invalid", "vm-nobodyavail", "vm-savefolder"),
    "it_IT_m_Carlo": ("conf-getpin", "invalid", "vm-nobodyavail", "vm-savefolder"),
    "ru_RU_f_IvrvoiceRU": ("conf-getpin", "invalid", "vm-nobodyavail", "vm-savefolder"),
}
READ = (
    "cards/001",
    "cards/003",
    "cards/005",
    "librivox/sense_and_sensibility_01_austen_64kb-0880",
    "librivox/sense_and_sensibility_01_austen_64kb-0890",
)
SYNTHETIC = (
    ("en-us+f3", 160, "Do you have a table for four on Friday, or is that too late?"),
    ("en-us+m3", 175, "Hello, this is Peter Wagner, I am calling about my order."),
    ("en-gb+f2", 165, "My number is four seven one, one zero, eight eight two."),
    ("en-gb+m7", 150, "Well, I would like to move it to Thursday, if that is possible."),
    ("en-us+f5", 190, "Yes please."),
    ("de+f4", 165, "Guten Tag, ich möchte gern einen Termin am Montag vereinbaren."),
    ("de+m2", 170, "Haben Sie am Sonntag geöffnet?"),
)


class NoUtterances(Exception):
    """Something of the list is not on this machine; the message says how to get it."""


def one(path: Path = QUESTION) -> tuple[Utterance, ...]:
    """A single one, from a WAV."""
    return (Utterance(path.stem, speech_frames(path)),)


@cache
def mixed() -> tuple[Utterance, ...]:
    """The whole list, in an order in which languages and speakers alternate; raises
    `NoUtterances`."""
    found = [*_recorded(), *_read(), *map(_synthetic, SYNTHETIC), *one()]
    # A step that shares no divisor with the number of them visits each once.
    step = next(n for n in (17, 19, 23) if len(found) % n)
    return tuple(found[i * step % len(found)] for i in range(len(found)))


def _recorded() -> list[Utterance]:
    paths = [
        SOUNDS / folder / f"{name}.wav" for folder, names in RECORDED.items() for name in names
    ]
    return [Utterance(f"{path.parent.name}/{path.stem}", _frames(path)) for path in paths]


def _read() -> list[Utterance]:
    return [Utterance(name, _frames(READINGS / f"{name}.wav")) for name in READ]


def _synthetic(wanted: tuple[str, int, str]) -> Utterance:
    voice, words_a_minute, text = wanted
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(words_a_minute), text]
    try:
        said = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as failed:
        raise NoUtterances(f"espeak-ng cannot be run ({failed}): {SETUP}") from failed
    return Utterance(f"{voice}: {text}", _telephone(said))


def _frames(path: Path) -> list[bytes]:
    if not path.exists():
        raise NoUtterances(f"{path} is missing: {SETUP}")
    return _telephone(path.read_bytes())


def _telephone(wav: bytes) -> list[bytes]:
    """Any mono 16-bit WAV, also one whose header does not know its length, at 8 kHz."""
    with wave.open(BytesIO(wav)) as file:
        rate_hz = file.getframerate()
        pcm = np.frombuffer(file.readframes(len(wav)), "<i2")
    at_8k = soxr.resample(pcm, rate_hz, 8000) if rate_hz != 8000 else pcm
    telephone = BytesIO()
    with wave.open(telephone, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(at_8k.astype("<i2").tobytes())
    telephone.seek(0)
    return speech_frames(telephone)
