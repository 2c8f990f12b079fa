#!/usr/bin/env python3
"""What becomes of a folder of ONNX files: converted or refused and why, time, memory and exactness.

    corpus.py FOLDER --out OUT [--only NAME …] [--compile N] [--table]

Every file is converted with `--epochs 0` on random inputs. What is measured:

* seconds and peak memory of that conversion;
* the largest difference of the imported model (`examples/imported.rs`) to onnxruntime (to qonnx
  where the file is annotated), as a share of the standard deviation of the outputs;
* with `--compile N`: converted files, drawn with a fixed seed until N of them are compiled within
  the time, go through hls4ml, and every element is compared with `hgq-onnx verify --outputs`.

Results are in OUT/results.json after each file; a second start goes on where the first one ended.
The summary goes to stdout. Nothing is fetched. Needs onnx, onnxruntime, qonnx, and hls4ml for
`--compile`, and `cargo build --release --bin hgq-onnx --example imported`. docs/models.md is made
with it: `--table` prints the rows.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

# Samples for ordinary inputs, and for those of more than LARGE elements.
SAMPLES, FEW, LARGE = 200, 2, 1 << 14
# Samples that the slow executors (qonnx, compiled hls4ml) compute.
COMPARED = 20
# Seconds after which a command is given up, and after which hls4ml is (a circuit of some hundred
# thousand multipliers is too large for a C++ compiler).
LIMIT, COMPILE_LIMIT = 900, 420
# Import differences up to this share of the outputs' spread count as equal.
EQUAL = 1e-4
# Waits for a program and tells its peak memory in GB.
WAIT = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, file=sys.stderr)
sys.exit(status if status >= 0 else 128 - status)
"""
CHECK = Path(__file__).parent.parent / 'tests' / 'support' / 'hls4ml' / 'check.py'


