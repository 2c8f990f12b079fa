"""The formulas of docs/hgq-spec.md in NumPy, in float64. Names are those of the page."""

import numpy as np

LN2 = np.log(2.0)


def rhe(v):
    """docs/hgq-spec.md#notation"""
    return np.round(v)


def log2(v):
    with np.errstate(divide="ignore"):
        return np.log2(v)


ROUNDINGS = {
    "RND": lambda v: np.floor(v + 0.5),
    "TRN": np.floor,
    "RND_CONV": rhe,
    "standard_round": lambda v: np.floor(v + 0.5),
    "floor": np.floor,
}


def shared(values, shape):
    """Sums over what shares a width: `values` brought to the shape of the widths."""
    axes = tuple(a for a in range(values.ndim) if shape[a] == 1 and values.shape[a] != 1)
    return values.sum(axis=axes, keepdims=True)


# HGQ v1


def quantize(x, f, rounding):
    """docs/hgq-spec.md#a1-2"""
    scale = 2.0 ** rhe(f)
    return ROUNDINGS[rounding](x * scale) / scale


def gradient_f(x, y, f, g):
    """docs/hgq-spec.md#a1-3, of a loss whose gradient at y is g."""
    return shared(LN2 * (x - y) * g, f.shape)


def bias_f(f, channels):
    """docs/hgq-spec.md#a1-4: the fractional bits of a bias, and the shares of their gradient."""
    rows = f.reshape(-1, f.shape[-1])
    # one width for all channels: all of them read one maximum
    largest = rows.max(axis=0)
    hit = rows == largest
    return np.broadcast_to(largest, (channels,)), (hit / hit.sum(axis=0)).reshape(f.shape)


def start_f(w, init_bits, shape):
    """docs/hgq-spec.md#a1-5"""
    f = init_bits - log2(np.abs(w))
    axes = tuple(a for a in range(w.ndim) if shape[a] == 1 and w.shape[a] != 1)
    return f.min(axis=axes, keepdims=True)


def surrogate_weight(wq, f):
    """docs/hgq-spec.md#a2-1: integer bits per group, and bits."""
    axes = tuple(a for a in range(wq.ndim) if f.shape[a] == 1 and wq.shape[a] != 1)
    i = (np.floor(log2(np.abs(wq))) + 1).max(axis=axes, keepdims=True)
    return i, np.maximum(i + rhe(f), 0)


def surrogate_activation(low, high, relu):
    """docs/hgq-spec.md#a2-1: integer and sign bits."""
    magnitude = np.maximum(high, 0) if relu else np.maximum(np.abs(low), np.abs(high))
    k = np.zeros_like(low) if relu else (low < 0).astype(float)
    return np.floor(log2(magnitude)) + 1, k


def enclosed(wq):
    """docs/hgq-spec.md#a2-2: bits, integer bits and fractional bits of each weight."""
    bits, i, f = (np.zeros(wq.shape) for _ in range(3))
    for at, w in np.ndenumerate(np.abs(wq)):
        if w:
            v = int(w * 2.0**32)
            trailing = (v & -v).bit_length() - 1
            bits[at], i[at], f[at] = v.bit_length() - trailing, v.bit_length() - 32, 32 - trailing
    return bits, i, f


def exact_format(low, high, f, relu):
    """docs/hgq-spec.md#a2-2: k, i, f of a traced range."""
    f = rhe(f)
    if relu:
        k, i = np.zeros(f.shape), np.floor(log2(np.maximum(high, 0))) + 1
    else:
        k = (low < 0) * np.ones(f.shape)
        i = np.maximum(np.ceil(log2(np.abs(low))), np.ceil(log2(np.abs(high + 2.0**-f))))
    i = np.clip(i, -f - k, 32)
    some = k + i + f != 0
    return k * some, i * some, f * some


def cover(low, high, f, factor, rounding="RND"):
    """docs/hgq-spec.md#a4-1"""
    if factor == 1:
        return low, high
    middle, half = (low + high) / 2, (high - low) / 2
    return quantize(middle - half * factor, f, rounding), quantize(middle + half * factor, f, rounding)


def cast(x, k, i, f, rounding, wrap):
    """docs/hgq-spec.md#a5, with WRAP or SAT."""
    bits = k + i + f
    high = 2.0 ** (bits - k) - 1
    low = -(high + 1) * k
    v = ROUNDINGS[rounding](x * 2.0**f)
    v = np.mod(v - low, high - low + 1) + low if wrap else np.clip(v, low, high)
    return np.where(bits > 0, v * 2.0**-f, 0)


def patches(b, kernel, stride, pads):
    """The windows of [H, W, C], as [h, w, kh, kw, C]; `pads`: top, left, bottom, right."""
    b = np.pad(b, ((pads[0], pads[2]), (pads[1], pads[3]), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(b, kernel, axis=(0, 1))
    return view[::stride, ::stride].transpose(0, 1, 3, 4, 2)


def ebops_dense(b_in, b_w):
    """docs/hgq-spec.md#a2-3, all positions."""
    return (b_in.reshape(-1, b_w.shape[0]) @ b_w).sum()


def ebops_conv(b_in, b_w, stride, pads, parallel, exact):
    """docs/hgq-spec.md#a2-3: `b_in` [H, W, C], `b_w` [kh, kw, C, O]."""
    windows = patches(b_in, b_w.shape[:2], stride, pads)
    total = np.einsum("hwklc,klco->", windows, b_w)
    return (np.floor(total) if exact else total) * parallel / (windows.shape[0] * windows.shape[1])


# HGQ2


def saturate(x, k, i, f, rounding, symmetric):
    """docs/hgq-spec.md#b1-1: y, and its derivatives by x, f and i."""
    f = rhe(f)
    i = np.maximum(rhe(i), -f)
    top = 2.0**i
    high = top - 2.0**-f
    low = -k * (high if symmetric else top)
    y = ROUNDINGS[rounding](np.clip(x, low, high) * 2.0**f) / 2.0**f
    above, below = x > high, x < low
    inside = ~(above | below)
    df = np.where(inside, LN2 * (x - y), 0) + above * LN2 * 2.0**-f
    if symmetric:
        df = df - below * k * LN2 * 2.0**-f
    di = LN2 * top * (above * 1.0 - below * k)
    return y, inside * 1.0, df, di


def track(y, f, i, decay):
    """docs/hgq-spec.md#b1-2: the next integer bits."""
    axes = tuple(a for a in range(y.ndim) if f.shape[a] == 1 and y.shape[a] != 1)
    largest = np.abs(y).max(axis=axes, keepdims=True)
    return np.maximum(i - decay, np.ceil(log2(largest + 2.0 ** -rhe(f))))


def wrap(y, k, i):
    """docs/hgq-spec.md#b1-1, in inference."""
    width = 2.0 ** (i + k)
    beta = k * width / 2
    return np.mod(y + beta, width) - beta
