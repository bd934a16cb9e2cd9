"""Keep onnxruntime from a slow softmax in a quantized model.

Between quantized tensors onnxruntime replaces a softmax by a look-up table, which is much slower
than the vectorized one: a sixth of all that Smart Turn v3.2 takes (docs/performance.md).
It leaves a softmax alone whose result is an output of the model. So `with_float_softmax` names
those results as outputs, which nobody fetches.

An ONNX file is a protocol buffer, and two messages of the same field are merged by whoever reads
them: the outputs are appended and the rest stays as it is, byte for byte. Field numbers are those
of `onnx.proto3` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_OUTPUT, _NODE_OP_TYPE = 2, 4
_VALUE_NAME = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def with_float_softmax(model: bytes) -> bytes:
    """`model` with the result of each softmax among its outputs. `ValueError` if it is no
    protocol buffer."""
    found: list[bytes] = []
    for graph in _members(memoryview(model), _MODEL_GRAPH):
        for node in _members(graph, _GRAPH_NODE):
            if any(bytes(kind) == b"Softmax" for kind in _members(node, _NODE_OP_TYPE)):
                found += [bytes(name) for name in _members(node, _NODE_OUTPUT)]
    if not found:
        return model
    outputs = b"".join(_field(_GRAPH_OUTPUT, _field(_VALUE_NAME, name)) for name in found)
    return model + _field(_MODEL_GRAPH, outputs)


def _members(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages and strings of one field of `message`."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field ends behind its message")
            if key >> 3 == wanted:
                yield message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"no such wire type: {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has no end")


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