def run(*command, limit=LIMIT):
    """Exit status (None: given up), stdout, stderr and seconds of a command."""
    started, pipe = time.monotonic(), subprocess.PIPE
    # a group of its own: what the command starts is given up with it
    child = subprocess.Popen([str(part) for part in command], stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return None, '', f'given up after {limit} s', limit
    return child.returncode, out, err, time.monotonic() - started


def random_inputs(tensors, samples, integers=()):
    """Values like standardised features, on the grid 2^-10; from −100 to 100 for `integers`."""
    rng = np.random.default_rng(1)

    def values(tensor):
        x = rng.normal(size=(samples, *tensor['shape']))
        whole = tensor['name'] in integers
        return (np.clip(np.round(x * 40), -100, 100) if whole else np.round(x * 512) / 1024).astype(np.float32)

    return {t['name']: values(t) for t in tensors}


def integer_inputs(path):
    """Names of the inputs that take integers."""
    import onnx

    floats = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16
    return [i.name for i in onnx.load(path).graph.input if i.type.tensor_type.elem_type not in floats]


class Source:
    """The file as other tools execute it."""

    def __init__(self, path, outputs):
        """`outputs`: names of the tensors that the import ends in."""
        import onnx

        self.model = onnx.load(path)
        graph = self.model.graph
        self.annotated = any(node.op_type in ('Quant', 'BipolarQuant', 'Trunc') for node in graph.node)
        known = {i.name for i in graph.initializer}
        self.inputs = [i for i in graph.input if i.name not in known]
        # the import may end in front of what decodes its scores, or of a Softmax's quantizer
        told = {o.name: o for o in [*graph.value_info, *graph.output]}
        del graph.output[:]
        for name in map(self._unquantized, outputs):
            graph.output.append(told.get(name) or onnx.ValueInfoProto(name=name))
        if self.annotated:
            from qonnx.core.modelwrapper import ModelWrapper
            from qonnx.transformation.infer_shapes import InferShapes

            for given in self.inputs:
                for dim in given.type.tensor_type.shape.dim:
                    dim.dim_value = dim.dim_value or 1
            self.wrapped = ModelWrapper(self.model).transform(InferShapes())
        else:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            # what the file says, not what is fused out of it: those round elsewhere
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            self.session = onnxruntime.InferenceSession(
                self.model.SerializeToString(), options, providers=['CPUExecutionProvider']
            )

    def _unquantized(self, name):
        """The Softmax whose quantized values are the output `name`, else `name`."""
        makers = {o: node for node in self.model.graph.node for o in node.output}
        at = name
        while (node := makers.get(at)) is not None and node.op_type in ('QuantizeLinear', 'DequantizeLinear'):
            at = node.input[0]
        return at if node is not None and node.op_type == 'Softmax' else name

    def execute(self, data, at):
        """All outputs for sample `at`, flat."""
        from onnx import helper

        feed, batch = {}, 1
        for given in self.inputs:
            kind = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
            shape = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
            sample = data[given.name][at]
            batch = int(np.prod(shape)) // sample.size
            # an integer port's own values; a file of a fixed batch gets copies of the sample
            feed[given.name] = np.concatenate([sample.ravel()] * batch).reshape(shape).astype(kind)
        if self.annotated:
            from qonnx.core import onnx_exec

            found = onnx_exec.execute_onnx(self.wrapped, feed)
            outputs = [found[o.name] for o in self.wrapped.graph.output]
        else:
            outputs = self.session.run(None, feed)
        flat = [np.asarray(o, dtype=np.float64).ravel() for o in outputs]
        return [o[: o.size // batch] for o in flat]


def import_difference(programs, path, folder, data):
    """Largest difference of the imported model to the file's own execution, by the outputs' spread."""
    few = {k: v[:COMPARED] for k, v in data.items()}
    np.savez(folder / 'few.npz', **few)
    status, _, err, _ = run(programs / 'examples' / 'imported', path, folder / 'few.npz', folder / 'few_y.npz')
    if status != 0:
        raise RuntimeError(err.strip()[-300:])
    found = dict(np.load(folder / 'few_y.npz'))
    source, got = Source(path, list(found)), list(found.values())
    rows = [source.execute(few, at) for at in range(len(got[0]))]
    want = [np.stack([row[o] for row in rows]) for o in range(len(rows[0]))]
    if [w.shape for w in want] != [g.shape for g in got]:
        raise RuntimeError(f'outputs {[w.shape for w in want]} in the file, {[g.shape for g in got]} in the import')
    spread = lambda w: w.std() or np.abs(w).max() or 1.0
    return max(float(np.abs(w - g).max() / spread(w)) for w, g in zip(want, got))


def one(programs, path, folder):
    """Everything about one file but hls4ml."""
    program = programs / 'hgq-onnx'
    folder.mkdir(parents=True, exist_ok=True)
    status, out, err, _ = run(program, 'inspect', '--json', path)
    told = json.loads(out) if out.startswith('{') else {}
    if not told.get('supported'):
        reasons = [f'{n["op"]}: {n["reason"]}' for n in told.get('unsupported', [])]
        return {'result': 'refused', 'why': sorted(set(reasons)) or [told.get('reason') or err.strip() or out]}
    large = max(int(np.prod(t['shape'])) for t in told['inputs']) > LARGE
    data = random_inputs(told['inputs'], FEW if large else SAMPLES, integer_inputs(path))
    np.savez(folder / 'inputs.npz', **data)
    shutil.rmtree(folder / 'proxy', ignore_errors=True)
    convert = [program, 'convert', path, '--calibration', folder / 'inputs.npz', '--epochs', 0, '--out', folder / 'proxy']
    status, _, err, seconds = run(sys.executable, '-c', WAIT, *convert)
    row = {'seconds': round(seconds, 1)}
    if status is None:
        return {**row, 'result': 'given up'}
    err, _, memory = err.rstrip().rpartition('\n')
    row['memory'] = round(float(memory), 2)
    # status 1 with a proxy: written, and the report says what is wrong with it (random inputs may
    # leave a net with one answer)
    if not (folder / 'proxy' / 'proxy.onnx').exists():
        return {**row, 'result': 'refused' if status < 100 else 'crash', 'why': [err.rpartition('error: ')[2].strip()]}
    report = json.loads((folder / 'proxy' / 'report.json').read_text())
    codes = list(dict.fromkeys(w['code'] for w in report['warnings']))
    row |= {'result': 'converted', 'ebops': report['ebops'], 'nodes': report['proxy']['nodes'], 'warnings': codes}
    try:
        row['difference'] = import_difference(programs, path, folder, data)
    except Exception as fault:  # whatever stops an oracle is a line of the table
        row['oracle'] = f'{type(fault).__name__}: {fault}'[:400]
    return row


def compiled(programs, folder):
    """Elements and mismatches of a proxy in hls4ml on random inputs in the proxy's own layout."""
    import onnx

    program = programs / 'hgq-onnx'
    proxy = folder / 'proxy' / 'proxy.onnx'
    graph = onnx.load(proxy).graph
    sizes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim][1:] for i in graph.input}
    samples = FEW if max(int(np.prod(s)) for s in sizes.values()) > LARGE else COMPARED
    data = random_inputs([{'name': n, 'shape': s} for n, s in sizes.items()], samples)
    # every second sample is far beyond the calibrated range: values saturate there
    for x in data.values():
        x[1::2] *= 4
    np.savez(folder / 'hls_x.npz', **data)
    outputs = folder / 'hls_y.npz'
    status, _, err, _ = run(program, 'verify', proxy, '--inputs', folder / 'hls_x.npz', '--layout', 'proxy', '--outputs', outputs)
    if status != 0:
        return {'error': err.strip()[-400:]}
    job = {'proxy': str(proxy), 'inputs': [], 'samples': samples, 'expected': {}}
    for name in sizes:
        file = folder / f'hls_in{len(job["inputs"])}.raw'
        data[name].astype('<f4').tofile(file)
        job['inputs'].append(str(file))
    for at, (name, values) in enumerate(np.load(outputs).items()):
        values.astype('<f8').tofile(folder / f'hls_out{at}.raw')
        job['expected'][name] = str(folder / f'hls_out{at}.raw')
    job['settings'] = json.loads((folder / 'proxy' / 'hls4ml_config.json').read_text())
    (folder / 'hls.json').write_text(json.dumps(job))
    # the C++ of large tensors has them on the stack
    roomy = ['bash', '-c', 'ulimit -s unlimited; exec "$@"', '-']
    status, out, err, seconds = run(*roomy, sys.executable, CHECK, folder / 'hls.json', limit=COMPILE_LIMIT)
    told = json.loads(out.strip().split('\n')[-1]) if status == 0 else {'error': err[-400:]}
    return {**told, 'seconds': round(seconds)}


def summary(rows, total):
    """The figures that docs/models.md states."""
    converted = {n: r for n, r in rows.items() if r['result'] == 'converted'}
    print(f'{len(converted)} of {total} files convert ({100 * len(converted) / max(total, 1):.0f} %)')
    same = [n for n, r in converted.items() if r.get('difference') is not None and r['difference'] <= EQUAL]
    print(f'{len(same)} of them differ by at most {EQUAL:g} of the outputs’ spread from onnxruntime or qonnx')
    for name, row in converted.items():
        if name not in same:
            print(f'  {name}: {row.get("oracle") or row["difference"]}')
    tried = {n: r['hls4ml'] for n, r in converted.items() if 'hls4ml' in r}
    ended = {n: v for n, v in tried.items() if 'error' not in v}
    wrong = sum(v['mismatches'] for v in ended.values())
    print(f'{len(ended)} of {len(tried)} tried are compiled by hls4ml: {wrong} of {sum(v["elements"] for v in ended.values())} elements differ')
    for name, verdict in tried.items():
        if verdict.get('mismatches') != 0:
            print(f'  {name}: {verdict}')
    for name, row in rows.items():
        if row.get('seconds', 0) > 120 or row.get('memory', 0) > 4:
            print(f'  {name}: {row["seconds"]} s, {row.get("memory")} GB')


def table(rows):
    """Rows for docs/models.md."""
    for name, row in sorted(rows.items()):
        if row['result'] == 'converted':
            difference = f'{row["difference"]:.0e}' if 'difference' in row else 'not run'
            print(f'| `{name}` | converted | {row["nodes"]} | {row["ebops"]} | {difference} | {", ".join(row["warnings"])} |')
        else:
            print(f'| `{name}` | {row["result"]} | | | | {"; ".join(row.get("why", [])).replace("|", "/")} |')


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('folder', type=Path)
    arguments.add_argument('--out', type=Path, required=True)
    arguments.add_argument('--only', nargs='*')
    arguments.add_argument('--compile', type=int, default=0)
    arguments.add_argument('--table', action='store_true')
    arguments.add_argument('--programs', type=Path, default=Path('target/release'))
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / 'results.json'
    rows = json.loads(results.read_text()) if results.exists() else {}
    files = {path.stem: path for path in sorted(given.folder.glob('**/*.onnx'))}

    def keep(name, row):
        rows[name] = row
        results.write_text(json.dumps(rows, indent=1))
        print(name, row, file=sys.stderr, flush=True)

    for name in given.only or files:
        if name not in rows or given.only:
            keep(name, one(given.programs, files[name], given.out / name))
    converted = sorted(n for n, r in rows.items() if r['result'] == 'converted')
    for name in random.Random(1).sample(converted, len(converted)):
        if sum('mismatches' in row.get('hls4ml', {}) for row in rows.values()) >= given.compile:
            break
        if 'hls4ml' not in rows[name]:
            keep(name, {**rows[name], 'hls4ml': compiled(given.programs, given.out / name)})
    table(rows) if given.table else summary(rows, len(files))


if __name__ == '__main__':
    main()
