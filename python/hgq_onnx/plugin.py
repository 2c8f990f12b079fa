"""The hls4ml plug-in for ``proxy_elementwise.onnx``: every element of a tensor gets its own ``ap_fixed`` cast.

hls4ml loads it by its own mechanism (entry point group ``hls4ml.backends``, or ``HLS4ML_BACKEND_PLUGINS=hgq_onnx.plugin``). It acts on
files that say in their metadata that they are of this form, and on nothing else: every other model goes the stock way.

hls4ml has a layer for casts of single elements, ``FixedPointQuantizer``, and a pass that derives all other types from them and from
the weights, ``bit_exact``; both are there for HGQ models from Keras. Three passes lead ONNX to them:

1. before ``parse_qonnx``: each activation ``Quant`` becomes a ``FixedPointQuantizer``,
2. before ``bit_exact``: tensors are called like the layers that write them, as ``bit_exact`` looks layers up by tensor names,
3. behind ``bit_exact``: quantizers that came out as constant zeros are kept as code. hls4ml would fuse them into the layer in front as a
   type of one bit, which can hold something else than 0.

How ``bit_exact`` narrows a cast is replaced for these casts (:mod:`hgq_onnx.narrow` says why). Casts of other models are narrowed as
before.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from hgq_onnx.narrow import narrowed
from hgq_onnx.settings import is_elementwise

# rounding_mode of the file -> AP_ mode of ap_fixed
_ROUNDING = {'FLOOR': 'TRN', 'ROUND': 'RND_CONV', 'RND': 'RND', 'RND_MIN_INF': 'RND_MIN_INF'}
_OVERFLOW = ('SAT', 'SAT_SYM', 'WRAP')

# attribute of the casts that this plug-in makes
_OWN = 'hgq_onnx_cast'

_QUANT_PASS = 'hgq_onnx_quant_to_fixed_point_quantizer'
_NAMES_PASS = 'hgq_onnx_name_tensors_after_layers'
_ZEROS_PASS = 'hgq_onnx_keep_zeros'


def register(register_backend: Any = None, register_writer: Any = None) -> None:
    """Adds the passes to hls4ml's flows; a second call does nothing.

    Args:
        register_backend: hls4ml's function to add a backend; not needed, the casts work with those that hls4ml has.
        register_writer: The same for writers.
    """
    from hls4ml.model.flow.flow import get_flow
    from hls4ml.model.layers import Constant, Quant
    from hls4ml.model.optimizer import ModelOptimizerPass, OptimizerPass, get_available_passes, register_pass
    from hls4ml.model.optimizer.passes import bit_exact
    from hls4ml.model.optimizer.passes.hgq_proxy_model import FixedPointQuantizer

    if _QUANT_PASS in get_available_passes():
        return

    class QuantToFixedPointQuantizer(OptimizerPass):
        def match(self, node: Any) -> bool:
            if not isinstance(node, Quant) or len(node.inputs) != 4:
                return False
            on_data = not isinstance(node.get_input_node(node.inputs[0]), Constant)
            return on_data and _source(node.model) is not None

        def transform(self, model: Any, node: Any) -> bool:
            _replace_quant(model, node)
            return True

    class NameTensorsAfterLayers(ModelOptimizerPass):
        def __init__(self) -> None:
            pass

        def transform(self, model: Any) -> bool:
            if _source(model) is not None:
                _name_tensors_after_layers(model)
            return False

    class KeepZeros(ModelOptimizerPass):
        def __init__(self) -> None:
            pass

        def transform(self, model: Any) -> bool:
            if _source(model) is not None:
                for layer in model.graph.values():
                    if layer.class_name == 'FixedPointQuantizer' and not np.any(layer.mask_kbi[1]):
                        # what has not been through bit_exact is not fused
                        layer.attributes['bit_exact_transformed'] = False
            return False

    stock = bit_exact._produce_kif.dispatch(FixedPointQuantizer)

    def produce_kif(layer: Any) -> Any:
        if not layer.attributes.get(_OWN, False):
            return stock(layer)
        source = bit_exact.produce_kif(bit_exact.get_input_layers(layer)[0])
        sign, width, integer = (a[0].astype(np.int64) for a in layer.mask_kbi)
        kif = narrowed((sign, integer - sign, width - integer), source, layer.RND, layer.SAT)
        k, i, f = (a.astype(np.int16) for a in kif)
        layer.mask_kbi = (k[None], (k + i + f)[None], (k + i)[None])
        return k, i, f

    bit_exact._produce_kif.register(FixedPointQuantizer, produce_kif)
    register_pass(_QUANT_PASS, QuantToFixedPointQuantizer)
    register_pass(_NAMES_PASS, NameTensorsAfterLayers)
    register_pass(_ZEROS_PASS, KeepZeros)
    get_flow('parse_qonnx').optimizers.insert(0, _QUANT_PASS)
    convert = get_flow('convert').optimizers
    convert.insert(convert.index('bit_exact'), _NAMES_PASS)
    convert.insert(convert.index('bit_exact') + 1, _ZEROS_PASS)


def _source(model: Any) -> Any:
    """The ONNX file that a model graph is made from, if it is of the element-wise form."""
    source = model.config.config.get('OnnxModel')
    if isinstance(source, (str, os.PathLike)):
        import onnx

        source = onnx.load(os.fspath(source))
        model.config.config['OnnxModel'] = source
    return source if source is not None and is_elementwise(source) else None


def _attributes(model: Any, name: str) -> dict[str, Any]:
    """Attributes of a node of the file: hls4ml's reader keeps only those that stock models have."""
    from onnx import helper

    node = next(n for n in _source(model).graph.node if n.name == name)
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _replace_quant(model: Any, node: Any) -> None:
    """Puts a ``FixedPointQuantizer`` in the place of a ``Quant``.

    Its ``mask_kbi`` are sign, width (with sign) and integer bits (with sign) per element, shape ``(1, *sample)``, int16.
    """
    given = _attributes(model, node.name)
    scale, zero, width = (np.asarray(model.graph[i].get_attr('value')) for i in node.inputs[1:4])
    shape = tuple(node.get_input_variable(node.inputs[0]).shape)
    overflow = given.get('overflow_mode')
    rounding = _ROUNDING.get(given.get('rounding_mode', ''))
    if overflow not in _OVERFLOW or rounding is None:
        raise ValueError(f'{node.name}: rounding {given.get("rounding_mode")} and overflow {overflow} are not known to this plug-in')
    if np.any(zero != 0):
        raise ValueError(f'{node.name}: the zero point is not 0')
    mantissa, exponent = np.frexp(scale.astype(np.float64))
    if np.any(mantissa != 0.5):
        raise ValueError(f'{node.name}: a scale is not a power of two')
    signed = np.full(width.shape, int(given.get('signed', 1)))
    if 'keep_negative' in given:
        signed = np.asarray(given['keep_negative']).reshape(width.shape)
    bits, fraction, sign = (np.broadcast_to(a, shape) for a in (width.astype(np.int64), 1 - exponent, signed))
    dead = bits == 0
    mask = (np.where(dead, 0, sign), bits, np.where(dead, 0, bits - fraction))
    attributes = {
        # the code that calls a cast is written from this
        'name': node.name,
        'mask_kbi': tuple(a.astype(np.int16)[None] for a in mask),
        'RND': rounding,
        'SAT': overflow,
        'overrides': {},
        'fusible': None,
        _OWN: True,
    }
    new = model.make_node('FixedPointQuantizer', node.name, attributes, [node.inputs[0]], list(node.outputs))
    for name in node.inputs[1:4]:
        model.remove_node(model.graph[name])
    node.inputs = node.inputs[:1]
    model.replace_node(node, new)


def _name_tensors_after_layers(model: Any) -> None:
    """Gives every tensor the name of its layer; those of the ONNX reader are the file's."""
    renamed = {}
    for layer in model.graph.values():
        if len(layer.outputs) != 1 or layer.outputs[0] == layer.name:
            continue
        old, new = layer.outputs[0], layer.name
        variable = layer.attributes[old]
        del layer.attributes[old]
        layer.outputs[0] = new
        layer.attributes[new] = variable
        model.output_vars.pop(old, None)
        model.output_vars[new] = variable
        renamed[old] = new
    for layer in model.graph.values():
        # the reader leaves an empty name where it took a constant shape away
        layer.inputs = [renamed.get(name, name) for name in layer.inputs if name]
    model.outputs = [renamed.get(name, name) for name in model.outputs]
