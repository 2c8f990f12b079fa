"""An executor of the element-wise form in NumPy, to check hardware against.

It follows the file and nothing else: it shares no code with the tracing. Everything is computed in
doubles, which hold every sum exactly or are told not to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl.reference_functions import FUNCTIONS

Attributes = dict[str, Any]


def execute(model: Any, values: Mapping[str, np.ndarray], wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Computes tensors of a model.

    Args:
        model: An ``onnx.ModelProto`` of the element-wise form.
        values: Float64 arrays of (samples, …): inputs, or any tensors behind them.
        wanted: Names of tensors.

    Returns:
        Float64 arrays of (samples, …).

    Raises:
        RtlError: A node is not known, or a sum does not fit a double exactly.
    """
    from onnx import helper, numpy_helper

    samples = len(next(iter(values.values())))
    found: dict[str, np.ndarray] = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    found |= {name: np.asarray(v, np.float64) for name, v in values.items()}
    for node in model.graph.node:
        if node.output[0] in found or any(i and i not in found for i in node.input):
            continue
        operation = _OPERATIONS.get(node.op_type)
        if operation is None:
            raise RtlError(f'{node.op_type} `{node.name}`: this executor does not know it')
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        operands = [found[i] if i else None for i in node.input]
        made = operation(operands, given | {'samples': samples, 'outputs': len(node.output)})
        found |= dict(zip(node.output, made if isinstance(made, list) else [made], strict=False))
    return {name: found[name] for name in wanted}


def _quant(operands: list[Any], given: Attributes) -> np.ndarray:
    x, scale, _, bits = (np.asarray(o, np.float64) for o in operands)
    mode = {k: v.decode() for k, v in given.items() if isinstance(v, bytes)}
    signed = np.full(bits.shape, given.get('signed', 1))
    if 'keep_negative' in given:
        signed = np.reshape(given['keep_negative'], bits.shape)
    overflow = mode.get('overflow_mode', '')
    symmetric = overflow == 'SAT_SYM' or (not overflow and given.get('narrow', 0))
    # the integers from `least` to `most` are what `bits` bits hold
    span = 2.0**bits
    least = np.where(signed == 1, -span / 2, 0.0)
    most = least + span - 1
    q = x / scale
    half = {'FLOOR': np.floor, 'CEIL': np.ceil, 'ROUND': np.rint}
    half |= {'RND': lambda v: np.floor(v + 0.5), 'RND_MIN_INF': lambda v: np.ceil(v - 0.5)}
    q = half[mode.get('rounding_mode', 'ROUND')](q)
    if overflow == 'WRAP':
        q = (q - least) % span + least
    else:
        q = np.minimum(np.maximum(q, np.where(signed == 1, least + symmetric, least)), most)
    return np.where(bits == 0, 0.0, q * scale)


def _grid(x: np.ndarray) -> float:
    """Fractional bits of the finest number in ``x``."""
    x = np.asarray(x)[np.asarray(x) != 0]
    if not x.size:
        return 0.0
    mantissa, exponent = np.frexp(x)
    whole = (mantissa * 2.0**53).astype(np.int64)
    return float(np.max(53 - exponent - np.log2((whole & -whole).astype(np.float64))))


def _exact(size: np.ndarray, *grids: float) -> None:
    """Complains where numbers of this size do not fit doubles on these grids together."""
    if np.max(size, initial=0.0) * 2.0 ** math.fsum(grids) >= 2.0**53:
        raise RtlError('a sum has more than 53 bits, which this executor cannot compute exactly')


def _matmul(operands: list[Any], given: Attributes) -> np.ndarray:
    x, w = (np.asarray(o, np.float64) for o in operands)
    _exact(np.abs(x).max(axis=tuple(range(x.ndim - 1)), initial=0.0) @ np.abs(w), _grid(x), _grid(w))
    return x @ w


def _patches(x: np.ndarray, kernel: tuple[int, ...], given: Attributes, outside: float) -> np.ndarray:
    """(samples, …positions, taps, channels) of channels-last data."""
    axes = len(kernel)
    strides, dilations = given.get('strides', [1] * axes), given.get('dilations', [1] * axes)
    pads = given.get('pads', [0] * 2 * axes)
    x = np.pad(x, [(0, 0), *zip(pads[:axes], pads[axes:], strict=True), (0, 0)], constant_values=outside)
    counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[1:-1], kernel, strides, dilations, strict=True)]
    cuts = []
    for offset in np.ndindex(*kernel):
        starts = [o * d for o, d in zip(offset, dilations, strict=True)]
        places = (slice(b, b + (c - 1) * s + 1, s) for b, c, s in zip(starts, counts, strides, strict=True))
        cuts.append(x[(slice(None), *places)])
    return np.stack(cuts, axis=-2)


