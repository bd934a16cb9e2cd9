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

from chorus.speech.protobuf import field, members

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_OUTPUT, _NODE_OP_TYPE = 2, 4
_VALUE_NAME = 1


def with_float_softmax(model: bytes) -> bytes:
    """`model` with the result of each softmax among its outputs. `ValueError` if it is no
    protocol buffer."""
    found: list[bytes] = []
    for graph in members(memoryview(model), _MODEL_GRAPH):
        for node in members(graph, _GRAPH_NODE):
            if any(bytes(kind) == b"Softmax" for kind in members(node, _NODE_OP_TYPE)):
                found += [bytes(name) for name in members(node, _NODE_OUTPUT)]
    if not found:
        return model
    outputs = b"".join(field(_GRAPH_OUTPUT, field(_VALUE_NAME, name)) for name in found)
    return model + field(_MODEL_GRAPH, outputs)
