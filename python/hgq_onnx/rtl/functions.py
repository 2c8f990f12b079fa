"""Functions of single elements in logic, as hls4ml 1.3.0 computes them (docs/hls4ml-contract.md).

A table has 1024 entries, rounded down to 10 fractional bits; its index is rounded towards 0 and
ends with the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hgq_onnx.rtl.cast import cast, plain, settled
from hgq_onnx.rtl.formats import Format
from hgq_onnx.rtl.waiting import Rectified, Tabulated

# more values than this of one element are split into parts first
MAX_ENTRIES = 1 << 12

_LAMBDA, _ALPHA = 1.0507009873554805, 1.6732632423543772
# hls4ml's factor of Selu has 15 fractional bits
_LAMBDA_KEPT = 34429 / 32768

# function, and how many fractional bits of the input its table has
_TABLES: dict[str, tuple[Callable[[float], float], int]] = {
    'Sigmoid': (lambda x: 1.0 / (1.0 + math.exp(-x)), 6),
    'Tanh': (math.tanh, 7),
    'Softplus': (lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))), 6),
    'Softsign': (lambda x: x / (abs(x) + 1.0), 6),
}
_BELOW: dict[str, Callable[[float], float]] = {
    'Elu': lambda x: math.exp(x) - 1.0,
    'Selu': lambda x: _LAMBDA * (_ALPHA * (math.exp(x) - 1.0)),
}

OPS = ('Relu', 'LeakyRelu', 'ThresholdedRelu', *_BELOW, *_TABLES)
_DEFAULT_ALPHA = {'LeakyRelu': 0.01, 'ThresholdedRelu': 1.0, 'Elu': 1.0}


def element_function(op: str, attributes: Mapping[str, Any]) -> Callable[[Any], Any]:
    """What an operator does to one element.

    Args:
        op: One of ``OPS``.
        attributes: The node's, e.g. ``alpha``.

    Raises:
        ValueError: An attribute that hls4ml has no exact function for.
    """
    if op == 'Relu':
        return _relu
    if op in _TABLES:
        function, frac = _TABLES[op]
        table = np.vectorize(lambda x: _entry(function(x)), otypes=[np.float64])
        return lambda x: _table(x, lambda v: table(_index(v, frac) / 2.0**frac), 10 - 1 - frac, frac)
    alpha = float(np.float32(attributes.get('alpha', _DEFAULT_ALPHA.get(op, 1.0))))
    if op == 'ThresholdedRelu':
        if not 0 <= alpha < math.inf:
            raise ValueError(f'alpha {alpha} is negative')
        return lambda x: _thresholded(x, alpha)
    if op != 'Selu' and not 2.0**-16 <= alpha < 128:
        raise ValueError(f'alpha {alpha} is not between 2^-16 and 2^7')
    if op == 'LeakyRelu':
        return lambda x: _leaky(x, _eight_bits(alpha))
    slope, factor = (1.0, _eight_bits(alpha)) if op == 'Elu' else (_LAMBDA_KEPT, 1.0)
    table = np.vectorize(lambda x: _entry(_BELOW[op](x)), otypes=[np.float64])
    return lambda x: _half_table(x, lambda v: factor * table(_below_index(v)), slope)


def _entry(value: float) -> float:
    return math.floor(float(np.float32(value)) * 1024) / 1024


def _eight_bits(value: float) -> float:
    """The first eight significant bits, the others cut off."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.floor(math.ldexp(mantissa, 8)), exponent - 8)


def _index(values: np.ndarray, frac: int) -> np.ndarray:
    return np.clip(np.trunc(np.asarray(values) * 2.0**frac), -512, 511)


def _below_index(values: np.ndarray) -> np.ndarray:
    """Arguments of the entries of a table over (-8, 0]."""
    return -np.clip(np.trunc(-np.asarray(values) * 128), 0, 1023) / 128


def _entries(x: Any) -> int:
    return round((x.high - x.low) / x.step) + 1


def _relu(x: Any) -> Any:
    x = settled(x)
    if isinstance(x, float):
        return max(x, 0.0)
    if x.low >= 0:
        return x
    return Rectified(x) if x.high > 0 else 0.0


def _table(x: Any, function: Callable[[np.ndarray], np.ndarray], integer: int, frac: int) -> Any:
    """A function that is a table over ``±2^integer``."""
    x = settled(x)
    if isinstance(x, float):
        return float(function(np.array(x)))
    f = int(x.kif[2])
    # a coarse grid ends below the last entry: what lies beyond has values of its own there
    x = cast(x, Format(x.low < 0, integer + (f < frac), f, 'FLOOR', 'SAT'))
    if not isinstance(x, float) and _entries(x) > MAX_ENTRIES:
        raise ValueError(f'its input has {f} fractional bits, its table has {frac}: quantize the input')
    return float(function(np.array(x))) if isinstance(x, float) else Tabulated(x, function)


def _half_table(x: Any, below: Callable[[np.ndarray], np.ndarray], slope: float) -> Any:
    """``slope·x`` from 0 on, a table below."""

    def whole(v: np.ndarray) -> np.ndarray:
        v = np.asarray(v, np.float64)
        return np.where(v < 0, below(np.minimum(v, 0)), slope * np.maximum(v, 0))

    x = settled(x)
    if isinstance(x, float):
        return float(whole(np.array(x)))
    if _entries(x) <= MAX_ENTRIES:
        return Tabulated(x, whole)
    # the two parts, of which one is 0
    negative = plain(cast(plain(-settled(_relu(plain(-x)))), Format(True, 3, int(x.kif[2]), 'FLOOR', 'SAT')))
    if not isinstance(negative, float) and _entries(negative) > MAX_ENTRIES:
        raise ValueError(f'its input has {int(x.kif[2])} fractional bits, its table has 7: quantize the input')
    low = Tabulated(negative, whole).settled() if not isinstance(negative, float) else float(whole(np.array(negative)))
    return plain(settled(_relu(x)) * slope + low)


def _leaky(x: Any, slope: float) -> Any:
    x = settled(x)
    if isinstance(x, float):
        return x * slope if x < 0 else x
    if x.low >= 0:
        return x
    small = plain(x * slope)
    if x.high <= 0:
        return small
    return x.is_negative().msb_mux(small, x, (small.low, x.high, min(small.step, x.step)))


def _thresholded(x: Any, alpha: float) -> Any:
    x = settled(x)
    if isinstance(x, float):
        return x if x > alpha else 0.0
    if x.low > alpha:
        return x
    if x.high <= alpha:
        return 0.0
    # the first value above alpha, on the grid of x
    first = (math.floor(alpha / x.step) + 1) * x.step
    difference = plain(x - first)
    return plain(difference.is_negative().msb_mux(0.0, x, (0.0, x.high, x.step)))
