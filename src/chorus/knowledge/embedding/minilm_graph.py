"""MiniLM as an ONNX graph, made of its weights.

The models' official files are `safetensors`, whose hashes many pin; which of their ONNX exports is
whose is less clear. So the graph, which is BERT's and small, is written here: layers of attention
and a feed-forward network, 384 wide, 12 heads, as `BertModel` of their `config.json` says; how many
layers the weights tell. Operators and field numbers are those of onnx.proto3, operator set 20.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chorus.speech.protobuf import field, number_field, varint

HEADS, WIDTH = 12, 384
EPSILON = 1e-12

_OPSET, _IR = 20, 9
_FLOAT, _INT64 = 1, 7
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_INTS = 1, 2, 7
_TYPES: dict[str, type[np.generic]] = {"F32": np.float32, "I64": np.int64}

Array = NDArray[Any]


def read_weights(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file: a length, a header in JSON, and the bytes. Raises
    `ValueError` or `KeyError` for a file that is none."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    found: dict[str, Array] = {}
    for name, told in header.items():
        if name == "__metadata__":
            continue
        begin, end = told["data_offsets"]
        data = np.frombuffer(content[8 + length + begin : 8 + length + end], _TYPES[told["dtype"]])
        found[name] = data.reshape(told["shape"])
    return found


def places(weights: Mapping[str, Array], longest: int) -> NDArray[np.float32]:
    """What is added to the words at each place; (longest, WIDTH)."""
    kinds = weights["embeddings.token_type_embeddings.weight"]
    return weights["embeddings.position_embeddings.weight"][:longest] + kinds[0]


class _Graph:
    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._count = 0

    def node(self, op: str, *inputs: str, **attributes: float | Sequence[int]) -> str:
        self._count += 1
        output = f"{op}{self._count}"
        raw = b"".join(field(1, name.encode()) for name in inputs)
        raw += field(2, output.encode()) + field(4, op.encode())
        raw += b"".join(field(5, _attribute(n, v)) for n, v in attributes.items())
        self._nodes.append(field(1, raw))
        return output

    def constant(self, name: str, value: Array) -> str:
        kind = _INT64 if value.dtype == np.int64 else _FLOAT
        raw = b"".join(number_field(1, size) for size in value.shape) + number_field(2, kind)
        raw += field(8, name.encode()) + field(9, np.ascontiguousarray(value).tobytes())
        self._tensors.append(field(5, raw))
        return name

    def dense(self, name: str, given: str, scale: float = 1.0) -> str:
        weight = self.constant(f"{name}.w", self._weights[f"{name}.weight"].T * np.float32(scale))
        bias = self.constant(f"{name}.b", self._weights[f"{name}.bias"] * np.float32(scale))
        return self.node("Add", self.node("MatMul", given, weight), bias)

    def norm(self, name: str, given: str) -> str:
        scale = self.constant(f"{name}.w", self._weights[f"{name}.weight"])
        bias = self.constant(f"{name}.b", self._weights[f"{name}.bias"])
        return self.node("LayerNormalization", given, scale, bias, epsilon=EPSILON)

    def model(self, inputs: bytes, output: str) -> bytes:
        graph = b"".join([*self._nodes, field(2, b"minilm"), *self._tensors, inputs])
        graph += field(12, _value(output, _FLOAT, ("batch", "length", WIDTH)))
        opset = field(1, b"") + number_field(2, _OPSET)
        return number_field(1, _IR) + field(8, opset) + field(7, graph)


def model_of(weights: Mapping[str, Array]) -> bytes:
    """Inputs: `ids` (batch, length) int64, `places` (1, length, WIDTH), and `mask` (batch, 1, 1,
    length), 0 for a token and very negative for padding. Output: (batch, length, WIDTH)."""
    graph = _Graph(weights)
    words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
    apart = graph.constant("apart", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    together = graph.constant("together", np.array([0, 0, WIDTH], np.int64))
    x = graph.node("Add", graph.node("Gather", words, "ids"), "places")
    x = graph.norm("embeddings.LayerNorm", x)

    def heads(name: str, perm: Sequence[int], scale: float = 1.0) -> str:
        return graph.node(
            "Transpose", graph.node("Reshape", graph.dense(name, x, scale), apart), perm=perm
        )

    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
    for layer in range(len(layers)):
        at = f"encoder.layer.{layer}"
        attention = f"{at}.attention.self"
        query = heads(f"{attention}.query", (0, 2, 1, 3), (WIDTH // HEADS) ** -0.5)
        key = heads(f"{attention}.key", (0, 2, 3, 1))
        value = heads(f"{attention}.value", (0, 2, 1, 3))
        scores = graph.node("Add", graph.node("MatMul", query, key), "mask")
        mixed = graph.node("MatMul", graph.node("Softmax", scores), value)
        mixed = graph.node("Transpose", mixed, perm=(0, 2, 1, 3))
        mixed = graph.dense(f"{at}.attention.output.dense", graph.node("Reshape", mixed, together))
        x = graph.norm(f"{at}.attention.output.LayerNorm", graph.node("Add", mixed, x))
        inner = graph.node("Gelu", graph.dense(f"{at}.intermediate.dense", x))
        outer = graph.dense(f"{at}.output.dense", inner)
        x = graph.norm(f"{at}.output.LayerNorm", graph.node("Add", outer, x))
    inputs = field(11, _value("ids", _INT64, ("batch", "length")))
    inputs += field(11, _value("places", _FLOAT, (1, "length", WIDTH)))
    inputs += field(11, _value("mask", _FLOAT, ("batch", 1, 1, "length")))
    return graph.model(inputs, x)


def _attribute(name: str, value: float | Sequence[int]) -> bytes:
    raw = field(1, name.encode())
    if isinstance(value, float):
        return (
            raw + varint(2 << 3 | 5) + struct.pack("<f", value) + number_field(20, _ATTRIBUTE_FLOAT)
        )
    if isinstance(value, int):
        return raw + number_field(3, value) + number_field(20, _ATTRIBUTE_INT)
    return raw + b"".join(number_field(8, n) for n in value) + number_field(20, _ATTRIBUTE_INTS)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(
        field(1, number_field(1, size) if isinstance(size, int) else field(2, size.encode()))
        for size in shape
    )
    return field(1, name.encode()) + field(2, field(1, number_field(1, kind) + field(2, sizes)))
