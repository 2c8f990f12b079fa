"""The client against a running service; ``HGQ_ONNX_URL`` and ``HGQ_ONNX_FIXTURES`` (the folder ``fixtures``) say where.

With ``HGQ_ONNX_TOKEN`` the service asks for that token.
"""

import contextlib
import io
import json
import os
import tempfile
import unittest
from pathlib import Path

import numpy as np

import hgq_onnx

URL = os.environ.get('HGQ_ONNX_URL')
TOKEN = os.environ.get('HGQ_ONNX_TOKEN')
FIXTURES = Path(os.environ.get('HGQ_ONNX_FIXTURES', '.'))


@unittest.skipUnless(URL, 'HGQ_ONNX_URL is not set')
class ServiceTest(unittest.TestCase):
    def setUp(self):
        self.client = hgq_onnx.Client(URL, TOKEN)
        self.model = FIXTURES / 'digits/digits_mlp.onnx'
        train = np.load(FIXTURES / 'digits/train.npz')
        self.x, self.y = train['x'], train['y']

    def test_inspect(self):
        seen = self.client.inspect(self.model)
        self.assertTrue(seen['supported'])
        refused = self.client.inspect(FIXTURES / 'faults/two_unsupported.onnx')
        self.assertFalse(refused['supported'])

    def test_convert(self):
        config = {'epochs': 12, 'target_ebops': 20000, 'seed': 3, 'threads': 1, 'proxy': {'elementwise': 'sat'}}
        data = {'x': self.x, 'y': self.y}
        text = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(text):
            done = self.client.convert(self.model, self.x[:200], data, config=config, out=Path(folder) / 'out')
            self.assertLessEqual(done.ebops, 20000)
            self.assertTrue(done.job['target_met'])
            self.assertEqual(done.report['verification']['mismatches'], 0)
            names = {str(p.relative_to(done.folder)) for p in done.folder.rglob('*') if p.is_file()}
            self.assertLessEqual({'proxy.onnx', 'proxy_elementwise.onnx', 'hls4ml_config.json', 'report.json'}, names)
            self.assertEqual(names, {a['name'] for a in self.client.artifacts(done.job['id'])})
            self.assertEqual(done.proxy.read_bytes(), self.client.artifact(done.job['id'], 'proxy.onnx'))
            self.assertEqual(json.loads((done.folder / 'report.json').read_text()), done.report)
            verified = self.client.verify(done.proxy, self.x[:50])
            self.assertEqual((verified['samples'], verified['mismatches']), (50, None))
        self.assertIn('12/12', text.getvalue())
        self.assertIn(done.job['id'], [j['id'] for j in self.client.jobs()])
        self.assertEqual(len(self.client.jobs(limit=1)), 1)
        # the same again is answered from the store, and its events end
        events = list(self.client.events(done.job['id']))
        self.assertEqual([e.id for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(sum(e.kind == 'epoch' for e in events), 12)
        again = self.client.convert(self.model, self.x[:200], data, config=config, progress=False)
        self.assertTrue(again.job['cached'])
        self.assertIsNone(again.proxy)

    def test_cancel(self):
        job = self.client.submit(self.model, self.x, {'x': self.x, 'y': self.y}, config={'epochs': 9000, 'threads': 1})
        self.client.cancel(job['id'])
        with self.assertRaises(hgq_onnx.JobCanceled):
            self.client.wait(job['id'])
        self.assertEqual(self.client.job(job['id'])['state'], 'canceled')
        with self.assertRaises(hgq_onnx.Problem) as caught:
            self.client.artifact(job['id'], 'proxy.onnx')
        self.assertEqual((caught.exception.code, caught.exception.status), ('not_done', 409))

    def test_what_is_wrong_comes_as_an_exception_with_its_code(self):
        wrong = [
            ('bad_config', 400, self.model, self.x, {'epoch': 3}),
            ('bad_data', 400, self.model, self.x[:, :63], None),
            ('not_onnx', 400, b'# not a model', self.x, None),
        ]
        for code, status, model, data, config in wrong:
            with self.subTest(code), self.assertRaises(hgq_onnx.Problem) as caught:
                self.client.convert(model, data, config=config, progress=False)
            self.assertEqual((caught.exception.code, caught.exception.status), (code, status))
            self.assertTrue(caught.exception.detail)
        with self.assertRaises(hgq_onnx.Problem) as caught:
            x = np.full((20, 4), 0.5, np.float32)
            self.client.convert(FIXTURES / 'faults/two_unsupported.onnx', x, progress=False)
        self.assertEqual(caught.exception.code, 'unsupported_model')
        self.assertEqual({n['op'] for n in caught.exception.nodes}, {'LpNormalization', 'Hardmax'})
        with self.assertRaises(hgq_onnx.Problem) as caught:
            self.client.job('nobody')
        self.assertEqual(caught.exception.code, 'not_found')

    @unittest.skipUnless(TOKEN, 'HGQ_ONNX_TOKEN is not set')
    def test_without_the_token_nothing_is_answered(self):
        for token in (None, 'wrong'):
            with self.assertRaises(hgq_onnx.Problem) as caught:
                hgq_onnx.Client(URL, token).jobs()
            self.assertEqual((caught.exception.code, caught.exception.status), ('unauthorized', 401))


if __name__ == '__main__':
    unittest.main()
