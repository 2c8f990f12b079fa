"""alkaid's front end for ONNX: ``alkaid.converter.trace_model(onnx.load("proxy_elementwise.onnx"))``.

alkaid finds it by the entry point group ``alir_tracer.plugins``; this module is imported there only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from alkaid.converter.plugin import ALIRTracerPluginBase
from alkaid.trace import FVArray

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl import graph as files
from hgq_onnx.rtl import ports
from hgq_onnx.rtl.products import Products
from hgq_onnx.rtl.trace import known, operator_set, variables
from hgq_onnx.rtl.walk import Walk


class OnnxTracer(ALIRTracerPluginBase):
    """Traces an ``onnx.ModelProto`` of the element-wise form.

    Without inputs they have the formats of the quantizers that read them. Inputs that are given
    have the shape of one sample, and these quantizers are part of the logic.
    """

    def __init__(self, model: Any, hwconf: Any, solver_options: Any = None, **kwargs: Any):
        super().__init__(model, hwconf, solver_options, **kwargs)
        self._graph = files.read(model)
        self._ports: dict[str, np.ndarray] | None = None

    def get_input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one sample."""
        return [shape[1:] for shape in self._graph.inputs.values()]

    def trace(self, verbose: bool = False, inputs: Any = None, inputs_kif: Any = None, dump: bool = False) -> Any:
        """As in alkaid; see the class for inputs that are not given."""
        self._ports = None
        if inputs is None and inputs_kif is None:
            found = ports.entries(self._graph)
            inputs = tuple(variables(entry, self.hwconf, self.solver_options) for entry in found)
            self._ports = known(found, inputs)
        return super().trace(verbose=verbose, inputs=inputs, inputs_kif=inputs_kif, dump=dump)

    def apply_model(self, verbose: bool, inputs: tuple[FVArray, ...]) -> tuple[dict[str, FVArray], list[str]]:
        """The outputs by name."""
        given = self._given(inputs) if self._ports is None else self._ports
        walk = Walk(self._graph, Products(self.solver_options), operator_set(self.model))
        results = walk.run(given)
        made = {name: FVArray(values[0], self.solver_options, self.hwconf) for name, values in results.items()}
        return made, list(made)

    def _given(self, inputs: tuple[FVArray, ...]) -> dict[str, np.ndarray]:
        shapes = self._graph.inputs
        if len(inputs) != len(shapes):
            raise RtlError(f'{len(inputs)} inputs, the model has {len(shapes)}')
        given = {}
        for (name, shape), array in zip(shapes.items(), inputs, strict=True):
            values = np.asarray(array).reshape(shape)
            if any(v.low > v.high for v in values.ravel()):
                raise RtlError(f'input `{name}` has no format: leave the inputs away, or make them with FVArray.from_kif')
            given[name] = np.array([float(v.low) if v.low == v.high else v for v in values.ravel()], object).reshape(shape)
        return given
