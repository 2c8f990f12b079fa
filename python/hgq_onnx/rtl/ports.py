"""The ports of the hardware: which bits of the two buses hold which element.

A port takes numbers that its quantizer has rounded already: the first ``Quant`` after an input is
outside. Its rounding and overflow are in ``ports.json``, for whoever feeds the hardware.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl import formats, moves
from hgq_onnx.rtl.graph import Graph, Node

FILE = 'ports.json'


@dataclass(frozen=True)
class Element:
    """One element of a port.

    Attributes:
        index: Its place in the tensor, without the batch axis.
        position: Its place among all elements of the bus.
        lsb: Its lowest bit on the bus.
        width: Bits on the bus, with the sign; 0 where the element is constant or not used.
        signed: Two's complement, else unsigned.
        fractional: The number is the integer on the bus times ``2^-fractional``.
    """

    index: tuple[int, ...]
    position: int
    lsb: int
    width: int
    signed: bool
    fractional: int


@dataclass(frozen=True)
class Port:
    """One tensor on a bus.

    Attributes:
        name: Input or output of the proxy.
        tensor: The tensor whose numbers are on the bus: behind the quantizer of an input.
        shape: Of one sample.
        elements: In the order of the tensor, last axis first.
        rounding: How what feeds an input rounds, per element, e.g. ``RND``; empty for outputs.
        overflow: Likewise, e.g. ``SAT``.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    elements: tuple[Element, ...]
    rounding: str = ''
    overflow: str = ''


@dataclass(frozen=True)
class Entry:
    """An input as its first quantizer leaves it.

    Attributes:
        name: The input of the proxy.
        tensors: What holds these numbers in the proxy; several where quantizers are the same.
        formats: Object array of formats with the batch axis.
    """

    name: str
    tensors: tuple[str, ...]
    formats: np.ndarray


def entries(graph: Graph) -> list[Entry]:
    """The quantizers that the inputs go through, in the order of the inputs.

    Raises:
        RtlError: Every input that something else than a quantizer reads.
    """
    constant = graph.constant_tensors()
    raw = {name: (name, np.empty(shape)) for name, shape in graph.inputs.items()}
    found: dict[tuple[Any, ...], list[tuple[str, Node, np.ndarray]]] = {}
    faults = []
    wanted = {node.name for node in graph.needed(())}
    for node in graph.nodes:
        read = [i for i in node.inputs if i in raw]
        if not read or node.name not in wanted:
            continue
        name, like = raw[read[0]]
        try:
            if node.op == 'Quant' and read == [node.inputs[0]] and all(i in constant for i in node.inputs[1:4]):
                to = formats.of_quant(node, [graph.constants[i] for i in node.inputs[1:4]], like.shape)
                found.setdefault((read[0], *to.ravel()), []).append((name, node, to))
            elif node.op in moves.OPS and len(read) == 1 and node.op != 'Concat':
                parameters = [graph.constants[i] if i else None for i in node.inputs[1:]]
                for out, values in zip(node.outputs, moves.moved(node, [like], parameters, 13), strict=False):
                    raw[out] = (name, np.empty(values.shape))
            else:
                faults.append(node.says(f'reads the input `{name}`, which has no quantizer'))
        except (ValueError, KeyError) as e:
            faults.append(node.says(str(e)))
    if faults:
        raise RtlError('the inputs of this proxy have no format:', faults)
    order = list(graph.inputs)
    made = [Entry(same[0][0], tuple(node.outputs[0] for _, node, _ in same), same[0][2]) for same in found.values()]
    return sorted(made, key=lambda entry: order.index(entry.name))


def of_inputs(found: Sequence[Entry], kifs: np.ndarray) -> list[Port]:
    """Ports of inputs; ``kifs`` are the formats on the bus, shape (3, elements)."""
    ports, position, lsb = [], 0, 0
    for entry in found:
        shape = entry.formats.shape[1:]
        elements, position, lsb = _elements(shape, kifs, position, lsb)
        rounding, overflow = (sorted({getattr(f, a) for f in entry.formats.ravel()}) for a in ('rounding', 'overflow'))
        ports.append(Port(entry.name, entry.tensors[0], shape, elements, '/'.join(rounding), '/'.join(overflow)))
    return ports


def of_outputs(shapes: dict[str, tuple[int, ...]], kifs: np.ndarray) -> list[Port]:
    """Ports of outputs; ``shapes`` have the batch axis."""
    ports, position, lsb = [], 0, 0
    for name, shape in shapes.items():
        elements, position, lsb = _elements(shape[1:], kifs, position, lsb)
        ports.append(Port(name, name, shape[1:], elements))
    return ports


def _elements(shape: tuple[int, ...], kifs: np.ndarray, position: int, lsb: int) -> tuple[tuple[Element, ...], int, int]:
    made = []
    for index in np.ndindex(shape):
        k, i, f = (int(v) for v in kifs[:, position])
        width = max(k + i + f, 0)
        made.append(Element(index, position, lsb, width, bool(k), f))
        position, lsb = position + 1, lsb + width
    return tuple(made), position, lsb


def write(folder: Path, inputs: Sequence[Port], outputs: Sequence[Port], about: dict[str, Any]) -> Path:
    """Writes ``ports.json``; ``about`` are further members."""

    def document(port: Port, bus: str) -> dict[str, Any]:
        described: dict[str, Any] = {'name': port.name, 'tensor': port.tensor, 'bus': bus, 'shape': list(port.shape)}
        if port.rounding:
            described |= {'rounding_mode': port.rounding, 'overflow_mode': port.overflow}
        described['elements'] = [
            {
                'index': list(e.index),
                'position': e.position,
                'lsb': e.lsb,
                'width': e.width,
                'signed': e.signed,
                'fractional': e.fractional,
            }
            for e in port.elements
        ]
        return described

    path = folder / FILE
    ports = {
        'schema': 'hgq-onnx/ports/1',
        **about,
        'inputs': [document(p, 'model_inp') for p in inputs],
        'outputs': [document(p, 'model_out') for p in outputs],
    }
    path.write_text(json.dumps(ports, indent=1) + '\n', encoding='utf-8')
    return path
