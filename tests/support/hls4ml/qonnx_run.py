"""Executes a QONNX file as it is with qonnx, before its Softmax.

usage: qonnx_run.py MODEL.onnx INPUTS OUTPUTS
INPUTS is raw float32 (one sample after another), OUTPUTS becomes raw float32. The batch is set to the number of samples.
"""

import sys

import numpy as np
import onnx
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

GENERAL = 'qonnx.custom_op.general'


def main(model_file, inputs, outputs):
    model = onnx.load(model_file)
    graph = model.graph
    # qonnx knows the operators under one domain only
    for node in graph.node:
        if node.domain in ('onnx.brevitas', 'finn.custom_op.general'):
            node.domain = GENERAL
    if all(opset.domain != GENERAL for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(GENERAL, 1))
    output = graph.output[0]
    last = next(node for node in graph.node if output.name in node.output)
    if last.op_type == 'Softmax':
        output.name = last.input[0]
        graph.node.remove(last)
    constants = {tensor.name for tensor in graph.initializer}
    source = next(value for value in graph.input if value.name not in constants)
    shape = [dim.dim_value for dim in source.type.tensor_type.shape.dim]
    x = np.fromfile(inputs, dtype='<f4').reshape([-1] + shape[1:])
    for value in (source, output):
        batch = value.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_value = len(x)
    del graph.value_info[:]
    result = execute_onnx(ModelWrapper(model).transform(InferShapes()), {source.name: x})
    result[output.name].astype('<f4').tofile(outputs)


if __name__ == '__main__':
    main(*sys.argv[1:])
