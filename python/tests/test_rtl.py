"""``to_rtl`` with alkaid: every operation and every way to round and to overflow, on small nets made here.

What a net must give is computed here from the definition, in fractions; ``to_rtl`` compares that with its own executor, with
alkaid's interpreter and, where Icarus Verilog is installed, with the simulated Verilog.

``HGQ_ONNX_CASES`` is a folder of folders with ``proxy_elementwise.onnx``, ``x.npz`` (inputs) and ``y.f64`` (what the program's own
executor, or the exact model, gives for them: plain float64).
"""

import contextlib
import importlib.util
import io
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np

import hgq_onnx

CASES = os.environ.get('HGQ_ONNX_CASES')
ALKAID = importlib.util.find_spec('alkaid') is not None

ROUNDINGS = {
    'FLOOR': math.floor,
    'CEIL': math.ceil,
    'RND': lambda v: math.floor(v + Fraction(1, 2)),
    'RND_MIN_INF': lambda v: math.ceil(v - Fraction(1, 2)),
    # of Python: half to even
    'ROUND': round,
}
OVERFLOWS = ('SAT', 'SAT_SYM', 'WRAP')


def cast(value, form, rounding, overflow):
    """``value`` in a format (k, i, f), by the definition."""
    k, i, f = form
    if k + i + f <= 0:
        return 0.0
    q = ROUNDINGS[rounding](Fraction(value) * Fraction(2) ** f)
    bits = k + i + f
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if k else (0, (1 << bits) - 1)
    if overflow == 'WRAP':
        q = (q - low) % (1 << bits) + low
    else:
        q = min(max(q, low + (overflow == 'SAT_SYM' and bool(k))), high)
    return float(Fraction(q) / Fraction(2) ** f)


class Net:
    """A file of the element-wise form, node by node; ``last`` is the tensor that was written last."""

    def __init__(self, *shape, name='x'):
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self.last = self.input(name, *shape)

    def input(self, name, *shape):
        from onnx import TensorProto, helper

        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape]))
        return name

    def constant(self, values, kind=np.float32):
        from onnx import numpy_helper

        name = f'c{len(self.constants)}'
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def node(self, op, *inputs, outputs=1, domain='', **attributes):
        from onnx import helper

        names = [f'n{len(self.nodes)}_{at}' for at in range(outputs)]
        made = helper.make_node(op, list(inputs), names, name=f'n{len(self.nodes)}', domain=domain, **attributes)
        self.nodes.append(made)
        self.last = names[0]
        return names[0] if outputs == 1 else names

    def quant(self, forms, rounding='RND', overflow='SAT', x=None):
        """One format (k, i, f), or a nested list of them."""
        forms = np.asarray(forms)
        k, i, f = np.moveaxis(forms, -1, 0)
        bits = np.maximum(k + i + f, 0)
        scale = np.where(bits > 0, 2.0**-f, 1.0)
        more = {'keep_negative': [int(v) for v in np.where(bits > 0, k, 0).ravel()]} if k.any() and not k.all() else {}
        parameters = [self.constant(v) for v in (scale, 0.0, bits)]
        return self.node(
            'Quant',
            x or self.last,
            *parameters,
            domain='qonnx.custom_op.general',
            signed=int(k.any()),
            narrow=0,
            rounding_mode=rounding,
            overflow_mode=overflow,
            **more,
        )

    def dense(self, weights, bias=None):
        self.node('MatMul', self.last, self.constant(weights))
        return self.last if bias is None else self.node('Add', self.last, self.constant(bias))

    def model(self, shape, outputs=None):
        from onnx import TensorProto, helper

        shapes = outputs or {self.last: shape}
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *s]) for name, s in shapes.items()]
        graph = helper.make_graph(self.nodes, 'net', self.inputs, values, self.constants)
        sets = [helper.make_opsetid('', 13), helper.make_opsetid('qonnx.custom_op.general', 1)]
        made = helper.make_model(graph, opset_imports=sets)
        entry = made.metadata_props.add()
        entry.key, entry.value = 'hgq_onnx.form', 'elementwise'
        return made


@unittest.skipUnless(ALKAID, 'alkaid is not installed')
class RtlCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name) / 'rtl'
        self.rng = np.random.default_rng(1)

    def values(self, count, form, *shape):
        """Random values of a format."""
        k, i, f = form
        high = 1 << (i + f)
        return self.rng.integers(-high if k else 0, high, (count, *shape)) * 2.0**-f

    def check(self, model, samples, expected, **kw):
        result = hgq_onnx.to_rtl(model, self.out, samples=samples, expected=expected, **kw)
        self.assertGreater(result.compared, 0)
        if kw.get('flavor', 'verilog') == 'verilog' and shutil.which('iverilog'):
            self.assertGreater(result.simulated, 0)
        return result


