"""Converts proxies with stock hls4ml, the way its documentation says, compiles the C++, and compares every element.

usage: check.py JOB.json ...
A job is {"proxy": file, "inputs": [raw float32 file of each graph input], "samples": n, "expected": {output name: raw float64 file}}
and, where they are not the defaults, "settings": the content of hls4ml_config.json, where the proxy asks for a wider input port, "port": "fixed<W,I>".
One line of JSON per job goes to standard output:
{"elements": n, "mismatches": m, "first": ..., "layers": l, "distributed": d} or {"error": ...}. l counts layers with a constant matrix (dense ones, convolutions but for depthwise ones), d those of them that hold code of distributed arithmetic.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
import traceback

import numpy as np


def lay(config, over):
    for key, value in over.items():
        if isinstance(value, dict):
            lay(config.setdefault(key, {}), value)
        else:
            config[key] = value


def predict(job, directory):
    import hls4ml
    import onnx

    model = onnx.load(job['proxy'])
    settings = job.get('settings') or {}
    backend = settings.get('backend', 'Vitis')
    config = hls4ml.utils.config_from_onnx_model(model, granularity='name', backend=backend, default_precision='fixed<32,16>')
    lay(config, settings.get('hls_config', {}))
    if job.get('port'):
        for source in model.graph.input:
            config['LayerName'][source.name].setdefault('Precision', {})['result'] = job['port']
    converted = hls4ml.converters.convert_from_onnx_model(
        model,
        output_dir=directory,
        project_name='proxy',
        backend=backend,
        io_type=settings.get('io_type', 'io_parallel'),
        hls_config=config,
    )
    converted.write()
    # only speed: the C++ is compiled once and run on a few hundred samples
    script = os.path.join(directory, 'build_lib.sh')
    with open(script) as handle:
        text = handle.read()
    with open(script, 'w') as handle:
        handle.write(text.replace('-O3', '-O1'))
    converted._compile()
    data = []
    for source, file in zip(model.graph.input, job['inputs'], strict=True):
        shape = [d.dim_value for d in source.type.tensor_type.shape.dim]
        x = np.fromfile(file, dtype='<f4').reshape([job['samples']] + shape[1:])
        # doubles in and out, so that wide types stay exact
        data.append(np.ascontiguousarray(x, dtype=np.float64))
    # hls4ml numbers its inputs itself
    names = [source.name for source in model.graph.input]
    # Quartus has them in a structure: inputs.x
    order = [names.index(v.name.split('.')[-1]) for v in converted.get_input_variables()] if len(data) > 1 else [0]
    y = converted.predict([data[n] for n in order] if len(data) > 1 else data[0])
    return [o.name for o in model.graph.output], y if isinstance(y, list) else [y], matrices(converted)


def matrices(converted):
    from hls4ml.model.layers import Conv1D, Conv2D, Dense, DepthwiseConv1D, DepthwiseConv2D

    found = [layer for layer in converted.get_layers() if isinstance(layer, (Dense, Conv1D, Conv2D))]
    found = [layer for layer in found if not isinstance(layer, (DepthwiseConv1D, DepthwiseConv2D))]
    return {'layers': len(found), 'distributed': sum('da_codegen' in layer.attributes for layer in found)}


def check(job):
    log = io.StringIO()
    try:
        with tempfile.TemporaryDirectory(prefix='hls4ml_') as directory, contextlib.redirect_stdout(log):
            names, results, counts = predict(job, directory)
    except Exception:
        return {'error': traceback.format_exc()[-1500:] + log.getvalue()[-500:]}
    report = {'elements': 0, 'mismatches': 0, 'first': None, **counts}
    if sorted(names) != sorted(job['expected']) or len(results) != len(names):
        return {'error': f'outputs {names}, {len(results)} results, expected {sorted(job["expected"])}'}
    for name, got in zip(names, results):
        want = np.fromfile(job['expected'][name], dtype='<f8').reshape(job['samples'], -1)
        got = np.asarray(got, dtype=np.float64).reshape(job['samples'], -1)
        if got.shape != want.shape:
            return {'error': f'{name}: shape {got.shape} instead of {want.shape}'}
        bad = np.argwhere(got != want)
        report['elements'] += want.size
        report['mismatches'] += len(bad)
        if len(bad) and report['first'] is None:
            s, e = (int(v) for v in bad[0])
            report['first'] = f'{name} sample {s} element {e}: {got[s, e]!r} instead of {want[s, e]!r}'
    return report


for path in sys.argv[1:]:
    with open(path) as handle:
        line = json.dumps(check(json.load(handle)))
    print(line, flush=True)
