"""The narrowest formats that cast given values like wider ones do.

hls4ml's ``bit_exact`` narrows its casts, too, but not always rightly (1.3.0): it drops fractional bits that the input does not have,
although the value at which the cast saturates has them (multiples of 2 into one bit of 0.5: 0.5 becomes 0), and it forgets that a small
negative value is rounded down to a whole step.
"""

from __future__ import annotations

import numpy as np

Kif = tuple[np.ndarray, np.ndarray, np.ndarray]


def narrowed(own: Kif, source: Kif, rounding: str, overflow: str) -> Kif:
    """The narrowest formats that cast every value of ``source`` like ``own`` does.

    A format is (k, i, f): sign bit, integer bits without the sign, fractional bits; it holds multiples of ``2^-f`` in
    ``[-k*2^i, 2^i - 2^-f]``. The ends of the source are rounded and clipped, what lies between follows: every mode is monotone.

    Args:
        own, source: Formats per element, int, all of one shape.
        rounding: ``TRN``, ``RND``, ``RND_CONV`` or ``RND_MIN_INF``.
        overflow: ``SAT``, ``SAT_SYM`` or ``WRAP``.

    Returns:
        Formats; (0, 0, 0) where only 0 can come out. Where something wraps, the format stays as it is.
    """
    (k, i, f), (sk, si, sf) = ([np.asarray(a, np.float64) for a in kif] for kif in (own, source))
    round_to = {
        'TRN': np.floor,
        'RND': lambda v: np.floor(v + 0.5),
        'RND_CONV': np.rint,
        'RND_MIN_INF': lambda v: np.ceil(v - 0.5),
    }[rounding]
    # in steps of the cast; a float64 that cannot hold the upper end rounds it up, which only widens
    low, high = round_to(-sk * 2.0 ** (si + f)), round_to((2.0**si - 2.0**-sf) * 2.0**f)
    most = 2.0 ** (i + f) - 1
    least = -k * (most if overflow == 'SAT_SYM' else most + 1)
    clips = (low < least) | (high > most)
    low, high = np.clip(low, least, most), np.clip(high, least, most)
    # a symmetric range does not have the last negative step
    needs = np.maximum(high + 1, -low + (overflow == 'SAT_SYM'))
    new = [(low < 0) * 1.0, np.ceil(np.log2(np.maximum(needs, 1))) - f, np.where(clips, f, np.minimum(f, sf))]
    if overflow == 'WRAP':
        new = [np.where(clips, old, now) for old, now in zip((k, i, f), new, strict=True)]
        zero = ((low == 0) & (high == 0) & ~clips) | (k + i + f <= 0)
    else:
        zero = ((low == 0) & (high == 0)) | (k + i + f <= 0)
    return tuple(np.where(zero, 0, a).astype(np.int64) for a in new)
