"""Cutting an ONNX model in pieces: the part of its graph between given tensors.

`part_between` keeps the nodes that lead to `outputs`, without those behind `inputs`, and the
weights that they use. Field numbers are those of `onnx.proto3`
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chorus.speech.protobuf import field, fields, members, number_field

_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_GRAPH = 6
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE, _SHAPE_DIMENSION = 1, 1, 2, 1
_FLOAT = 1


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    raw: bytes


def nodes(model: bytes) -> list[Node]:
    """The nodes of a model's graph, in order. `inputs` holds what graphs inside a node use too."""
    return [_node(content) for content in members(_graph(model), _NODE)]


def part_between(model: bytes, inputs: dict[str, int], outputs: Sequence[str]) -> bytes:
    """A model of its own. `inputs`: new inputs, tensors of floats with so many dimensions; the
    model's own inputs are kept where they are still used."""
    graph = _graph(model)
    made_by = {name: node for node in nodes(model) for name in node.outputs}
    needed, wanted, kept = set(outputs), list(outputs), set[int]()
    while wanted:
        name = wanted.pop()
        if name in inputs or name not in made_by:
            continue
        node = made_by[name]
        if id(node) not in kept:
            kept.add(id(node))
            wanted += [used for used in node.inputs if used not in needed]
            needed.update(node.inputs)
    parts: list[bytes] = []
    keep_raw = {node.raw for node in made_by.values() if id(node) in kept}
    for found in fields(graph):
        number, content = found.number, found.content
        keep = not (
            (number == _NODE and bytes(content) not in keep_raw)
            or (number == _INITIALIZER and _text(content, _TENSOR_NAME) not in needed)
            or (number == _INPUT and _text(content, _VALUE_NAME) not in needed)
            or number in (_OUTPUT, _VALUE_INFO)
        )
        if keep:
            parts.append(bytes(found.raw))
    parts += [field(_INPUT, _float_tensor(name, size)) for name, size in inputs.items()]
    parts += [field(_OUTPUT, field(_VALUE_NAME, name.encode())) for name in outputs]
    rest = [bytes(f.raw) for f in fields(memoryview(model)) if f.number != _MODEL_GRAPH]
    return b"".join([*rest, field(_MODEL_GRAPH, b"".join(parts))])


def _graph(model: bytes) -> memoryview:
    [graph] = members(memoryview(model), _MODEL_GRAPH)
    return graph


def _node(content: memoryview) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    name = op = ""
    for found in fields(content):
        if found.number == _NODE_INPUT:
            inputs.append(_string(found.content))
        elif found.number == _NODE_OUTPUT:
            outputs.append(_string(found.content))
        elif found.number == _NODE_NAME:
            name = _string(found.content)
        elif found.number == _NODE_OP:
            op = _string(found.content)
        elif found.number == _NODE_ATTRIBUTE:
            for inside in members(found.content, _ATTRIBUTE_GRAPH):
                for node in members(inside, _NODE):
                    inputs += _node(node).inputs
    return Node(name, op, tuple(inputs), tuple(outputs), bytes(content))


def _float_tensor(name: str, dimensions: int) -> bytes:
    shape = b"".join(field(_SHAPE_DIMENSION, b"") for _ in range(dimensions))
    tensor = number_field(_TENSOR_ELEMENT, _FLOAT) + field(_TENSOR_SHAPE, shape)
    return field(_VALUE_NAME, name.encode()) + field(_VALUE_TYPE, field(_TYPE_TENSOR, tensor))


def _text(message: memoryview, number: int) -> str:
    return next((_string(content) for content in members(message, number)), "")


def _string(content: memoryview) -> str:
    return bytes(content).decode()