class CastTest(RtlCase):
    """Every rounding and overflow, to formats below, at and beyond what comes in."""

    SOURCE = (1, 3, 4)
    FORMS = [(1, 2, 2), (0, 2, 1), (1, 5, 6), (1, 1, 4), (0, 4, 0), (1, 0, 0), (1, 3, -2)]
    FORMS += [(0, 1, -1), (0, 0, 0), (1, -1, 3), (1, 6, -4), (0, -1, 4)]

    def run_all(self, relu):
        values = np.arange(-128, 128) / 16
        for rounding, overflow in itertools.product(ROUNDINGS, OVERFLOWS):
            with self.subTest(rounding=rounding, overflow=overflow):
                net = Net(1)
                net.quant(self.SOURCE, 'FLOOR')
                net.dense(np.ones((1, len(self.FORMS))), np.full(len(self.FORMS), 0.0625))
                if relu:
                    net.node('Relu', net.last)
                net.quant(self.FORMS, rounding, overflow)
                sums = np.maximum(values + 0.0625, 0) if relu else values + 0.0625
                expected = np.array([[cast(v, form, rounding, overflow) for form in self.FORMS] for v in sums])
                self.check(net.model([len(self.FORMS)]), values[:, None], expected)

    def test_sums(self):
        self.run_all(relu=False)

    def test_behind_a_relu(self):
        self.run_all(relu=True)

    def test_ranges_that_are_lopsided(self):
        for bias, rounding, overflow in itertools.product((6.0, -6.0, 0.3125), ROUNDINGS, OVERFLOWS):
            with self.subTest(bias=bias, rounding=rounding, overflow=overflow):
                net = Net(1)
                net.quant((1, 1, 4), 'FLOOR')
                net.dense([[-1.0] * len(self.FORMS)], [bias] * len(self.FORMS))
                net.quant(self.FORMS, rounding, overflow)
                values = np.arange(-32, 32) / 16
                expected = np.array([[cast(bias - v, form, rounding, overflow) for form in self.FORMS] for v in values])
                self.check(net.model([len(self.FORMS)]), values[:, None], expected)

    def test_sums_that_are_a_power_of_two_of_another(self):
        scales, forms = (0.25, 0.5, 2.0, 4.0, -2.0), [(0, 1, 0), (0, 2, -1), (1, 1, 0), (0, 0, 1), (0, 3, -2), (1, 2, -1)]
        factors, all_forms = np.repeat(scales, len(forms)), forms * len(scales)
        grid = np.array(list(itertools.product(np.arange(4) / 2, repeat=2)))
        for relu, overflow in itertools.product((False, True), OVERFLOWS):
            with self.subTest(relu=relu, overflow=overflow):
                net = Net(2)
                net.quant((0, 1, 1), 'FLOOR')
                net.dense([-factors, factors], np.zeros(len(factors)))
                if relu:
                    net.node('Relu', net.last)
                net.quant(all_forms, 'FLOOR', overflow)
                sums = np.outer(grid[:, 1] - grid[:, 0], factors)
                sums = np.maximum(sums, 0) if relu else sums
                expected = [[cast(v, form, 'FLOOR', overflow) for v, form in zip(row, all_forms, strict=True)] for row in sums]
                self.check(net.model([len(factors)]), grid, np.array(expected))

    def test_the_half_step_is_in_the_bias(self):
        weights = self.rng.integers(-7, 8, (4, 6)).astype(float)
        found = []
        for rounding in ('FLOOR', 'RND'):
            net = Net(4)
            net.quant((1, 3, 4))
            net.dense(weights, np.full(6, 0.3125))
            net.node('Relu', net.last)
            net.quant((0, 3, 1), rounding)
            found.append(hgq_onnx.to_rtl(net.model([6]), self.out, simulation=False).cost)
        self.assertEqual(*found)


LAST = 'qonnx.custom_op.channels_last'


