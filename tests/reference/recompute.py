"""Recomputes the golden vectors in fixtures/golden from their inputs, by the formulas of docs/hgq-spec.md.

    python tests/reference/recompute.py [--write DIR] [NAME ...]

compares and ends with status 1 where an array differs by more than its tolerance. With --write it leaves files with the
recomputed arrays in place of the recorded ones in DIR. Needs NumPy alone.
"""

import argparse
import json
import sys
from pathlib import Path

import hgq
import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "fixtures" / "golden"


class Arrays:
    """A file of recorded arrays, and what was computed in their place."""

    def __init__(self, name):
        self.name = name
        self.recorded = dict(np.load(GOLDEN / f"{name}.npz"))
        self.found = {}
        self.faults = []

    def __contains__(self, key):
        return key in self.recorded

    def __getitem__(self, key):
        value = self.recorded[key]
        return value.astype(np.float64) if value.dtype.kind == "f" else value

    def put(self, key, value, tolerance=0.0):
        """`value` is what `key` should be."""
        if key not in self.recorded:
            return
        want = np.asarray(self.recorded[key], np.float64)
        value = np.asarray(value, np.float64).reshape(want.shape)
        # what is infinite on both sides agrees
        differ = value != want
        off = np.abs(value[differ] - want[differ]).max(initial=0)
        if not off <= tolerance:
            self.faults.append(f"{self.name}: {key}: off by {off}")
        self.found[key] = value

    def compare(self, what, value, want, tolerance):
        """`value`, which is no array of the file, should be `want`."""
        if abs(value - want) > tolerance:
            self.faults.append(f"{self.name}: {what}: {value} instead of {want}")
        self.found[what] = value

    def write(self, folder):
        arrays = {k: v.astype(self.recorded[k].dtype) for k, v in self.found.items() if k in self.recorded}
        np.savez(Path(folder) / f"{self.name}.npz", **{**self.recorded, **arrays})


