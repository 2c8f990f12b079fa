"""What only moves elements: ONNX's own reference says where each one comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hgq_onnx.rtl.graph import Node

OPS = (
    'Concat',
    'Flatten',
    'Gather',
    'Identity',
    'Pad',
    'Reshape',
    'Slice',
    'Split',
    'Squeeze',
    'Transpose',
    'Unsqueeze',
)
# place of a 0 that pads
_NOTHING = -1


def moved(node: Node, data: Sequence[np.ndarray], parameters: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """The node's results.

    Args:
        node: One of ``OPS``.
        data: Tensors whose elements move.
        parameters: The other operands, ``None`` for those left out.
        opset: Version of the operator set of the file.

    Raises:
        ValueError: The node pads with something else than 0, or does not fit its operands.
    """
    ends = np.cumsum([0, *(d.size for d in data)])
    places = [np.arange(at, at + d.size, dtype=np.int64).reshape(d.shape) for at, d in zip(ends, data, strict=False)]
    given = list(parameters)
    if node.op == 'Pad':
        if node.attributes.get('mode', 'constant') != 'constant' or (len(given) > 1 and given[1] is not None and np.any(given[1] != 0)):
            raise ValueError('only padding with 0 is in the element-wise form')
        given[1:2] = [np.array(_NOTHING, np.int64)]
    pool = np.concatenate([d.reshape(-1) for d in data] or [np.empty(0, object)])
    found = []
    for places_of in _run(node, [*places, *given], opset):
        if places_of.shape[:1] != (1,):
            raise ValueError('it moves elements between samples: the first axis of its result is not 1')
        made = np.empty(places_of.shape, object)
        made[...] = 0.0
        inside = places_of != _NOTHING
        made[inside] = pool[places_of[inside]]
        found.append(made)
    return found


def _run(node: Node, operands: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    names = [f'x{at}' if o is not None else '' for at, o in enumerate(operands)]
    outputs = [f'y{at}' for at in range(len(node.outputs))]
    proto = helper.make_node(node.op, names, outputs, **node.attributes)
    present: list[tuple[str, Any]] = [(n, o) for n, o in zip(names, operands, strict=True) if o is not None]
    values = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(o.dtype), o.shape) for n, o in present]
    results = [helper.make_tensor_value_info(n, TensorProto.INT64, None) for n in outputs]
    graph = helper.make_graph([proto], 'move', values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)])
    try:
        return ReferenceEvaluator(model).run(None, dict(present))
    except Exception as e:
        raise ValueError(f'it does not fit its operands ({e})') from e
