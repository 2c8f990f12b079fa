"""The walk over the nodes: elements in, elements out.

Operators are rows of a table; what is in no row is told by name, all of them before anything is
computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl import formats, functions, linear, moves
from hgq_onnx.rtl.cast import cast, settled
from hgq_onnx.rtl.graph import Graph, Node
from hgq_onnx.rtl.products import Products

OPS = ('Quant', 'MatMul', 'Conv', 'MaxPool', *linear.MERGES, *functions.OPS, *moves.OPS)


def unsupported(graph: Graph) -> list[str]:
    """One fault for each node that has no form in alkaid's operations."""
    return [node.says('has no form in alkaid\'s operations') for node in graph.nodes if node.op not in OPS]


class Walk:
    """One walk over a graph.

    Args:
        graph: What to compute.
        product: How elements are multiplied with constant matrices.
        opset: Version of ONNX's operator set in the file.
    """

    def __init__(self, graph: Graph, product: Products, opset: int):
        self.graph = graph
        self._product = product
        self._opset = opset
        self._constant = graph.constant_tensors()
        self._values: dict[str, np.ndarray] = {}

    def run(self, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The elements of every output.

        Args:
            known: Object arrays of elements with the batch axis: inputs, or tensors behind them.

        Raises:
            RtlError: Every node that cannot be written exactly.
        """
        faults = unsupported(self.graph)
        self._values = {name: values.astype(np.float64) for name, values in self.graph.constants.items() if values.dtype.kind == 'f'}
        self._values |= {name: values for name, values in self.graph.constants.items() if values.dtype.kind != 'f'}
        self._values |= dict(known)
        for node in self.graph.needed(known) if not faults else ():
            if any(i and i not in self._values for i in node.inputs):
                # what it reads is a fault already, or an input that nothing quantizes
                raw = [i for i in node.inputs if i in self.graph.inputs and i not in self._values]
                faults += [node.says(f'reads the input `{i}`, which has no quantizer') for i in raw]
                continue
            try:
                self._values.update(zip(node.outputs, self._results(node), strict=False))
            except (ValueError, AssertionError) as e:
                faults.append(node.says(str(e) or 'alkaid refuses it'))
        if faults:
            raise RtlError('this proxy cannot be written as RTL:', faults)
        return {name: self._elements(name) for name in self.graph.outputs}

    def _elements(self, name: str) -> np.ndarray:
        found = np.empty(self._values[name].shape, object)
        for at in np.ndindex(found.shape):
            found[at] = settled(self._values[name][at])
        return found

    def _results(self, node: Node) -> list[np.ndarray]:
        operands = [self._values[i] if i else None for i in node.inputs]
        if node.op in moves.OPS:
            return self._moved(node, operands)
        handler: Callable[[Node, list[Any]], np.ndarray] = getattr(self, f'_{node.op.lower()}', self._other)
        return [handler(node, operands)]

    def _moved(self, node: Node, operands: list[Any]) -> list[np.ndarray]:
        if all(i in self._constant for i in node.inputs if i):
            raise ValueError('it moves constants alone, which no file of this form does')
        count = len(operands) if node.op == 'Concat' else 1
        return moves.moved(node, operands[:count], operands[count:], self._opset)

    def _other(self, node: Node, operands: list[Any]) -> np.ndarray:
        if node.op in linear.MERGES:
            if len(operands) != 2:
                raise ValueError(f'{len(operands)} operands; the element-wise form has two')
            return linear.merge(node.op, *operands)
        function = functions.element_function(node.op, node.attributes)
        return _each(function, operands[0])

    def _quant(self, node: Node, operands: list[Any]) -> np.ndarray:
        x, *parameters = operands
        if any(i not in self._constant for i in node.inputs[1:4]):
            raise ValueError('its scale, zero point and bit width must be constants')
        to = formats.of_quant(node, parameters, x.shape)
        if node.inputs[0] in self._constant:
            return np.array([f.apply(v) for f, v in zip(to.ravel(), x.ravel(), strict=True)], np.float64).reshape(x.shape)
        made = np.empty(x.shape, object)
        for at in np.ndindex(x.shape):
            made[at] = cast(x[at], to[at])
        return made

    def _matmul(self, node: Node, operands: list[Any]) -> np.ndarray:
        x, weights = operands
        if node.inputs[1] not in self._constant:
            raise ValueError('the second operand is no constant')
        return linear.dense(self._product, x, weights)

    def _conv(self, node: Node, operands: list[Any]) -> np.ndarray:
        if any(i not in self._constant for i in node.inputs[1:]):
            raise ValueError('its weights are no constants')
        return linear.convolution(self._product, node, *operands[:2], operands[2] if len(operands) > 2 else None)

    def _maxpool(self, node: Node, operands: list[Any]) -> np.ndarray:
        return linear.max_pool(node, operands[0])


def _each(function: Callable[[Any], Any], values: np.ndarray) -> np.ndarray:
    made = np.empty(values.shape, object)
    for at in np.ndindex(values.shape):
        made[at] = function(values[at])
    return made