def _conv(operands: list[Any], given: Attributes) -> np.ndarray:
    x, w = (np.asarray(o, np.float64) for o in operands[:2])
    groups = given.get('group', 1)
    seen = _patches(x, w.shape[1:-1], given, 0.0)
    parts = []
    for part, of in zip(np.split(w, groups), np.split(seen, groups, axis=-1), strict=True):
        flat = of.reshape(*of.shape[:-2], -1)
        parts.append(_matmul([flat, part.reshape(len(part), -1).T], given))
    made = np.concatenate(parts, axis=-1)
    return made if len(operands) < 3 else _add([made, operands[2]], given)


def _maxpool(operands: list[Any], given: Attributes) -> np.ndarray:
    return _patches(operands[0], tuple(given['kernel_shape']), given, -np.inf).max(axis=-2)


def _add(operands: list[Any], given: Attributes) -> np.ndarray:
    a, b = (np.asarray(o, np.float64) for o in operands)
    _exact(np.abs(a).max(initial=0.0) + np.abs(b).max(initial=0.0), max(_grid(a), _grid(b)))
    return a + b


def _mul(operands: list[Any], given: Attributes) -> np.ndarray:
    a, b = (np.asarray(o, np.float64) for o in operands)
    _exact(np.abs(a).max(initial=0.0) * np.abs(b).max(initial=0.0), _grid(a), _grid(b))
    return a * b


def _reshape(operands: list[Any], given: Attributes) -> np.ndarray:
    x, shape = operands[0], [int(v) for v in operands[1]]
    return x.reshape([given['samples'], *(x.shape[at] if v == 0 else v for at, v in enumerate(shape) if at > 0)])


def _slice(operands: list[Any], given: Attributes) -> np.ndarray:
    x, starts, ends = operands[:3]
    axes = operands[3] if len(operands) > 3 and operands[3] is not None else range(len(starts))
    steps = operands[4] if len(operands) > 4 and operands[4] is not None else [1] * len(starts)
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        n = x.shape[axis]
        last = None if step < 0 and end < -n else int(end)
        cut[axis] = slice(int(start), last, int(step))
    return x[tuple(cut)]


def _pad(operands: list[Any], given: Attributes) -> np.ndarray:
    x, pads = operands[0], [int(p) for p in operands[1]]
    axes = [int(a) % x.ndim for a in operands[3]] if len(operands) > 3 and operands[3] is not None else list(range(x.ndim))
    widths = [(0, 0)] * x.ndim
    for at, axis in enumerate(axes):
        widths[axis] = pads[at], pads[len(axes) + at]
    return np.pad(x, widths)


def _split(operands: list[Any], given: Attributes) -> list[np.ndarray]:
    x, axis = operands[0], given.get('axis', 0)
    if len(operands) > 1 and operands[1] is not None:
        return np.split(x, np.cumsum(operands[1])[:-1], axis=axis)
    size = -(-x.shape[axis] // given['outputs'])
    return np.split(x, range(size, x.shape[axis], size), axis=axis)


def _unsqueeze(operands: list[Any], given: Attributes) -> np.ndarray:
    return np.expand_dims(operands[0], tuple(int(a) for a in operands[1]))


def _squeeze(operands: list[Any], given: Attributes) -> np.ndarray:
    axes = tuple(int(a) for a in operands[1]) if len(operands) > 1 else ()
    kept = axes or tuple(a for a in range(1, operands[0].ndim) if operands[0].shape[a] == 1)
    return np.squeeze(operands[0], kept)


_OPERATIONS: dict[str, Callable[[list[Any], Attributes], Any]] = {
    'Quant': _quant,
    'MatMul': _matmul,
    'Conv': _conv,
    'MaxPool': _maxpool,
    'Add': _add,
    'Sub': lambda o, a: _add([o[0], -np.asarray(o[1], np.float64)], a),
    'Mul': _mul,
    'Max': lambda o, a: np.maximum(*o),
    'Min': lambda o, a: np.minimum(*o),
    'Concat': lambda o, a: np.concatenate(o, axis=a['axis']),
    'Flatten': lambda o, a: o[0].reshape(a['samples'], -1),
    'Gather': lambda o, a: np.take(o[0], o[1].astype(np.int64), axis=a.get('axis', 0)),
    'Identity': lambda o, a: o[0],
    'Pad': _pad,
    'Reshape': _reshape,
    'Slice': _slice,
    'Split': _split,
    'Squeeze': _squeeze,
    'Transpose': lambda o, a: np.transpose(o[0], a.get('perm')),
    'Unsqueeze': _unsqueeze,
    **{name: (lambda o, a, f=f: f(o[0], a)) for name, f in FUNCTIONS.items()},
}
