"""``convert_proxy`` and the plug-in with hls4ml.

``HGQ_ONNX_CASE`` is a folder with what ``hgq-onnx convert --elementwise sat`` leaves, and with ``x.npy`` and ``y.npy`` (float64): inputs and
what the proxy gives for them.
"""

import contextlib
import filecmp
import io
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import numpy as np

import hgq_onnx

CASE = os.environ.get('HGQ_ONNX_CASE')

# the call of the README of hgq-onnx, word for word, in a process that knows nothing of this package
STOCK = """
import hls4ml, onnx, sys
model = onnx.load(sys.argv[1])
config = hls4ml.utils.config_from_onnx_model(model, granularity="name", backend="Vitis", default_precision="fixed<32,16>")
hls = hls4ml.converters.convert_from_onnx_model(model, hls_config=config, backend="Vitis", output_dir=sys.argv[2], project_name="proxy")
hls.write()
"""


def quiet():
    return contextlib.redirect_stdout(io.StringIO())


def compiled(model):
    """Compiles at -O1: only speed, the C++ runs on a few hundred samples."""
    with quiet():
        model.write()
        script = Path(model.config.get_output_dir()) / 'build_lib.sh'
        script.write_text(script.read_text().replace('-O3', '-O1'))
        model._compile()
    return model


def firmware(folder):
    """Relative paths of the generated sources."""
    root = Path(folder) / 'firmware'
    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())


@unittest.skipUnless(CASE, 'HGQ_ONNX_CASE is not set')
class Hls4mlTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.case = Path(CASE)
        self.x, self.y = (np.load(self.case / f'{name}.npy') for name in 'xy')

    def mismatches(self, model):
        got = np.asarray(compiled(model).predict(np.ascontiguousarray(self.x, dtype=np.float64)), dtype=np.float64)
        self.assertEqual(got.size, self.y.size)
        return int(np.sum(got.reshape(self.y.shape) != self.y))

    def test_the_stock_path(self):
        with quiet():
            model = hgq_onnx.convert_proxy(self.case / 'proxy.onnx', output_dir=self.folder / 'hls')
        self.assertEqual(self.mismatches(model), 0)

    def test_the_plug_in(self):
        with quiet():
            model = hgq_onnx.convert_proxy(self.case / 'proxy_elementwise.onnx', output_dir=self.folder / 'hls')
        self.assertEqual(self.mismatches(model), 0)
        casts = (self.folder / 'hls/firmware/nnet_utils/nnet_code_gen.h').read_text().count(',AP_RND,AP_SAT>(inp[')
        self.assertGreater(casts, 32, 'one cast per element')

    def test_stock_models_do_not_notice_the_plug_in(self):
        outs = []
        for plugins in ('', 'hgq_onnx.plugin'):
            out = self.folder / f'hls{len(outs)}'
            env = {**os.environ, 'HLS4ML_BACKEND_PLUGINS': plugins, 'PYTHONPATH': str(Path(hgq_onnx.__file__).parent.parent)}
            command = [sys.executable, '-c', STOCK, str(self.case / 'proxy.onnx'), str(out)]
            subprocess.run(command, env=env, check=True, capture_output=True)
            outs.append(out)
        plain, loaded = outs
        self.assertEqual(firmware(plain), firmware(loaded))
        self.assertGreater(len(firmware(plain)), 20)
        different = filecmp.cmpfiles(plain / 'firmware', loaded / 'firmware', firmware(plain), shallow=False)[1:]
        self.assertEqual(different, ([], []))

    def test_settings_reach_hls4ml(self):
        over = {'LayerName': {'image': {'Precision': {'result': 'fixed<20,8>'}}}}
        with quiet():
            model = hgq_onnx.convert_proxy(
                self.case / 'proxy.onnx',
                output_dir=self.folder / 'hls',
                backend='Vivado',
                strategy='Resource',
                reuse_factor=2,
                hls_config=over,
                clock_period=7,
            )
        config = model.config
        self.assertEqual((config.get_config_value('Backend'), config.get_config_value('ClockPeriod')), ('Vivado', 7))
        dense = next(layer for layer in model.get_layers() if layer.class_name == 'Dense')
        self.assertEqual(dense.get_attr('strategy').lower(), 'resource')
        port = next(iter(model.get_input_variables())).type.precision
        self.assertEqual((port.width, port.integer), (20, 8))

    def test_distributed_arithmetic_is_in_every_layer(self):
        with quiet():
            model = hgq_onnx.convert_proxy(
                self.case / 'proxy.onnx', output_dir=self.folder / 'hls', strategy='distributed_arithmetic'
            )
        dense = [layer for layer in model.get_layers() if layer.class_name == 'Dense']
        self.assertGreater(len(dense), 2)
        self.assertTrue(all('da_codegen' in layer.attributes for layer in dense))

    def test_where_hls4ml_has_no_distributed_arithmetic_it_is_refused(self):
        without = unittest.mock.patch.dict(sys.modules, {'da4ml': None})
        with without, self.assertRaisesRegex(hgq_onnx.HgqError, 'pip install "da4ml>=0.5.2,<0.6"'):
            self.distributed()
        for wrong, says in (({'backend': 'Quartus'}, 'not for Quartus'), ({'reuse_factor': 2}, 'reuse_factor is 2')):
            with self.assertRaisesRegex(hgq_onnx.HgqError, says):
                self.distributed(**wrong)

    def distributed(self, **settings):
        proxy = self.case / 'proxy.onnx'
        return hgq_onnx.convert_proxy(proxy, output_dir=self.folder / 'hls', strategy='distributed_arithmetic', **settings)

    def test_what_has_no_single_casts_is_refused(self):
        for wrong, says in (({'io_type': 'io_stream'}, 'io_parallel'), ({'backend': 'Quartus'}, 'Vitis and Vivado, not for Quartus')):
            with self.assertRaisesRegex(hgq_onnx.HgqError, says):
                hgq_onnx.convert_proxy(self.case / 'proxy_elementwise.onnx', output_dir=self.folder / 'hls', **wrong)


if __name__ == '__main__':
    unittest.main()
