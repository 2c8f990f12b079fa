"""What a ``Quant`` of the element-wise form does to each element.

A format is (k, i, f): sign bit, integer bits without the sign, fractional bits. It holds the
multiples of ``2^-f`` in ``[-k*2^i, 2^i - 2^-f]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from hgq_onnx.rtl.graph import Node

ROUNDINGS = ('FLOOR', 'CEIL', 'RND', 'RND_MIN_INF', 'ROUND')
OVERFLOWS = ('SAT', 'SAT_SYM', 'WRAP')


@dataclass(frozen=True)
class Format:
    """Format of one element, and how values get there.

    Attributes:
        signed, integer, fractional: k, i and f.
        rounding: One of ``ROUNDINGS``: down, up, half up, half down, half to even.
        overflow: One of ``OVERFLOWS``; ``SAT_SYM`` has no ``-2^i``.
    """

    signed: bool
    integer: int
    fractional: int
    rounding: str
    overflow: str

    @property
    def width(self) -> int:
        """Bits, with the sign; 0 and below for an element that is always 0."""
        return self.signed + self.integer + self.fractional

    @property
    def step(self) -> float:
        return math.ldexp(1.0, -self.fractional)

    @property
    def high(self) -> float:
        return math.ldexp(1.0, self.integer) - self.step if self.width > 0 else 0.0

    @property
    def low(self) -> float:
        if not self.signed or self.width <= 0:
            return 0.0
        return -self.high if self.overflow == 'SAT_SYM' else -math.ldexp(1.0, self.integer)

    def apply(self, values: np.ndarray | float) -> np.ndarray:
        """The element for numbers that double precision holds exactly."""
        v = np.asarray(values, np.float64)
        if self.width <= 0:
            return np.zeros_like(v)
        scaled = np.ldexp(v, self.fractional)
        down = np.floor(scaled)
        rest = scaled - down
        up = {
            'FLOOR': False,
            'CEIL': rest > 0,
            'RND': rest >= 0.5,
            'RND_MIN_INF': rest > 0.5,
            'ROUND': (rest > 0.5) | ((rest == 0.5) & (down % 2 == 1)),
        }[self.rounding]
        rounded = np.ldexp(down + up, -self.fractional)
        if self.overflow != 'WRAP':
            return np.clip(rounded, self.low, self.high)
        modulus = math.ldexp(1.0, self.integer + self.signed)
        return np.mod(rounded - self.low, modulus) + self.low


def of_quant(node: Node, parameters: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The format of every element.

    Args:
        node: A ``Quant``.
        parameters: Its scale, zero point and bit width.
        shape: Shape of what it reads.

    Returns:
        An object array of :class:`Format`.

    Raises:
        ValueError: What is wrong with it.
    """
    scale, zero, bits = (np.asarray(p, np.float64) for p in parameters)
    given = node.attributes
    rounding = given.get('rounding_mode', 'ROUND')
    overflow = given.get('overflow_mode') or ('SAT_SYM' if given.get('narrow', 0) else 'SAT')
    if rounding not in ROUNDINGS or overflow not in OVERFLOWS:
        raise ValueError(f'rounding {rounding} and overflow {overflow} are not known; take a file of this version of hgq-onnx')
    if np.any(zero != 0):
        raise ValueError('the zero point is not 0')
    mantissa, exponent = np.frexp(scale)
    if np.any(mantissa != 0.5):
        raise ValueError('a scale is not a power of two')
    if np.any(bits != np.floor(bits)) or np.any(bits < 0) or np.any(bits > 62):
        raise ValueError('a bit width is not a whole number from 0 to 62')
    signed = np.full(bits.shape, int(given.get('signed', 1)))
    if 'keep_negative' in given:
        flags = given['keep_negative']
        if len(flags) != bits.size:
            raise ValueError('keep_negative has not one flag per bit width')
        signed = np.asarray(flags).reshape(bits.shape)
    found = np.empty(shape, object)
    all_of = np.broadcast_arrays(bits, 1 - exponent, signed, np.empty(shape))[:3]
    if all_of[0].shape != tuple(shape):
        raise ValueError(f'its scales and widths do not fit shape {list(shape)}')
    for at in np.ndindex(shape):
        found[at] = _format(*(int(a[at]) for a in all_of), rounding, overflow)
    return found


@cache
def _format(bits: int, fractional: int, signed: int, rounding: str, overflow: str) -> Format:
    if bits == 0:
        return Format(False, 0, 0, rounding, overflow)
    return Format(bool(signed), bits - fractional - bool(signed), fractional, rounding, overflow)
