"""One cast of one element in logic: rounding, then overflow.

An element is a number that is known, an alkaid variable, or a function that waits for its cast
(:mod:`hgq_onnx.rtl.waiting`).

Rounding is rounding down after a constant is added. alkaid adds the constants of a sum up, so the
half step of a layer costs nothing: it is in the bias. A Relu in between does not matter: it
commutes with every rounding, and is applied after it.

Saturation is written in the bits: what lies beyond the format shows in the bits above it. alkaid's
own compares by subtracting, which costs two adders.
"""

from __future__ import annotations

import math
from typing import Any

from hgq_onnx.rtl.formats import Format
from hgq_onnx.rtl.waiting import Rectified, Tabulated


def plain(x: Any) -> Any:
    """A variable that can only have one value as that number."""
    if isinstance(x, (int, float)):
        return float(x)
    return float(x.low) if x.low == x.high else x


def settled(x: Any) -> Any:
    """The element itself where a function waits."""
    return x.settled() if isinstance(x, (Rectified, Tabulated)) else x


def bits_of(v: Any, k: int, i: int, f: int) -> Any:
    """The bits of ``v`` that a format (k, i, f) has, wrapped around.

    alkaid keeps a variable and a power of two that it stands for. A pass of 0.8.2 takes a single bit of
    such a variable for its highest one where the numbers happen to agree, so the bits are taken of the
    variable itself.
    """
    shift = round(math.log2(abs(getattr(v, '_factor', 1.0))))
    if shift == 0:
        return v.quantize(k, i, f)
    taken = (v * math.ldexp(1.0, -shift)).quantize(k, i - shift, f + shift)
    return taken * math.ldexp(1.0, shift)


def cast(x: Any, to: Format) -> Any:
    """``x`` in the format ``to``."""
    if to.width <= 0:
        return 0.0
    if isinstance(x, float):
        return float(to.apply(x))
    if isinstance(x, Tabulated):
        return x.cast(to)
    relu = isinstance(x, Rectified)
    v = _rounded(x.base if relu else x, to)
    if relu and not isinstance(v, float):
        v = v.relu()
    elif relu:
        v = max(v, 0.0)
    v = plain(v)
    return float(to.apply(v)) if isinstance(v, float) else plain(_bounded(v, to))


def _rounded(v: Any, to: Format) -> Any:
    """``v`` on the grid of ``to``, whatever its size."""
    step = to.step
    if v.step >= step:
        return v
    if to.rounding == 'ROUND':
        return _half_even(v, to)
    offset = {'FLOOR': 0.0, 'RND': step / 2, 'RND_MIN_INF': step / 2 - v.step, 'CEIL': step - v.step}
    return _floor(plus(v, offset[to.rounding]), to.fractional)


def plus(v: Any, constant: float) -> Any:
    """``v + constant``."""
    return plain(v + constant) if constant else v


def _floor(v: Any, f: int) -> Any:
    """``v`` rounded down to ``f`` fractional bits."""
    if isinstance(v, float):
        return float(Format(True, 64, f, 'FLOOR', 'SAT').apply(v))
    k, i, _ = v.kif
    # a format of no bits would be 0, but what is below 0 becomes a whole step
    i = max(int(i), -f if k else 1 - f)
    return plain(bits_of(v, int(k), i, f))


def _half_even(v: Any, to: Format) -> Any:
    """Half up, and the last bit cleared where it was a tie."""
    f = to.fractional
    up = plus(v, to.step / 2)
    r = _floor(up, f)
    if isinstance(r, float):
        # all values round half up to the same number; ties go to it or to the even one below
        return _floor_by_sum(v, to)
    rest = bits_of(up, 0, -f, int(up.kif[2]))
    last = bits_of(r, 0, 1 - f, f)
    rest, last = plain(rest), plain(last)
    if isinstance(rest, float) or isinstance(last, float):
        return _floor_by_sum(v, to)
    kept = last & (rest.unary_bit_op('any') * to.step)
    high = _floor(r, f - 1)
    return kept + high


def _floor_by_sum(v: Any, to: Format) -> Any:
    """Half to even as ``⌊v + ½ − ulp + odd·ulp⌋``, where ``odd`` is the last bit of ``⌊v⌋``."""
    down = _floor(v, to.fractional)
    if isinstance(down, float):
        odd: Any = float(int(down / to.step) % 2)
    else:
        odd = plain(bits_of(down, 0, 1 - to.fractional, to.fractional)) * (1 / to.step)
    return _floor(plain(plus(v, to.step / 2 - v.step) + odd * v.step), to.fractional)


def _bounded(v: Any, to: Format) -> Any:
    """``v``, which is on the grid of ``to`` or a coarser one, in the range of ``to``."""
    if to.low <= v.low and v.high <= to.high:
        return v
    if to.overflow == 'WRAP':
        return bits_of(v, int(to.signed), to.integer, to.fractional)
    if to.low == 0.0 and v.low < 0:
        v = plain(v.relu())
        if isinstance(v, float):
            return float(to.apply(v))
    if v.low >= 0:
        return _below(v, to)
    return _between(v, to)


def _below(v: Any, to: Format) -> Any:
    """A ``v`` that is never negative, at most the highest value of ``to``."""
    i, f = to.integer, to.fractional
    if v.high <= to.high:
        return v
    if v.low > to.high:
        return to.high
    over = bits_of(v, 0, int(v.kif[1]), -i).unary_bit_op('any')
    return over.msb_mux(to.high, bits_of(v, 0, i, f), (0.0, to.high, to.step))


def _between(v: Any, to: Format) -> Any:
    """A signed ``v`` between the ends of a signed format."""
    i, f = to.integer, to.fractional
    if v.high < to.low:
        return to.low
    sign = v.is_negative()
    bits = plain(bits_of(v, 0, i, f))
    if v.kif[1] > i:
        # all bits above the format are the sign where the value fits
        above = bits_of(v, 1, int(v.kif[1]), -i)
        over = (above ^ (sign * -float(above.step))).unary_bit_op('any')
        least = 0.0 if to.overflow == 'SAT' else to.step
        end = sign.msb_mux(least, to.high) if v.low < to.low else to.high
        bits = plain(over.msb_mux(end, bits, (0.0, to.high, to.step)))
    if to.overflow == 'SAT_SYM' and v.low < to.low:
        bits = _without_the_last(bits, sign, to)
    top = sign * -(2.0**i)
    # bits that do not overlap: no adder
    return top + bits


def _without_the_last(bits: Any, sign: Any, to: Format) -> Any:
    """The lower bits, 1 where the sign alone is set: a symmetric range has no such value."""
    if isinstance(bits, float):
        return bits if bits else sign * to.step
    alone = sign & ~bits.unary_bit_op('any')
    return bits | (alone * to.step)