def info(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def v1_quantizer():
    z = Arrays("v1_quantizer")
    x, g = z["x"], z["g"]
    for case in sorted({"|".join(k.split("|")[:3]) for k in z.recorded if k.startswith(("standard_round|", "floor|"))}):
        rounding, exact = case.split("|")[0], case.split("|")[1] == "exact1"
        f = np.clip(z[f"{case}|f"], -23, 23)
        z.put(f"{case}|f_after", f)
        y = hgq.quantize(x, f, rounding)
        z.put(f"{case}|y_infer", y)
        z.put(f"{case}|dx", g)
        if exact:
            z.put(f"{case}|y_train", y, 2e-6)
            df = hgq.gradient_f(x, y, f, g)
            z.put(f"{case}|df", df, 3e-5 * max(1, np.abs(df).max()))
        i, _ = hgq.surrogate_weight(y, f)
        # recorded from the noisy forward of training: a power of two may be counted one bit less
        z.put(f"{case}|wbits_i", i, 1)
        z.put(f"{case}|wbits_f", hgq.rhe(f))
        bits, i, f_w = hgq.enclosed(y)
        z.put(f"{case}|wexact_bits", bits)
        z.put(f"{case}|wexact_i", i * (bits > 0))
        z.put(f"{case}|wexact_f", f_w)
        if f"{case}|min" not in z:
            continue
        low, high = z[f"{case}|min"], z[f"{case}|max"]
        for relu, name in ((False, "sgn"), (True, "pos")):
            i, k = hgq.surrogate_activation(low, high, relu)
            z.put(f"{case}|{name}|bits_i", i)
            z.put(f"{case}|{name}|bits_k", k)
            z.put(f"{case}|{name}|bits_f", hgq.rhe(f))
            for part, value in zip("kif", hgq.exact_format(low, high, f, relu)):
                z.put(f"{case}|{name}|exact_{part}", value)
    for case in ("ch", "full", "one"):
        f, b, g = (z[f"bias|{case}|{part}"] for part in "fbg")
        widths, shares = hgq.bias_f(f, len(b))
        y = hgq.quantize(b, widths, "standard_round")
        z.put(f"bias|{case}|y", y, 1e-6)
        z.put(f"bias|{case}|db", g)
        df = hgq.LN2 * (b - y) * g
        z.put(f"bias|{case}|df", shares * (df.sum() if f.shape[-1] == 1 else df), 1e-5)
    for case, shape in (("none", (6, 8)), ("batch", (1, 8)), ("all", (1, 1))):
        z.put(f"adapt|{case}", hgq.start_f(x, 2, shape), 1e-5)
    for case in ("pow2max", "nonpow2max", "single", "two", "mix"):
        bits, i, f = hgq.enclosed(z[f"arrbits|{case}|w"])
        for part, value in (("bits", bits), ("i", i), ("f", f)):
            z.put(f"arrbits|{case}|{part}", value * (bits > 0))
    return z


def network(p, x, y, rounding, l1, beta, relu, ranges=None, gates=None):
    """One step of quantizer, dense, [Relu,] dense: everything that v1_train records of it. docs/hgq-spec.md#a2-4"""
    grad = {k: np.zeros_like(v) for k, v in p.items()}
    of_ce = {k: np.zeros_like(v) for k, v in p.items()}
    seen, layers = {}, []

    def activation(name, z, relu_behind):
        f = np.clip(p[f"{name}.act_f"], -23, 23)
        a = hgq.quantize(z, f, rounding)
        axes = tuple(n for n in range(a.ndim) if n == 0 or f.shape[n] == 1 and a.shape[n] != 1)
        low, high = a.min(axis=axes, keepdims=True), a.max(axis=axes, keepdims=True)
        if ranges:
            low, high = np.minimum(low, ranges[name][0]), np.maximum(high, ranges[name][1])
        seen[name] = (low, high)
        i, k = hgq.surrogate_activation(low, high, relu_behind)
        return a, np.maximum(i + hgq.rhe(f) + k, 0)

    h, bits = activation("q", x, False)
    source = "q"
    for name in ("d0", "d1"):
        w, b, f = p[f"{name}.kernel"], p[f"{name}.bias"], np.clip(p[f"{name}.kernel_f"], -23, 23)
        wq = hgq.quantize(w, f, "standard_round")
        widths, shares = hgq.bias_f(p[f"{name}.act_f"], len(b))
        bq = hgq.quantize(b, widths, rounding)
        z = h @ wq + bq
        gate = relu and name == "d0"
        a, next_bits = activation(name, z, gate)
        _, w_bits = hgq.surrogate_weight(wq, f)
        inputs, weights = np.broadcast_to(bits, (1, len(w))), np.broadcast_to(w_bits, w.shape)
        layers.append((name, source, h, w, wq, b, bq, shares, z, a, gate, f, inputs, weights))
        h, bits, source = (np.maximum(a, 0) if gate else a), next_bits, name
    ebops = [hgq.ebops_dense(n[12], n[13]) for n in layers]
    shifted = h - h.max(axis=1, keepdims=True)
    share = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    ce = -np.log(share[rows, y]).mean()
    widths = sum(v.sum() for k, v in p.items() if k.endswith("_f"))

    g = share.copy()
    g[rows, y] -= 1
    g /= len(y)
    for name, source, inputs_of, w, wq, b, bq, shares, z, a, gate, f, inputs, weights in layers[::-1]:
        if gate:
            g = g * (a > 0 if gates is None else gates)
        of_ce[f"{name}.act_f"] += hgq.gradient_f(z, a, p[f"{name}.act_f"], g)
        of_bias = g.sum(axis=0)
        of_ce[f"{name}.bias"] += of_bias
        df = hgq.LN2 * (b - bq) * of_bias
        of_ce[f"{name}.act_f"] += shares * (df.sum() if shares.shape[-1] == 1 else df)
        of_w = inputs_of.T @ g
        of_ce[f"{name}.kernel"] += of_w
        of_ce[f"{name}.kernel_f"] += hgq.gradient_f(w, wq, f, of_w)
        # docs/hgq-spec.md#a2-1: the norm of shared widths
        to_w = hgq.shared(inputs.T * (weights > 0), f.shape) / np.sqrt(w.size / f.size)
        grad[f"{name}.kernel_f"] += beta * to_w
        f_in = p[f"{source}.act_f"]
        to_in = hgq.shared(weights.sum(axis=1)[None] * (inputs > 0), f_in.shape) / np.sqrt(len(w) / f_in.size)
        grad[f"{source}.act_f"] += beta * to_in
        g = g @ wq.T
    of_ce["q.act_f"] += hgq.gradient_f(x, hgq.quantize(x, p["q.act_f"], rounding), p["q.act_f"], g)
    for k in grad:
        grad[k] += of_ce[k] + (l1 if k.endswith("_f") else 0)
    loss = ce + beta * sum(ebops) + l1 * widths
    return {"logits": h, "ce": ce, "loss": loss, "bops": [0, *ebops], "ranges": seen, "grad": grad, "grad_ce": of_ce}


def v1_train():
    z, meta = Arrays("v1_train"), info("v1_train")

    def parameters(tag):
        return {k.split("|")[2]: z[k] for k in z.recorded if k.startswith(f"{tag}|p0|")}

    for tag in ("mlp_elem", "mlp_elem_l1big", "mlp_floor", "mlp_chan", "mlp_tensor"):
        p, options = parameters(tag), meta[tag]["cfg"]
        l1, rounding = float(options.get("l1", 1e-6)), options.get("rnd", "standard_round")
        found = network(p, z[f"{tag}|x"], z[f"{tag}|y"], rounding, l1, meta[tag]["beta"], True)
        for key in ("logits", "ce", "loss"):
            z.put(f"{tag}|{key}", found[key], 1e-5)
        for name, ebops in zip(("q", "d0", "d1"), found["bops"]):
            z.put(f"{tag}|bops|{name}", ebops, 1e-3)
            z.put(f"{tag}|min|{name}", found["ranges"][name][0], 1e-5)
            z.put(f"{tag}|max|{name}", found["ranges"][name][1], 1e-5)
        for k in p:
            z.put(f"{tag}|grad|{k}", found["grad"][k], 1e-5)
            z.put(f"{tag}|grad_ce|{k}", found["grad_ce"][k], 1e-5)
            z.put(f"{tag}|sgd1|{k}", p[k] - meta[tag]["lr_sgd"] * found["grad"][k], 1e-5)
    for tag in ("adam_lin", "adam"):
        p, m = parameters(tag), meta[tag]
        first, second = ({k: np.zeros_like(v) for k, v in p.items()} for _ in range(2))
        ranges, trajectory, losses = None, {k: [] for k in p}, []
        for step in range(len(z[f"{tag}|X"])):
            # the gates as they were recorded: noise opened some of them, docs/hgq-spec.md#a1-3
            gates = z[f"{tag}|d0_relu_gate"][step] if m["relu"] else None
            x, y = z[f"{tag}|X"][step], z[f"{tag}|Y"][step]
            found = network(p, x, y, "standard_round", m["l1"], m["beta"], m["relu"], ranges, gates)
            ranges = None if step == m["minmax_reset_after_step_index"] else found["ranges"]
            rate = m["lr"] * np.sqrt(1 - m["b2"] ** (step + 1)) / (1 - m["b1"] ** (step + 1))
            for k, g in found["grad"].items():
                # docs/hgq-spec.md#a8
                first[k] += (1 - m["b1"]) * (g - first[k])
                second[k] += (1 - m["b2"]) * (g * g - second[k])
                p[k] = p[k] - rate * first[k] / (np.sqrt(second[k]) + m["eps"])
                trajectory[k].append(p[k])
            losses.append(found["loss"])
        z.put(f"{tag}|loss", losses, 2e-4)
        for k in p:
            z.put(f"{tag}|traj|{k}", np.stack(trajectory[k]), 2e-4)
    return z


# Layers in front of a Relu, and per layer that is counted: its input, and of convolutions stride, pads and positions in parallel.
WITH_RELU = {("dense", "d0"), ("dense_dead", "d0")}
COUNTED = [
    ("dense", "d0", "inp_q", None),
    ("dense", "d1", "d0", None),
    ("dense_dead", "d0", "inp_q", None),
    ("dense_dead", "d1", "d0", None),
    ("dense_perchannel", "d0", "inp_q", None),
    ("dense_perchannel", "d1", "d0", None),
    ("dense_nobias_floor", "d0", "inp_q", None),
    ("dense_3d", "d0", "inp_q", None),
    ("conv2d_pf1", "c0", "inp_q", (1, (0, 0, 0, 0), 1)),
    ("conv2d_pf7_same_stride", "c0", "inp_q", (2, (0, 1, 1, 1), 7)),
]


def v1_ebops():
    z, meta = Arrays("v1_ebops"), info("v1_ebops")
    for key in list(z.recorded):
        if key.endswith("|kernel_bw_exact"):
            z.put(key, hgq.enclosed(z[key.replace("kernel_bw_exact", "fused_qkernel")])[0])
    for model, layer, source, conv in COUNTED:
        relu = (model, source) in WITH_RELU
        f = z[f"{model}|{source}|act_f"]
        low, high = z[f"{model}|{source}|trace_min"], z[f"{model}|{source}|trace_max"]
        bits = sum(hgq.exact_format(low, high, f, relu))
        key = f"{model}|{source}|act_bw_exact"
        bits = np.broadcast_to(bits, z.recorded[key].shape)
        z.put(key, bits)
        weights = hgq.enclosed(z[f"{model}|{layer}|fused_qkernel"])[0]
        i, k = hgq.surrogate_activation(z[f"{model}|{source}|train_min"], z[f"{model}|{source}|train_max"], relu)
        noisy = np.broadcast_to(np.maximum(i + hgq.rhe(f) + k, 0), bits.shape)
        f_w = z[f"{model}|{layer}|kernel_f"]
        wq = hgq.quantize(z[f"{model}|{layer}|w0|kernel"], f_w, "RND")
        of_w = np.broadcast_to(hgq.surrogate_weight(wq, f_w)[1], weights.shape)
        for what, b_in, b_w in (("bops_exact", bits, weights), ("bops_train", noisy, of_w)):
            if conv is None:
                found, tolerance = hgq.ebops_dense(b_in, b_w), 0
                of_one_bit = b_in.reshape(-1, len(b_w)).sum(axis=0).max()
            else:
                stride, pads, parallel = conv
                found, tolerance = hgq.ebops_conv(b_in[0], b_w, stride, pads, parallel, what == "bops_exact"), 1e-3
                windows = hgq.patches(b_in[0], b_w.shape[:2], stride, pads)
                of_one_bit = windows.sum(axis=(0, 1)).max() * parallel / (windows.shape[0] * windows.shape[1])
            if what == "bops_train":
                # noise may take a bit of a weight that is a power of two, docs/hgq-spec.md#a1-3
                tolerance += of_one_bit
            z.compare(f"{model}|{layer}|{what}", found, meta[model][layer][what], tolerance)
    return z


def v1_proxy():
    """Formats of every traced layer, and the numbers of the two dense models. docs/hgq-spec.md#a6"""
    z = Arrays("v1_proxy")
    for model, rounding in (("mlp", "RND"), ("mlp_floor", "TRN")):
        p = {"|".join(key.split("|")[2:]): z[key] for key in z.recorded if key.startswith(f"{model}|hgq|")}
        weights = {name: hgq.quantize(p[f"{name}|kernel"], p[f"{name}|kernel_f"], "RND") for name in ("d0", "d1")}
        biases = {name: hgq.quantize(p[f"{name}|bias"], p[f"{name}|act_f"][0], rounding) for name in weights}

        def run(x):
            a = {"q": hgq.quantize(x, p["q|act_f"], rounding)}
            a["d0"] = hgq.quantize(a["q"] @ weights["d0"] + biases["d0"], p["d0|act_f"], rounding)
            a["d1"] = hgq.quantize(np.maximum(a["d0"], 0) @ weights["d1"] + biases["d1"], p["d1|act_f"], rounding)
            return a

        traced, outside = run(z[f"{model}|x_cal"]), run(z[f"{model}|x_test"])
        for factor in (1.0, 1.5, 0.5):
            at = f"{model}|cf{factor}"
            if f"{at}|q|k" not in z:
                continue
            z.put(f"{at}|y_hgq_cal", traced["d1"], 1e-6)
            z.put(f"{at}|y_hgq_test", outside["d1"], 1e-6)
            formats, signed = {}, {}
            for name, a in traced.items():
                f = p[f"{name}|act_f"]
                axes = (0, 1) if f.size == 1 else 0
                low, high = a.min(axis=axes, keepdims=True), a.max(axis=axes, keepdims=True)
                low, high = hgq.cover(low, high, f, factor, rounding)
                z.put(f"{at}|{name}|min", low, 1e-6)
                z.put(f"{at}|{name}|max", high, 1e-6)
                formats[name], signed[name] = hgq.exact_format(low, high, f, name == "d0"), hgq.exact_format(low, high, f, False)
                for part, value in zip("kif", formats[name]):
                    z.put(f"{at}|{name}|{part}", value)
            # docs/hgq-spec.md#a6-1 and #a6-2: half a step in the bias, a uniform cast in front of the Relu
            half = rounding == "RND"
            uniform = [part.max() for part in signed["d0"]]
            for wrap, mode in ((True, "ag1"), (False, "ag0")):
                for samples in ("cal", "test"):
                    x = z[f"{model}|x_{samples}"]
                    h = hgq.cast(x, *formats["q"], rounding, wrap)
                    for name in ("d0", "d1"):
                        f = p[f"{name}|act_f"][0]
                        shift = 2.0 ** (-hgq.rhe(f) - 1) if half else 0
                        a = traced[name]
                        i, k = hgq.surrogate_activation(a.min(axis=0), a.max(axis=0), name == "d0")
                        live = i + hgq.rhe(f) + k > 0
                        v = h @ weights[name] + np.where(live, biases[name] + shift, 0)
                        if name == "d0":
                            v = np.maximum(hgq.cast(v, *uniform, "TRN", wrap), 0)
                        h = hgq.cast(v, *formats[name], "TRN", wrap)
                    z.put(f"{at}|{mode}|y_proxy_{samples}", h, 1e-6)
    return z


def v2_quantizer():
    z = Arrays("v2_quantizer")
    for case in sorted({k.split("|")[0] for k in z.recorded}):
        kind, rounding = case.split("_")[0], next((r for r in ("RND_CONV", "TRN") if case.endswith(r)), "RND")
        k = z[f"{case}|init|k"].astype(float)
        wraps = "wrap" in case
        i = z[f"{case}|init|i"]
        for step in ("s0", "s1", "s2"):
            at = f"{case}|{step}"
            if f"{at}|x" not in z:
                continue
            x, g = z[f"{at}|x"], z[f"{at}|g"]
            if wraps:
                f = z[f"{case}|init|f"]
                y = hgq.quantize(x, f, rounding)
                i = hgq.track(y, f, i, z[f"{case}|init|i_decay_speed"])
                z.put(f"{at}|y_train", y, 1e-5)
                z.put(f"{at}|dx", g)
                z.put(f"{at}|d_f", hgq.gradient_f(x, y, f, g), 1e-4)
                z.put(f"{at}|after_i", i, 1e-5)
                continue
            first = z[f"{case}|init|{'b' if kind == 'kbi' else 'f'}"]
            f = hgq.rhe(first) - hgq.rhe(i) if kind == "kbi" else first
            y, dx, df, di = hgq.saturate(x, k, i, f, rounding, "sat_" not in case)
            z.put(f"{at}|y_train", y, 1e-5)
            z.put(f"{at}|dx", dx * g, 1e-6)
            df, di = hgq.shared(df * g, f.shape), hgq.shared(di * g, f.shape)
            scale = 1e-5 * max(1, np.abs(df).max(), np.abs(di).max())
            if kind == "kbi":
                z.put(f"{at}|d_b", df, scale)
                z.put(f"{at}|d_i", di - df, scale)
            else:
                z.put(f"{at}|d_f", df, scale)
                z.put(f"{at}|d_i", di, scale)
    return z


def v2_layers():
    """Counts of the dense layers from the recorded bits. docs/hgq-spec.md#b2"""
    z, meta = Arrays("v2_layers"), info("v2_layers")
    for model, layers, share in (("dense", ("d0", "d1"), 1.0), ("dense_3d", ("d0",), 2 / 5)):
        for when in ("train", "traced"):
            for layer in layers:
                bits = {q: z[f"{model}|{when}_bits|{layer}_{q}"] for q in ("iq", "kq", "bq")}
                rows = bits["iq"].size // len(bits["kq"])
                units = bits["kq"].shape[1]
                found = hgq.ebops_dense(bits["iq"], bits["kq"]) + bits["bq"].mean() * rows * units
                z.compare(f"{model}|{layer}|{when}", np.floor(found * share), meta[model][when][layer], 0)
    return z


ALL = {f.__name__: f for f in (v1_quantizer, v1_train, v1_ebops, v1_proxy, v2_quantizer, v2_layers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--write", metavar="DIR", help="leave the recomputed files there")
    args = parser.parse_args()
    faults = []
    for name in args.names or ALL:
        arrays = ALL[name]()
        print(f"{name}: {len(arrays.found)} of {len(arrays.recorded)} recomputed, {len(arrays.faults)} differ")
        faults += arrays.faults
        if args.write:
            arrays.write(args.write)
    print("\n".join(faults), file=sys.stderr, end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
