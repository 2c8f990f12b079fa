"""A graph as alkaid's logic."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl import graph as files
from hgq_onnx.rtl import ports, walk
from hgq_onnx.rtl.products import Products

# what doubles and the interpreter compute exactly
MAX_WIDTH = 52
# operations one after the other
MAX_DEPTH = 20_000


@dataclass(frozen=True)
class Traced:
    """A proxy as logic.

    Attributes:
        logic: alkaid's ``CombLogic``.
        entries: What is on the input bus.
        inputs, outputs: The ports.
    """

    logic: Any
    entries: list[ports.Entry]
    inputs: list[ports.Port]
    outputs: list[ports.Port]


def variables(entry: ports.Entry, hwconf: Any, options: dict[str, Any] | None) -> Any:
    """The elements of a port, as an ``FVArray`` of the shape of one sample."""
    from alkaid.trace import FVArray

    formats = entry.formats[0]
    flat = formats.ravel()
    low, high = (np.array([getattr(f, name) for f in flat], np.float64) for name in ('low', 'high'))
    step = np.array([f.step if f.width > 0 else 1.0 for f in flat])
    ends = (a.reshape(formats.shape) for a in (low, high, step))
    return FVArray.from_lhs(*ends, hwconf=hwconf, solver_options=options)


def operator_set(model: Any) -> int:
    """Version of ONNX's own operators in a model."""
    return next((o.version for o in model.opset_import if o.domain in ('', 'ai.onnx')), 13)


def trace(model: Any, hwconf: Any, options: dict[str, Any] | None) -> Traced:
    """Traces a model whose ports have the formats of its first quantizers.

    Raises:
        RtlError: What cannot be written exactly.
    """
    from alkaid.trace import trace as to_logic

    graph = files.read(model)
    faults = walk.unsupported(graph)
    if faults:
        raise RtlError('this proxy cannot be written as RTL:', faults)
    found = ports.entries(graph)
    arrays = [variables(entry, hwconf, options) for entry in found]
    results = walk.Walk(graph, Products(options), operator_set(model)).run(known(found, arrays))
    flat = np.concatenate([r.ravel() for r in results.values()])
    if not any(a.size for a in arrays):
        raise RtlError('this proxy is constant: no output depends on an input')
    inputs = np.concatenate([np.asarray(a).ravel() for a in arrays])
    with _deep():
        logic = to_logic(inputs, flat)
    widest = max((sum(int(v) for v in op.qint.kif) for op in logic.ops), default=0)
    if widest > MAX_WIDTH:
        raise RtlError(f'a sum has {widest} bits; what is written can be checked up to {MAX_WIDTH} bits')
    shapes = {name: values.shape for name, values in results.items()}
    return Traced(logic, found, ports.of_inputs(found, logic.inp_kifs), ports.of_outputs(shapes, logic.out_kifs))


@contextmanager
def _deep() -> Iterator[None]:
    """alkaid walks from the outputs to the inputs by recursion: a call for each operation on the way."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, MAX_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def known(found: Sequence[ports.Entry], arrays: Sequence[Any]) -> dict[str, np.ndarray]:
    """The tensors that the ports hold, with the batch axis; a constant element is a number."""
    tensors = {}
    for entry, array in zip(found, arrays, strict=True):
        values = np.asarray(array)
        plain = np.empty(entry.formats.shape, object)
        for at in np.ndindex(values.shape):
            v = values[at]
            plain[(0, *at)] = float(v.low) if v.low == v.high else v
        tensors |= {name: plain for name in entry.tensors}
    return tensors
