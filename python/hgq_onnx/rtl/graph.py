"""The element-wise form as a list of nodes, with its constants, read from an ONNX model.

Nothing of alkaid is needed here. What cannot be read is told for the whole file at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.settings import is_elementwise

CHANNELS_LAST = 'qonnx.custom_op.channels_last'


@dataclass(frozen=True)
class Node:
    """One node; ``attributes`` are Python values, texts are ``str``."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def says(self, what: str) -> str:
        """A fault of this node as one sentence."""
        return f'{self.op} `{self.name}`: {what}'


@dataclass(frozen=True)
class Graph:
    """A file of the element-wise form.

    Attributes:
        nodes: In the order of the file, which is topological.
        constants: Initializers by name, as the file has them.
        inputs: Shape of each input with the batch axis, which is 1.
        outputs: Shape of each output, likewise.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    def needed(self, known: Iterable[str]) -> list[Node]:
        """The nodes that the outputs need where the tensors ``known`` are there already, in order."""
        have = {*known, *self.constants}
        wanted = set(self.outputs) - have
        needed = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                needed.append(node)
                wanted |= {i for i in node.inputs if i and i not in have}
        return needed[::-1]

    def constant_tensors(self) -> set[str]:
        """Names of all tensors that depend on no input."""
        constant = set(self.constants)
        for node in self.nodes:
            if all(not i or i in constant for i in node.inputs):
                constant.update(node.outputs)
        return constant


def read(model: Any) -> Graph:
    """Reads an ONNX model.

    Args:
        model: An ``onnx.ModelProto`` of the element-wise form.

    Raises:
        RtlError: The model is not of this form, or a port has no fixed shape.
    """
    from onnx import numpy_helper

    if not is_elementwise(model):
        raise RtlError(
            'this model is not of the element-wise form: give proxy_elementwise.onnx, which `hgq-onnx convert --elementwise sat` writes'
        )
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    nodes = tuple(_node(at, proto) for at, proto in enumerate(graph.node))
    shapes = {kind: {v.name: _shape(v) for v in values} for kind, values in (('input', graph.input), ('output', graph.output))}
    faults = [
        f'{kind} `{name}`: its shape {list(shape)} is not one sample: the first axis is 1 and all are numbers'
        for kind, found in shapes.items()
        for name, shape in found.items()
        if not shape or shape[0] != 1 or 0 in shape
    ]
    if not graph.output:
        faults.append('(graph): there is no output')
    if faults:
        raise RtlError('this model has no ports for hardware:', faults)
    return Graph(nodes, constants, shapes['input'], shapes['output'])


def _node(at: int, proto: Any) -> Node:
    from onnx import helper

    found = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}
    name = proto.name or (proto.output[0] if proto.output else f'#{at}')
    return Node(name, proto.op_type, proto.domain, tuple(proto.input), tuple(proto.output), attributes)


def _shape(value: Any) -> tuple[int, ...]:
    """Shape with 0 for what is no number; a named batch is 1."""
    dims = value.type.tensor_type.shape.dim
    return tuple(1 if at == 0 and d.dim_param else d.dim_value for at, d in enumerate(dims))
