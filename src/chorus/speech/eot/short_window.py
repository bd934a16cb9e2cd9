"""Smart Turn on the last seconds of a turn instead of the last eight.

The model's file is for 800 frames of features. Its encoder adds a table of positions, one for two
frames, and reshapes to their number; nothing else in it depends on the length. So a file for a
shorter window is this one with the last rows of that table (the end of a turn keeps its
places), that number, and the input's width changed. Four seconds take less than half the time
of eight and judge as well (docs/performance-speech.md).

Names are those of smart-turn-v3.2-cpu.onnx; field numbers those of `onnx.proto3`. A file in which
they are not found is left as it is.
"""

from __future__ import annotations

import struct

from chorus.speech.protobuf import Field, field, fields, members, number_field

FULL_FRAMES = 800
_FEATURES = b"input_features"
_POSITIONS, _COUNT = b"inner.encoder.embed_positions.weight", b"val_21"
_MODEL_GRAPH = 7
_INITIALIZER, _INPUT, _VALUE_INFO = 5, 11, 13
_DIMS, _DATA_TYPE, _NAME, _RAW = 1, 2, 8, 9
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _ELEMENT, _SHAPE, _DIMENSION, _DIM_VALUE, _DIM_NAME = 1, 1, 2, 1, 1, 2
_FLOAT, _INT64 = 1, 7
_MELS = 80


def with_window(model: bytes, frames: int) -> bytes | None:
    """The model for so many frames of features; None where it is not the model that is known."""
    rows = frames // 2
    parts: list[bytes] = []
    changed: set[bytes] = set()
    for part in fields(memoryview(model)):
        if part.number != _MODEL_GRAPH:
            parts.append(bytes(part.raw))
            continue
        inside: list[bytes] = []
        for found in fields(part.content):
            if found.number == _VALUE_INFO:
                continue  # sizes on the way, which onnxruntime finds out by itself
            name = _name_of(found)
            new = _changed(found, name, rows, frames)
            if new is not None:
                changed.add(name)
            inside.append(bytes(found.raw) if new is None else new)
        parts.append(field(_MODEL_GRAPH, b"".join(inside)))
    return b"".join(parts) if changed == {_FEATURES, _POSITIONS, _COUNT} else None


def _name_of(found: Field) -> bytes:
    number = {_INPUT: _VALUE_NAME, _INITIALIZER: _NAME}.get(found.number)
    if number is None:
        return b""
    return next((bytes(content) for content in members(found.content, number)), b"")


def _changed(found: Field, name: bytes, rows: int, frames: int) -> bytes | None:
    """The new field, or None where it stays."""
    if found.number == _INPUT and name == _FEATURES:
        return field(_INPUT, _features(name, frames))
    if found.number != _INITIALIZER:
        return None
    if name == _COUNT:
        raw = struct.pack("<q", rows)
        tensor = number_field(_DIMS, 1) + number_field(_DATA_TYPE, _INT64)
        return field(_INITIALIZER, tensor + field(_NAME, name) + field(_RAW, raw))
    if name == _POSITIONS:
        [raw] = [bytes(content) for content in members(found.content, _RAW)]
        width = len(raw) * 2 // FULL_FRAMES  # bytes of a row
        tensor = number_field(_DIMS, rows) + number_field(_DIMS, width // 4)
        tensor += number_field(_DATA_TYPE, _FLOAT) + field(_NAME, name)
        return field(_INITIALIZER, tensor + field(_RAW, raw[-rows * width :]))
    return None


def _features(name: bytes, frames: int) -> bytes:
    dimensions = [
        field(_DIM_NAME, b"batch"),
        number_field(_DIM_VALUE, _MELS),
        number_field(_DIM_VALUE, frames),
    ]
    shape = b"".join(field(_DIMENSION, dimension) for dimension in dimensions)
    tensor = number_field(_ELEMENT, _FLOAT) + field(_SHAPE, shape)
    return field(_VALUE_NAME, name) + field(_VALUE_TYPE, field(_TYPE_TENSOR, tensor))
