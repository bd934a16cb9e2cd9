"""The process in which Smart Turn listens.

Its features take some twenty steps of numpy. In a thread of a server that carries a hundred calls
each of them waits for the interpreter's lock, and the verdict comes too late. A process waits for
nobody; its low priority leaves the processor to the audio.

JUDGE is the rate in Hz (u32) and the samples; it is answered by VERDICT, a probability (f64), or by
FAILED with a sentence. One at a time. The model's path is the first argument.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path

from chorus.speech.channel import open_channel
from chorus.speech.eot.smart_turn_model import RATES_HZ, SmartTurnModel

READY, JUDGE, VERDICT, FAILED = range(1, 5)
RATE = struct.Struct("<I")
PROBABILITY = struct.Struct("<d")
_NICENESS = 10


def answer(model: SmartTurnModel, payload: bytes) -> tuple[int, bytes]:
    """Serve one JUDGE: the kind and payload of its answer."""
    try:
        [rate_hz] = RATE.unpack_from(payload)
        return VERDICT, PROBABILITY.pack(model.completeness(payload[RATE.size :], rate_hz))
    except Exception as failure:  # whatever numpy or onnxruntime raises: one question
        return FAILED, str(failure).encode()


def main() -> None:
    channel = open_channel()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    model = SmartTurnModel(Path(sys.argv[1]))
    # The first run allocates; do it before a caller waits for it.
    model.completeness(bytes(RATES_HZ[0] * 2), RATES_HZ[0])
    try:
        channel.send(READY)
        while (message := channel.receive()) is not None:
            if message.kind == JUDGE:
                channel.send(*answer(model, message.payload))
    except ConnectionError:
        return  # the parent has gone


if __name__ == "__main__":
    main()
