"""Writes ONNX's own backend tests of single operators, as `pip install onnx` carries them, for a program that takes constants as
initializers and floats as inputs: NAME.onnx, and NAME.npz with x0, x1, … and y0, y1, …

    python node_cases.py FOLDER

Of every test at most two variants are written: all inputs but the first as constants, and all inputs of the first one's shape as data.
"""

import pathlib
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings("ignore")


def is_array(value) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.size > 0


def variant(case, inputs, outputs, free):
    """The model with the inputs of `free` as graph inputs, the others as initializers."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    names = [i.name for i in case.model.graph.input]
    del graph.input[:]
    graph.input.extend(i for i in case.model.graph.input if names.index(i.name) in free)
    for at, (name, value) in enumerate(zip(names, inputs)):
        if at not in free:
            graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    arrays = {f"x{n}": inputs[at].astype(np.float32) for n, at in enumerate(free)}
    arrays |= {f"y{n}": value.astype(np.float64) for n, value in enumerate(outputs)}
    return model, arrays


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    seen = set()
    for case in collect_testcases(None):
        if case.model is None or case.name in seen or case.name.endswith("_expanded"):
            continue
        inputs, outputs = case.data_sets[0]
        inputs, outputs = list(inputs), list(outputs)
        floats = inputs and all(map(is_array, inputs + outputs)) and inputs[0].dtype == np.float32 and inputs[0].ndim > 0
        if not floats or len(inputs) != len(case.model.graph.input):
            continue
        seen.add(case.name)
        alike = [at for at, x in enumerate(inputs) if x.dtype == np.float32 and x.shape == inputs[0].shape]
        for suffix, free in [("", [0]), ("__all", alike)]:
            if suffix and len(free) < 2:
                continue
            model, arrays = variant(case, inputs, outputs, free)
            (folder / f"{case.name}{suffix}.onnx").write_bytes(model.SerializeToString())
            np.savez(folder / f"{case.name}{suffix}.npz", **arrays)


main()
