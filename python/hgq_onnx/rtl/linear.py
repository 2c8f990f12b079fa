"""Layers in logic: matrix products, convolutions, pools, and merges of two tensors.

Tensors are object arrays of elements with the batch axis, which is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hgq_onnx.rtl.cast import plain, settled
from hgq_onnx.rtl.graph import CHANNELS_LAST, Node
from hgq_onnx.rtl.products import Products


def dense(product: Products, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``MatMul`` of (…, n) with (n, m)."""
    if weights.ndim != 2 or x.shape[-1] != weights.shape[0]:
        raise ValueError(f'shapes {list(x.shape)} and {list(weights.shape)} do not fit')
    rows = x.reshape(-1, x.shape[-1])
    made = np.empty((len(rows), weights.shape[1]), object)
    for at, row in enumerate(rows):
        made[at] = product(row, weights)
    return made.reshape(*x.shape[:-1], weights.shape[1])


def convolution(product: Products, node: Node, x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """``Conv`` of (1, …, channels), channels last, with weights (outputs, …, channels per group)."""
    groups = int(node.attributes.get('group', 1))
    if weights.ndim != x.ndim or weights.shape[-1] * groups != x.shape[-1] or weights.shape[0] % groups:
        raise ValueError(f'weights {list(weights.shape)} in {groups} groups do not fit {list(x.shape)}')
    windows, positions = _windows(node, x.shape[1:-1], weights.shape[1:-1])
    outputs = weights.shape[0]
    made = np.empty((*positions, outputs), object)
    part_in, part_out = weights.shape[-1], outputs // groups
    for position, taps in windows:
        for group in range(groups):
            ins, outs = slice(group * part_in, (group + 1) * part_in), slice(group * part_out, (group + 1) * part_out)
            # what lies outside is 0
            row = [x[(0, *tap)][ins] if tap is not None else [0.0] * part_in for tap in taps]
            matrix = weights[outs].reshape(part_out, -1).T
            made[position][outs] = product(np.array([v for r in row for v in r], object), matrix)
    return made[None] if bias is None else merge('Add', made[None], bias)


def max_pool(node: Node, x: np.ndarray) -> np.ndarray:
    """``MaxPool`` of (1, …, channels), channels last; what lies outside never wins."""
    windows, positions = _windows(node, x.shape[1:-1], None)
    made = np.empty((*positions, x.shape[-1]), object)
    for position, taps in windows:
        inside = [x[(0, *tap)] for tap in taps if tap is not None]
        if not inside:
            raise ValueError('a window lies in the padding alone')
        for channel in range(x.shape[-1]):
            made[(*position, channel)] = _tree(_MERGES['Max'], [settled(v[channel]) for v in inside])
    return made[None]


def merge(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``Add``, ``Sub``, ``Mul``, ``Max`` or ``Min`` of two tensors, of which one may be constant."""
    function = _MERGES[op]
    left, right = np.broadcast_arrays(a, b)
    made = np.empty(left.shape, object)
    for at in np.ndindex(left.shape):
        made[at] = function(*(float(v) if isinstance(v, (int, float)) else settled(v) for v in (left[at], right[at])))
    return made


def _tree(function: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    """All values together, as a balanced tree."""
    while len(values) > 1:
        pairs = [function(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = [*pairs, *values[len(pairs) * 2 :]]
    return values[0]


def _windows(
    node: Node, size: tuple[int, ...], kernel: tuple[int, ...] | None
) -> tuple[Iterator[tuple[tuple[int, ...], list[tuple[int, ...] | None]]], tuple[int, ...]]:
    """Each position with the places that its window reads, ``None`` for padding; and how many positions there are."""
    given = node.attributes
    kernel = tuple(kernel or given.get('kernel_shape', ()))
    axes = len(size)
    strides, dilations = (list(given.get(name, [1] * axes)) for name in ('strides', 'dilations'))
    pads = list(given.get('pads', [0] * 2 * axes))
    if node.domain != CHANNELS_LAST:
        raise ValueError(f'its domain is `{node.domain}`: the element-wise form has the channels last ({CHANNELS_LAST})')
    if given.get('auto_pad', 'NOTSET') != 'NOTSET' or given.get('ceil_mode', 0):
        raise ValueError('auto_pad and ceil_mode are not in the element-wise form')
    if not axes == len(kernel) == len(strides) == len(dilations) == len(pads) // 2:
        raise ValueError(f'kernel {list(kernel)}, strides and pads do not fit {list(size)}')
    sums = [n + pads[a] + pads[axes + a] - (kernel[a] - 1) * dilations[a] - 1 for a, n in enumerate(size)]
    positions = tuple(s // stride + 1 for s, stride in zip(sums, strides, strict=True))

    def tap(position: tuple[int, ...], offset: tuple[int, ...]) -> tuple[int, ...] | None:
        place = tuple(p * s - pads[a] + o * d for a, (p, s, o, d) in enumerate(zip(position, strides, offset, dilations, strict=True)))
        return place if all(0 <= p < n for p, n in zip(place, size, strict=True)) else None

    return ((p, [tap(p, o) for o in np.ndindex(kernel)]) for p in np.ndindex(positions)), positions


def _maximum(a: Any, b: Any) -> Any:
    """The larger of two elements."""
    if isinstance(a, float) and isinstance(b, float):
        return max(a, b)
    if isinstance(a, float):
        a, b = b, a
    if isinstance(b, float) and b == 0.0:
        return plain(a.relu())
    difference = plain(a - b)
    low, high = (difference, difference) if isinstance(difference, float) else (difference.low, difference.high)
    if low >= 0 or high <= 0:
        return a if low >= 0 else b
    lows, highs = ([v if isinstance(v, float) else getattr(v, name) for v in (a, b)] for name in ('low', 'high'))
    # a number may be finer than the variable beside it
    steps = [1 / v.as_integer_ratio()[1] if isinstance(v, float) else v.step for v in (a, b)]
    return plain(difference.is_negative().msb_mux(b, a, (float(max(lows)), float(max(highs)), float(min(steps)))))


def _multiplied(a: Any, b: Any) -> Any:
    """The product; a number goes behind a variable."""
    return plain(b * a if isinstance(a, float) else a * b)


def _subtracted(a: Any, b: Any) -> Any:
    """The difference; a number goes behind a variable."""
    return plain(-b + a if isinstance(a, float) else a - b)


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    'Add': lambda a, b: plain(a + b),
    'Sub': _subtracted,
    'Mul': _multiplied,
    'Max': _maximum,
    'Min': lambda a, b: plain(-_maximum(-a, -b)),
}
MERGES = tuple(_MERGES)