class LayerTest(RtlCase):
    """Products, convolutions, pools and merges, against loops over their definition."""

    FORM = (1, 2, 2)

    def image(self, *shape):
        net = Net(*shape)
        net.quant(self.FORM, 'FLOOR')
        return net, self.values(40, self.FORM, *shape)

    def weights(self, *shape):
        return self.rng.integers(-7, 8, shape) / 4 * (self.rng.random(shape) < 0.7)

    def windows(self, x, kernel, strides, pads, outside):
        """(position, the window's values) of each, channels last."""
        axes = len(kernel)
        x = np.pad(x, [(0, 0), *zip(pads[:axes], pads[axes:]), (0, 0)], constant_values=outside)
        counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], kernel, strides)]
        for position in np.ndindex(*counts):
            cut = tuple(slice(p * s, p * s + k) for p, s, k in zip(position, strides, kernel))
            yield position, x[(slice(None), *cut)]

    def convolved(self, x, w, b, strides, pads, groups=1):
        places = list(self.windows(x, w.shape[1:-1], strides, pads, 0))
        shape = [last + 1 for last in places[-1][0]]
        y = np.zeros((len(x), *shape, len(w)))
        size_in, size_out = x.shape[-1] // groups, len(w) // groups
        for (position, seen), o in itertools.product(places, range(len(w))):
            start = o // size_out * size_in
            y[(slice(None), *position, o)] = (seen[..., start : start + size_in] * w[o]).reshape(len(x), -1).sum(-1) + b[o]
        return y

    def test_dense_layers(self):
        net, x = self.image(5)
        w, b = self.weights(5, 7), self.weights(7)
        net.dense(w, b)
        self.check(net.model([7]), x, x @ w + b)

    def test_dense_layers_at_every_position(self):
        net, x = self.image(3, 4)
        w = self.weights(4, 2)
        net.dense(w)
        self.check(net.model([3, 2]), x, x @ w)

    def test_convolutions(self):
        cases = [
            ((5, 4, 2), (3, 3, 3, 2), [1, 1], [1, 1, 1, 1], 1),
            ((5, 4, 2), (2, 2, 3, 2), [2, 1], [0, 1, 1, 0], 1),
            ((4, 4, 3), (3, 2, 2, 1), [1, 1], [0, 0, 0, 0], 3),
            ((7, 2), (3, 3, 2), [2], [1, 1], 1),
        ]
        for shape, kernel, strides, pads, groups in cases:
            with self.subTest(shape=shape, groups=groups):
                net, x = self.image(*shape)
                w, b = self.weights(*kernel), self.weights(kernel[0])
                given = {'kernel_shape': kernel[1:-1], 'strides': strides, 'pads': pads, 'group': groups}
                net.node('Conv', net.last, net.constant(w), net.constant(b), domain=LAST, dilations=[1] * len(strides), **given)
                y = self.convolved(x, w, b, strides, pads, groups)
                self.check(net.model(y.shape[1:]), x, y)

    def test_pools_never_take_their_padding(self):
        for shape, kernel, strides, pads in (((4, 4, 2), [2, 2], [2, 2], [0] * 4), ((5, 4, 2), [3, 2], [2, 2], [1, 0, 1, 0])):
            net, x = self.image(*shape)
            x = -np.abs(x) if any(pads) else x
            net.node('MaxPool', net.last, domain=LAST, kernel_shape=kernel, strides=strides, pads=pads)
            found = list(self.windows(x, kernel, strides, pads, -np.inf))
            y = np.zeros((len(x), *[last + 1 for last in found[-1][0]], shape[-1]))
            for position, seen in found:
                y[(slice(None), *position)] = seen.max(axis=(1, 2))
            self.check(net.model(y.shape[1:]), x, y)

    def test_merges_of_tensors(self):
        functions = {'Add': np.add, 'Sub': np.subtract, 'Mul': np.multiply, 'Max': np.maximum, 'Min': np.minimum}
        for op, function in functions.items():
            net, x = self.image(4)
            first = net.last
            w = self.weights(4, 4)
            net.dense(w)
            second = net.quant([(1, 1, 1), (0, 2, 0), (1, 4, 2), (0, 0, 0)], 'FLOOR')
            net.node(op, first, second)
            forms = [(1, 1, 1), (0, 2, 0), (1, 4, 2), (0, 0, 0)]
            branch = np.array([[cast(v, f, 'FLOOR', 'SAT') for v, f in zip(row, forms)] for row in x @ w])
            with self.subTest(op=op):
                self.check(net.model([4]), x, function(x, branch))

    def test_merges_of_a_tensor_with_what_follows_from_it(self):
        for op, function in (('Max', np.maximum), ('Min', np.minimum)):
            for offset in (0.25, -0.25, 0.0):
                net, x = self.image(2)
                first = net.last
                net.node('Add', first, net.constant([offset, 0.5]))
                net.node(op, net.last, first)
                self.check(net.model([2]), x, function(x + [offset, 0.5], x))

    def test_scales_and_shifts_of_channels_and_positions(self):
        for shape in ((3,), (2, 3)):
            net, x = self.image(2, 3)
            scale, shift = self.weights(*shape) + 0.125, self.weights(*shape)
            net.node('Mul', net.last, net.constant(scale))
            net.node('Add', net.last, net.constant(shift))
            self.check(net.model([2, 3]), x, x * scale + shift)

    def test_constants_in_front_and_behind(self):
        for op, function in (('Sub', np.subtract), ('Max', np.maximum), ('Min', np.minimum), ('Add', np.add), ('Mul', np.multiply)):
            for swapped in (False, True):
                net, x = self.image(5)
                c = np.array([0.5, 0.0, -1.25, 1.8125, -0.0625])
                operands = [net.last, net.constant(c)]
                net.node(op, *(operands[::-1] if swapped else operands))
                with self.subTest(op=op, swapped=swapped):
                    self.check(net.model([5]), x, function(c, x) if swapped else function(x, c))

    def test_a_residual_network_with_a_table(self):
        net, x = self.image(4, 4, 2)
        given = {'domain': LAST, 'dilations': [1, 1], 'group': 1, 'strides': [1, 1]}
        first, second, last = self.weights(3, 2, 2, 2), self.weights(3, 2, 2, 3), self.weights(12, 2)
        net.node('Conv', net.last, net.constant(first), net.constant(np.zeros(3)), pads=[0, 1, 1, 0], **given)
        net.node('Relu', net.last)
        branch = net.quant([(0, 2, 1), (0, 1, 2), (0, 3, 0)], 'RND')
        net.node('Conv', branch, net.constant(second), net.constant(np.ones(3)), pads=[0, 1, 1, 0], **given)
        net.node('Add', net.quant((1, 3, 1), 'ROUND', 'WRAP'), branch)
        net.node('MaxPool', net.last, domain=LAST, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
        net.node('Tanh', net.quant((1, 3, 2), 'RND'))
        net.quant((1, 0, 4), 'FLOOR')
        net.node('Reshape', net.last, net.constant([1, 12], np.int64))
        net.dense(last)
        forms = [((0, 2, 1), 'RND', 'SAT'), ((0, 1, 2), 'RND', 'SAT'), ((0, 3, 0), 'RND', 'SAT')]
        y = np.maximum(self.convolved(x, first, np.zeros(3), [1, 1], [0, 1, 1, 0]), 0)
        y = np.stack([np.vectorize(lambda v, form=form: cast(v, *form))(y[..., at]) for at, form in enumerate(forms)], axis=-1)
        z = np.vectorize(lambda v: cast(v, (1, 3, 1), 'ROUND', 'WRAP'))(self.convolved(y, second, np.ones(3), [1, 1], [0, 1, 1, 0])) + y
        z = z.reshape(len(x), 2, 2, 2, 2, 3).max(axis=(2, 4))
        z = np.vectorize(lambda v: cast(function('Tanh', cast(v, (1, 3, 2), 'RND', 'SAT')), (1, 0, 4), 'FLOOR', 'SAT'))(z)
        self.check(net.model([2]), x, z.reshape(len(x), 12) @ last, simulation=60)
        self.check(net.model([2]), x, z.reshape(len(x), 12) @ last, latency_cutoff=2.5, simulation=60)

    def test_moves(self):
        net, x = self.image(2, 3, 2)
        integers = lambda values: net.constant(values, np.int64)  # noqa: E731
        net.node('Transpose', net.last, perm=[0, 3, 1, 2])
        net.node('Pad', net.last, integers([0, 0, 1, 0, 0, 0, 0, 2]))
        net.node('Slice', net.last, integers([4, 0]), integers([-10, 2]), integers([3, 2]), integers([-2, 1]))
        net.node('Gather', net.last, integers([1, 0, 0]), axis=1)
        halves = net.node('Split', net.last, integers([1, 2]), axis=1, outputs=2)
        net.node('Concat', halves[1], halves[0], halves[1], axis=1)
        net.node('Reshape', net.last, integers([1, -1]))
        y = np.pad(x.transpose(0, 3, 1, 2), [(0, 0), (0, 0), (1, 0), (0, 2)])[:, :, 0:2, 4::-2][:, [1, 0, 0]]
        y = np.concatenate([y[:, 1:], y[:, :1], y[:, 1:]], axis=1).reshape(len(x), -1)
        self.check(net.model(y.shape[1:]), x, y)

    def test_what_waits_for_a_cast_can_move_and_have_two_readers(self):
        net, x = self.image(3)
        relu = net.node('Relu', net.last)
        net.node('Gather', relu, net.constant([2, 1, 0], np.int64), axis=1)
        first = net.quant((0, 1, 0), 'RND')
        net.node('Add', first, relu)
        half_up = np.minimum(np.floor(np.maximum(x, 0) + 0.5), 1)
        self.check(net.model([3]), x, half_up[:, ::-1] + np.maximum(x, 0))


def entry(value):
    return math.floor(float(np.float32(value)) * 1024) / 1024


def index(value, lowest, highest):
    return min(max(math.trunc(value), lowest), highest)


TABLES = {
    'Sigmoid': (lambda x: 1 / (1 + math.exp(-x)), 64),
    'Tanh': (math.tanh, 128),
    'Softplus': (lambda x: math.log(math.exp(x) + 1), 64),
    'Softsign': (lambda x: x / (abs(x) + 1), 64),
}
SELU = 1.0507009873554805, 1.6732632423543772


def function(op, x, alpha=None):
    """A function as hls4ml computes it (docs/hls4ml-contract.md), ``alpha`` of at most eight bits."""
    if op in TABLES:
        of, steps = TABLES[op]
        return entry(of(index(x * steps, -512, 511) / steps))
    below = index(-x * 128, 0, 1023) / -128
    if op == 'Elu':
        return x if x >= 0 else alpha * entry(math.exp(below) - 1)
    if op == 'Selu':
        return x * 34429 / 32768 if x >= 0 else entry(SELU[0] * (SELU[1] * (math.exp(below) - 1)))
    if op == 'ThresholdedRelu':
        return x if x > alpha else 0.0
    return x if x >= 0 else alpha * x


class FunctionTest(RtlCase):
    CASES = [
        *((name, None) for name in (*TABLES, 'Selu')),
        ('Elu', 1.0),
        ('Elu', 0.296875),
        ('LeakyRelu', 0.125),
        ('LeakyRelu', 2.5),
        ('ThresholdedRelu', 0.75),
        ('ThresholdedRelu', 0.7),
    ]

    def run_all(self, source, behind=None):
        k, i, f = source
        values = np.arange(-k << (i + f), 1 << (i + f)) * 2.0**-f
        for op, alpha in self.CASES:
            with self.subTest(op=op, alpha=alpha):
                net = Net(1)
                net.quant(source, 'FLOOR')
                net.node(op, net.last, **({} if alpha is None else {'alpha': alpha}))
                expected = np.array([function(op, v, alpha) for v in values])
                if behind:
                    net.quant(behind, 'RND')
                    expected = np.array([cast(v, behind, 'RND', 'SAT') for v in expected])
                self.check(net.model([1]), values[:, None], expected[:, None])

    def test_few_bits(self):
        self.run_all((1, 2, 3))

    def test_with_a_cast(self):
        self.run_all((1, 3, 2), (1, 1, 4))

    def test_unsigned(self):
        self.run_all((0, 3, 3), (0, 2, 3))

    def test_wide_inputs(self):
        self.run_all((1, 6, 6), (1, 3, 5))

    def test_wide_and_coarse_inputs(self):
        self.run_all((1, 5, 0))
        self.run_all((1, 5, -2))

    def test_finer_steps_than_a_table_has_go_towards_0(self):
        self.run_all((1, 1, 9))

    def test_every_step_of_a_table(self):
        self.run_all((1, 4, 6))

    def test_more_bits_of_a_parameter_are_cut_off(self):
        net = Net(1)
        net.quant((1, 2, 3), 'FLOOR')
        net.node('LeakyRelu', net.last, alpha=0.2)
        x = self.values(30, (1, 2, 3), 1)
        self.check(net.model([1]), x, np.where(x < 0, x * 204 / 1024, x))


class PortTest(RtlCase):
    def two(self):
        """Two inputs of single formats, of which one is flattened first, and two outputs."""
        net = Net(2, 2, name='a')
        b = net.input('b', 3)
        net.node('Reshape', 'a', net.constant([1, 4], np.int64))
        self.forms = [(1, 1, 1), (0, 0, 0), (0, 2, 1), (1, 0, 3)]
        first = net.quant(self.forms, 'RND')
        second = net.quant((0, 1, 2), 'FLOOR', x=b)
        net.node('Concat', first, second, axis=1)
        self.w = self.rng.integers(1, 4, (7, 2)) * self.rng.choice([-1.0, 1.0], (7, 2))
        sums = net.dense(self.w)
        positive = net.node('Relu', second)
        return net.model(None, {sums: [2], positive: [3]}), sums, positive

    def expected(self, a, b):
        seen = [[cast(v, f, 'RND', 'SAT') for v, f in zip(row, self.forms)] for row in a.reshape(len(a), -1)]
        other = [[cast(v, (0, 1, 2), 'FLOOR', 'SAT') for v in row] for row in b]
        return np.concatenate([seen, other], axis=1) @ self.w, np.array(other)

    def test_several_inputs_and_outputs(self):
        model, sums, positive = self.two()
        a, b = self.rng.normal(0, 2, (50, 2, 2)), self.rng.normal(0, 2, (50, 3))
        y, z = self.expected(a, b)
        result = self.check(model, {'a': a, 'b': b}, {sums: y, positive: z})
        document = json.loads((self.out / 'ports.json').read_text())
        self.assertEqual([p['name'] for p in document['inputs']], ['a', 'b'])
        self.assertEqual([p['name'] for p in document['outputs']], [sums, positive])
        widths = [e['width'] for e in document['inputs'][0]['elements']]
        self.assertEqual(widths, [3, 0, 3, 4])
        self.assertEqual([e['lsb'] for p in document['inputs'] for e in p['elements']], [0, 3, 3, 6, 10, 13, 16])
        self.assertEqual((document['inputs'][0]['rounding_mode'], document['inputs'][1]['rounding_mode']), ('RND', 'FLOOR'))
        self.assertEqual(result.inputs[0].elements[3].fractional, 3)

    def test_pipelines_give_a_result_in_every_cycle(self):
        model, sums, positive = self.two()
        a, b = self.rng.normal(0, 2, (50, 2, 2)), self.rng.normal(0, 2, (50, 3))
        y, z = self.expected(a, b)
        result = self.check(model, {'a': a, 'b': b}, {sums: y, positive: z}, latency_cutoff=1.5)
        self.assertGreater(result.cycles, 0)
        self.assertGreater(result.register_bits, 0)
        self.assertEqual(json.loads((self.out / 'ports.json').read_text())['latency_cycles'], result.cycles)

    def test_flavors(self):
        model, *_ = self.two()
        for flavor in hgq_onnx.rtl.FLAVORS:
            try:
                result = hgq_onnx.to_rtl(model, self.out / flavor, flavor=flavor, name='net')
            except hgq_onnx.RtlError as e:
                # alkaid 0.8.2 comes without the files of two flavors
                self.assertRegex(str(e), 'cannot write (hlslib|oneapi): its file .* is missing')
                continue
            self.assertGreater(len(result.files), 0, flavor)
            self.assertGreater(result.checked, 1000)
            if flavor != 'verilog':
                self.assertIsNone(result.simulated)
                self.assertIn(flavor, result.simulator)

    def test_a_folder_holds_the_last_call_alone_and_nothing_else(self):
        model, *_ = self.two()
        hgq_onnx.to_rtl(model, self.out, latency_cutoff=1.0, simulation=False)
        again = hgq_onnx.to_rtl(model, self.out, simulation=False)
        self.assertNotIn('logic1.v', [f.name for f in again.files])
        (self.out.parent / 'mine').mkdir()
        (self.out.parent / 'mine/notes.txt').write_text('')
        with self.assertRaisesRegex(hgq_onnx.RtlError, 'not empty'):
            hgq_onnx.to_rtl(model, self.out.parent / 'mine', simulation=False)

    def test_adders_for_vivado(self):
        model, sums, positive = self.two()
        a, b = self.rng.normal(0, 2, (50, 2, 2)), self.rng.normal(0, 2, (50, 3))
        y, z = self.expected(a, b)
        self.check(model, {'a': a, 'b': b}, {sums: y, positive: z}, plain_adders=False)

    def test_outputs_that_are_constant(self):
        net = Net(2)
        net.quant((1, 1, 1), 'FLOOR')
        net.dense([[1.0, 0.0], [0.0, 0.0]], [0.0, 2.5])
        x = self.values(20, (1, 1, 1), 2)
        self.check(net.model([2]), x, np.stack([x[:, 0], np.full(20, 2.5)], axis=1))

    def test_an_input_of_two_quantizers_has_a_port_for_each(self):
        net = Net(2)
        forms = [((1, 2, 1), 'RND', 'SAT'), ((0, 1, 3), 'FLOOR', 'WRAP'), ((1, 2, 1), 'RND', 'SAT')]
        parts = [net.quant(*form, x='x') for form in forms]
        net.node('Concat', *parts, axis=1)
        x = self.rng.normal(0, 2, (60, 2))
        columns = [[cast(v, *form) for v in row] for row in x for form in forms]
        result = self.check(net.model([6]), x, np.array(columns).reshape(60, 6))
        self.assertEqual([(p.name, p.rounding, p.overflow) for p in result.inputs], [('x', 'RND', 'SAT'), ('x', 'FLOOR', 'WRAP')])

    def test_the_command(self):
        from onnx import save

        from hgq_onnx.__main__ import main

        model, sums, positive = self.two()
        folder = self.out.parent
        save(model, folder / 'proxy.onnx')
        a, b = self.rng.normal(0, 2, (50, 2, 2)), self.rng.normal(0, 2, (50, 3))
        y, z = self.expected(a, b)
        np.savez(folder / 'x.npz', a=a, b=b)
        np.savez(folder / 'y.npz', **{sums: y, positive: z})
        files = [str(folder / name) for name in ('proxy.onnx', 'rtl')]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(main(['rtl', *files, '--samples', str(folder / 'x.npz'), '--expected', str(folder / 'y.npz')]), 0)
            self.assertEqual(main(['rtl', *files, '--json', '--latency-cutoff', '2', '--simulate', '0']), 0)
        self.assertIn('50 samples equal', said.getvalue())
        self.assertEqual(json.loads(said.getvalue().splitlines()[-1])['simulated'], None)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(main(['rtl', *files, '--samples', str(folder / 'y.npz')]), 1)
        self.assertIn('no arrays for a, b', said.getvalue())


class FrontEndTest(RtlCase):
    """What alkaid calls for a model of the module ``onnx``."""

    def model(self):
        net = Net(3)
        net.quant([(1, 2, 1), (0, 1, 2), (0, 0, 0)], 'RND')
        net.dense([[1.0, 2.0], [-1.5, 0.25], [3.0, 4.0]], [0.5, 0.0])
        net.node('Relu', net.last)
        net.quant((0, 3, 1), 'RND')
        return net.model([2])

    def traced(self, **kw):
        from alkaid.trace import HWConfig, trace

        from hgq_onnx.rtl.tracer import OnnxTracer

        return trace(*OnnxTracer(self.model(), HWConfig(1, 1, -1), None).trace(**kw))

    def test_ports_have_the_formats_of_the_file(self):
        logic = self.traced()
        self.assertEqual(logic.inp_kifs.T.tolist()[:2], [[1, 2, 1], [0, 1, 2]])

    def test_given_inputs_are_quantized_in_logic(self):
        logic = self.traced(inputs_kif=(1, 4, 4))
        x = self.values(200, (1, 4, 4), 3)
        q = np.array([[cast(v, f, 'RND', 'SAT') for v, f in zip(row, [(1, 2, 1), (0, 1, 2), (0, 0, 0)])] for row in x])
        y = np.maximum(q @ [[1.0, 2.0], [-1.5, 0.25], [3.0, 4.0]] + [0.5, 0.0], 0)
        expected = np.vectorize(lambda v: cast(v, (0, 3, 1), 'RND', 'SAT'))(y)
        self.assertTrue(np.array_equal(logic.predict(x), expected))

    def test_alkaid_finds_it_by_itself(self):
        from importlib.metadata import entry_points

        from alkaid.converter import trace_model
        from alkaid.trace import trace

        if not any(e.name == 'onnx' for e in entry_points(group='alir_tracer.plugins')):
            self.skipTest('hgq-onnx is on the path but not installed')
        self.assertEqual(trace(*trace_model(self.model())).shape[1], 2)


class ErrorTest(RtlCase):
    def refused(self, model, *says, **kw):
        with self.assertRaises(hgq_onnx.RtlError) as caught:
            hgq_onnx.to_rtl(model, self.out, **kw)
        for text in says:
            self.assertIn(text, str(caught.exception))
        self.assertFalse(self.out.exists())
        return caught.exception

    def test_every_unknown_operation_is_told(self):
        net = Net(3)
        net.quant((1, 2, 1))
        net.node('Softmax', net.last)
        net.node('Sin', net.last)
        error = self.refused(net.model([3]), 'Softmax `n1`', 'Sin `n2`')
        self.assertEqual(len(error.faults), 2)

    def test_faults_of_operands_are_told_together(self):
        net = Net(3)
        x = net.quant((1, 2, 1))
        net.node('Pad', x, net.constant([0, 0, 0, 1], np.int64), net.constant(1.0))
        padded = net.last
        net.node('LeakyRelu', x, alpha=-0.5)
        net.node('Concat', padded, net.last, axis=1)
        self.refused(net.model([7]), 'only padding with 0', 'alpha -0.5 is not between')

    def test_inputs_without_a_quantizer(self):
        net = Net(3)
        net.dense(np.eye(3))
        self.refused(net.model([3]), 'reads the input `x`, which has no quantizer')

    def test_other_files(self):
        net = Net(3)
        net.quant((1, 2, 1))
        model = net.model([3])
        del model.metadata_props[:]
        self.refused(model, 'not of the element-wise form', '--elementwise')

    def test_scales_that_are_no_power_of_two(self):
        net = Net(3)
        net.node('Quant', 'x', *(net.constant(v) for v in (0.3, 0.0, 4.0)), signed=1, rounding_mode='RND', overflow_mode='SAT')
        self.refused(net.model([3]), 'a scale is not a power of two')

    def test_wrong_expectations(self):
        net = Net(2)
        net.quant((1, 2, 1))
        given = {'samples': np.zeros((3, 2)), 'expected': [[0, 0], [0, 1], [0, 0]]}
        self.refused(net.model([2]), '1 numbers of the outputs that were given differ', **given)

    def test_arguments(self):
        net = Net(2)
        net.quant((1, 2, 1))
        for wrong, says in (
            ({'flavor': 'systemc'}, 'none of verilog'),
            ({'name': '2nd'}, 'no name for a module'),
            ({'name': 'logic0'}, 'no name for a module'),
            ({'latency_cutoff': 0}, 'positive'),
            ({'latency_cutoff': 3, 'flavor': 'vitis'}, 'HLS tools'),
            ({'expected': [[1]]}, 'samples'),
            ({'simulation': 0}, 'number of vectors'),
        ):
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, says):
                hgq_onnx.to_rtl(net.model([2]), self.out, **wrong)

    def test_a_wrong_translation_is_not_handed_out(self):
        from hgq_onnx.rtl import cast as casts

        net = Net(2)
        net.quant((1, 2, 3))
        net.dense(np.eye(2), [0.125, 0.25])
        net.quant((1, 2, 1), 'RND')
        with mock.patch.object(casts, 'plus', lambda v, constant: v):
            self.refused(net.model([2]), "alkaid's interpreter differ")


