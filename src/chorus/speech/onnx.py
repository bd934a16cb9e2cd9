"""Opening an ONNX model so that it keeps to one thread and spins on none.

onnxruntime's default is a pool of one thread a core that spins while it waits; on a machine
that also moves audio, that is the audio's CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from chorus.speech.engines import EngineFailed


class Session(Protocol):
    """The one method used of `onnxruntime.InferenceSession`, which is untyped."""

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]: ...


def open_session(path: Path, vendor: str, *, rewrite: Callable[[bytes], bytes] = bytes) -> Session:
    """Load a model for single-threaded use; `rewrite` may change the file's content first. Raises
    `EngineFailed` (stage `load`) if onnxruntime is not installed or the file is not a model."""
    try:
        model = rewrite(path.read_bytes())
    except Exception as error:  # a file may be broken in any way
        raise EngineFailed(vendor, "load", f"{path.name}: {error}") from error
    return open_session_of(model, vendor, path.name)


def open_session_of(model: bytes, vendor: str, name: str = "model") -> Session:
    """As `open_session`, for a model in memory; `name` is what an error calls it."""
    try:
        import onnxruntime  # heavy: only where a model is really used
    except ImportError as error:
        raise EngineFailed(vendor, "load", "onnxruntime is not installed") from error
    runtime = cast(Any, onnxruntime)  # no type information
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(
            model, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises classes of its own that it does not export
        raise EngineFailed(vendor, "load", f"{name}: {error}") from error
    return cast(Session, session)
