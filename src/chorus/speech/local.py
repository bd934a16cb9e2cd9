"""The engines that run on this machine, the best of each kind that is installed.

A model that is missing is replaced by what needs none, which is logged; a transcriber and a
voice have no such substitute, and their absence is `EngineFailed`. Nothing is loaded before
it is asked for.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from chorus.extras import how_to_install
from chorus.speech.engines import EngineFailed
from chorus.speech.models import find_model
from chorus.speech.threads import ModelThreads
from chorus.speech.weights.manifest import Weights
from chorus.speech.weights.store import Store

if TYPE_CHECKING:
    from chorus.speech.eot.silence import SilenceEndOfTurn
    from chorus.speech.eot.smart_turn import SmartTurn
    from chorus.speech.stt.pocketsphinx import PocketSphinx
    from chorus.speech.stt.whisper import Whisper
    from chorus.speech.tts.espeak import EspeakVoice
    from chorus.speech.tts.piper import PiperVoice
    from chorus.speech.vad.silero import SileroDetector
    from chorus.speech.vad.webrtc import WebRtcDetector

log = logging.getLogger(__name__)


def local_detector() -> SileroDetector | WebRtcDetector:
    """Silero, or WebRTC's detector without its model."""
    path = find_model("silero_vad")
    try:
        if path is None:
            raise EngineFailed("silero", "load", f"no model; {how_to_install('local')}")
        from chorus.speech.vad.silero import SileroDetector

        return SileroDetector(path)
    except EngineFailed as failure:
        log.warning("%s; voice is detected by WebRTC's detector", failure)
        from chorus.speech.vad.webrtc import WebRtcDetector

        return WebRtcDetector()


def local_end_of_turn() -> SmartTurn | SilenceEndOfTurn:
    """Smart Turn, or the length of the silence without its model."""
    path = find_model("smart_turn")
    try:
        if path is None:
            raise EngineFailed("smart-turn", "load", f"no model; {how_to_install('local')}")
        if find_spec("onnxruntime") is None:
            detail = f"onnxruntime is not installed; {how_to_install('local')}"
            raise EngineFailed("smart-turn", "load", detail)
        from chorus.speech.eot.smart_turn import SmartTurn

        return SmartTurn(path)
    except EngineFailed as failure:
        log.warning("%s; turns end by silence", failure)
        from chorus.speech.eot.silence import SilenceEndOfTurn

        return SilenceEndOfTurn()


def local_transcriber(workers: int | None = None) -> PocketSphinx:
    """PocketSphinx. Raises `EngineFailed` where it is not installed."""
    if find_spec("pocketsphinx") is None:
        raise EngineFailed("pocketsphinx", "load", f"not installed; {how_to_install('local')}")
    from chorus.speech.stt.pocketsphinx import PocketSphinx

    return PocketSphinx(workers=workers)


def whisper_for(models: Path, language: str | None) -> Weights | None:
    """The Whisper model in a folder of models that is to hear a language, BCP 47 or unknown. For
    English the smallest does; for others the largest that is there. None where there is none."""
    if find_spec("ctranslate2") is None:
        return None
    installed = [w for w in Store(models).installed() if w.kind == "transcriber"]
    if (language or "en").lower().split("-")[0] != "en":
        installed = [weights for weights in installed if "en" not in weights.languages]
        return max(installed, key=lambda weights: weights.size, default=None)
    return min(installed, key=lambda weights: weights.size, default=None)


def local_whisper(models: Path, weights: Weights, threads: ModelThreads) -> Whisper:
    """That model. Loaded when it is first needed."""
    from chorus.speech.stt.whisper import Whisper

    return Whisper(Store(models).folder(weights), threads)


def local_piper(models: Path, threads: ModelThreads, espeak: EspeakVoice) -> PiperVoice:
    """All voices in Piper's format in a folder of models."""
    from chorus.speech.tts.piper import PiperVoice
    from chorus.speech.tts.piper_files import voices_in

    return PiperVoice({path.stem: path for path in voices_in(models)}, threads, espeak)


def local_voice(workers: int = 1) -> EspeakVoice:
    """espeak-ng. Raises `EngineFailed` where it is not installed."""
    if find_spec("espeakng_loader") is None:
        raise EngineFailed("espeak", "load", f"not installed; {how_to_install('local')}")
    from chorus.speech.tts.espeak import EspeakVoice

    return EspeakVoice(workers=workers)