class WithoutAlkaidTest(unittest.TestCase):
    def test_the_error_says_what_to_install(self):
        script = (
            "import sys; sys.modules['alkaid'] = None\n"
            'import hgq_onnx\n'
            "try: hgq_onnx.to_rtl('proxy_elementwise.onnx', 'rtl')\n"
            'except hgq_onnx.HgqError as e: print(e)\n'
        )
        environment = {**os.environ, 'PYTHONPATH': str(Path(hgq_onnx.__file__).parent.parent)}
        done = subprocess.run([sys.executable, '-c', script], env=environment, capture_output=True, text=True, check=True)
        self.assertIn('pip install "hgq-onnx[rtl]"', done.stdout)


@unittest.skipUnless(ALKAID and CASES, 'HGQ_ONNX_CASES is not set, or alkaid is not installed')
class CaseTest(RtlCase):
    """Proxies that the program has written."""

    def test_they_are_exact(self):
        folders = sorted(f.parent for f in Path(CASES).glob('*/proxy_elementwise.onnx'))
        self.assertGreater(len(folders), 0)
        for folder in folders:
            with self.subTest(folder.name):
                x, y = dict(np.load(folder / 'x.npz')), np.fromfile(folder / 'y.f64')
                y = y.reshape(len(next(iter(x.values()))), -1)
                self.assertEqual(self.check(folder / 'proxy_elementwise.onnx', x, y, simulation=200).compared, len(y))


if __name__ == '__main__':
    unittest.main()
