"""What hardware is checked with: random numbers over the whole range of each port, and samples."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl.reference import execute
from hgq_onnx.rtl.trace import Traced
from hgq_onnx.settings import DEFAULT_PRECISION, PORT_KEY, metadata

Samples = np.ndarray | Mapping[str, np.ndarray] | str | os.PathLike[str]


@dataclass(frozen=True)
class Vectors:
    """Numbers at the ports, float64, one row per vector; outputs are what the proxy computes."""

    inputs: np.ndarray
    outputs: np.ndarray


def random(model: Any, traced: Traced, count: int, seed: int) -> Vectors:
    """Random vectors, with the ends of every range first."""
    rng = np.random.default_rng(seed)
    tensors, rows = {}, []
    for entry in traced.entries:
        flat = [f for f in entry.formats.ravel()]
        low, high = (np.array([getattr(f, name) for f in flat]) for name in ('low', 'high'))
        step = np.array([f.step if f.width > 0 else 1.0 for f in flat])
        steps = np.round((high - low) / step)
        values = low + step * np.floor(rng.random((count, len(flat))) * (steps + 1))
        values[: min(3, count)] = np.array([low, high, np.zeros_like(low)])[: min(3, count)]
        tensors |= {name: values.reshape(count, *entry.formats.shape[1:]) for name in entry.tensors}
        rows.append(values)
    return Vectors(np.concatenate(rows, axis=1), _outputs(model, traced, tensors))


def of_samples(model: Any, traced: Traced, samples: Samples) -> Vectors:
    """The user's samples, quantized for the ports as the proxy does it.

    Args:
        samples: (samples, …) for a proxy of one input, or a mapping or ``.npz`` file with the proxy's
            input names.
    """
    given = _by_name(samples, [v.name for v in model.graph.input])
    tensors, fine = {}, _port_bits(model)
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim[1:]]
        # hls4ml and the executor of hgq-onnx cut inputs off here, so that is what `expected` holds
        array = np.ldexp(np.floor(np.ldexp(np.asarray(given[value.name], np.float64), fine)), -fine)
        if array.size % max(int(np.prod(shape)), 1):
            raise RtlError(f'input `{value.name}`: shape {list(array.shape)} are no samples of shape {shape}')
        tensors[value.name] = array.reshape(-1, *shape)
    if len({len(t) for t in tensors.values()}) > 1:
        raise RtlError('the inputs have different numbers of samples')
    wanted = [entry.tensors[0] for entry in traced.entries]
    at_ports = execute(model, tensors, wanted)
    count = len(next(iter(tensors.values())))
    rows = np.concatenate([at_ports[name].reshape(count, -1) for name in wanted], axis=1)
    return Vectors(rows, _outputs(model, traced, tensors))


def compared(vectors: Vectors, expected: Samples, names: list[str]) -> int:
    """How many elements of ``expected`` differ from what the proxy computes here."""
    given = _by_name(expected, names)
    rows = np.concatenate([np.asarray(given[n], np.float64).reshape(len(vectors.outputs), -1) for n in names], axis=1)
    if rows.shape != vectors.outputs.shape:
        raise RtlError(f'expected outputs are {list(rows.shape)}, the proxy has {list(vectors.outputs.shape)}')
    return int(np.sum(rows != vectors.outputs))


def _outputs(model: Any, traced: Traced, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    names = [p.name for p in traced.outputs]
    found = execute(model, tensors, names)
    return np.concatenate([found[n].reshape(len(found[n]), -1) for n in names], axis=1)


def _port_bits(model: Any) -> int:
    """Fractional bits of the input port that the proxy is written for."""
    found = re.search(r'<(-?\d+), *(-?\d+)', metadata(model).get(PORT_KEY, DEFAULT_PRECISION))
    return int(found[1]) - int(found[2]) if found else 16


def _by_name(given: Samples, names: list[str]) -> Mapping[str, np.ndarray]:
    if isinstance(given, (str, os.PathLike)):
        loaded = np.load(given)
        given = {name: loaded[name] for name in loaded.files} if hasattr(loaded, 'files') else loaded
    if isinstance(given, Mapping):
        if len(names) == 1 and names[0] not in given and len(given) == 1:
            return {names[0]: next(iter(given.values()))}
        missing = [n for n in names if n not in given]
        if missing:
            raise RtlError(f'there are no arrays for {", ".join(missing)}; there are {", ".join(given)}')
        return given
    if len(names) != 1:
        raise RtlError(f'give a mapping from names to arrays: the proxy has {", ".join(names)}')
    return {names[0]: np.asarray(given)}
