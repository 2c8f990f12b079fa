"""Functions of single elements for the executor that hardware is checked against.

Written as hls4ml's C++ has them: tables of 1024 entries, an index into them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Function = Callable[[np.ndarray, dict[str, Any]], np.ndarray]


def _filled(function: Callable[[float], float], start: float, end: float) -> np.ndarray:
    """1024 entries from ``start`` on, in single precision, cut to 10 fractional bits."""
    step = (end - start) / 1024
    floats = np.array([function(start + n * step) for n in range(1024)]).astype(np.float32)
    return np.floor(floats.astype(np.float64) * 1024) / 1024


def _whole(function: Callable[[float], float], reach: float) -> Function:
    table = _filled(function, -reach, reach)

    def run(x: np.ndarray, given: dict[str, Any]) -> np.ndarray:
        at = np.trunc(x * (1024 / (2 * reach))).astype(np.int64) + 512
        return table[np.clip(at, 0, 1023)]

    return run


def _below(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    table = _filled(function, 0.0, -8.0)
    return lambda x: table[np.clip(np.trunc(x * -128).astype(np.int64), 0, 1023)]


def _parameter(given: dict[str, Any], default: float) -> float:
    """``alpha`` with its first eight bits."""
    alpha = float(np.float32(given.get('alpha', default)))
    unit = 2.0 ** (math.floor(math.log2(alpha)) - 7)
    return math.floor(alpha / unit) * unit


_ELU = _below(lambda x: math.exp(x) - 1.0)
_SELU = _below(lambda x: 1.0507009873554805 * (1.6732632423543772 * (math.exp(x) - 1.0)))


def _softplus(x: float) -> float:
    return math.log1p(math.exp(-abs(x))) + max(x, 0.0)


FUNCTIONS: dict[str, Function] = {
    'Relu': lambda x, given: np.maximum(x, 0.0),
    'LeakyRelu': lambda x, given: np.where(x < 0, x * _parameter(given, 0.01), x),
    'ThresholdedRelu': lambda x, given: np.where(x > float(np.float32(given.get('alpha', 1.0))), x, 0.0),
    'Elu': lambda x, given: np.where(x < 0, _ELU(x) * _parameter(given, 1.0), x),
    'Selu': lambda x, given: np.where(x < 0, _SELU(x), x * (34429 / 2**15)),
    'Sigmoid': _whole(lambda x: 1.0 / (1.0 + math.exp(-x)), 8.0),
    'Tanh': _whole(math.tanh, 4.0),
    'Softplus': _whole(_softplus, 8.0),
    'Softsign': _whole(lambda x: x / (abs(x) + 1.0), 8.0),
}
