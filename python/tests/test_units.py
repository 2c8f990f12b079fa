"""What needs neither hls4ml nor a service: settings, multipart bodies, event streams, progress lines, exceptions."""

import hashlib
import io
import json
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np

import hgq_onnx
from hgq_onnx import progress as progress_module
from hgq_onnx.events import Event, parse
from hgq_onnx.multipart import Form, content
from hgq_onnx.narrow import narrowed
from hgq_onnx.progress import Progress


class SettingsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name)
        (self.out / 'pareto/0').mkdir(parents=True)
        for name in ('proxy.onnx', 'pareto/0/proxy.onnx'):
            (self.out / name).write_bytes(name.encode())
        self.settings = {
            'schema': 'hgq-onnx/hls4ml/1',
            'proxy_sha256': hashlib.sha256(b'proxy.onnx').hexdigest(),
            'backend': 'Quartus',
            'io_type': 'io_stream',
            'default_precision': 'fixed<32,16>',
            'hls_config': {
                'Model': {'Strategy': 'Resource', 'ReuseFactor': 3},
                'LayerName': {'x': {'Precision': {'result': 'fixed<40,20>'}}},
            },
        }

    def write(self):
        (self.out / 'hls4ml_config.json').write_text(json.dumps(self.settings))

    def test_those_beside_the_proxy_are_taken(self):
        self.write()
        s = hgq_onnx.read_settings(self.out / 'proxy.onnx')
        self.assertEqual((s.backend, s.io_type, s.strategy, s.reuse_factor), ('Quartus', 'io_stream', 'Resource', 3))
        self.assertEqual(s.input_ports, {'x': 'fixed<40,20>'})

    def test_a_member_of_the_front_does_not_take_the_port_of_another(self):
        self.write()
        s = hgq_onnx.read_settings(self.out / 'pareto/0/proxy.onnx')
        self.assertEqual((s.backend, dict(s.input_ports)), ('Quartus', {}))

    def test_without_a_file_there_are_defaults(self):
        s = hgq_onnx.read_settings(self.out / 'proxy.onnx')
        self.assertEqual((s.backend, s.io_type, s.reuse_factor), ('Vitis', 'io_parallel', 1))

    def test_another_file_of_that_name_is_refused(self):
        self.settings['schema'] = 'something else'
        self.write()
        with self.assertRaisesRegex(ValueError, 'not a settings file'):
            hgq_onnx.read_settings(self.out / 'proxy.onnx')


class MultipartTest(unittest.TestCase):
    def test_the_announced_length_is_that_of_the_body(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'\x00' * 3_000_000)
            file.flush()
            form = Form()
            form.add('model', content(file.name, 'model'))
            form.add('config', b'{}')
            body = b''.join(form.close())
        self.assertEqual(len(body), form.length)
        self.assertGreater(len(body), 3_000_000)
        boundary = form.content_type.split('boundary=')[1].encode()
        self.assertEqual(body.count(b'--' + boundary), 3)

    def test_arrays_become_files_of_numpy(self):
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        loaded = np.load(io.BytesIO(content({'x': x, 'y': [0, 1]}, 'train')))
        self.assertTrue((loaded['x'] == x).all() and list(loaded['y']) == [0, 1])
        self.assertTrue((np.load(io.BytesIO(content(x, 'calibration'))) == x).all())

    def test_what_is_no_content_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, 'model: there is no file'):
            content('/nowhere/model.onnx', 'model')
        with self.assertRaisesRegex(TypeError, 'calibration'):
            content(3, 'calibration')


class EventsTest(unittest.TestCase):
    def test_comments_and_cut_events_are_left_out(self):
        lines = [b': ping\n', b'\n', b'id: 1\n', b'event: state\n', b'data: {"state": "queued"}\n', b'\n', b'id: 2\n', b'data: {}\n']
        self.assertEqual(list(parse(lines)), [Event(1, 'state', {'state': 'queued'})])


class Terminal(io.StringIO):
    def isatty(self):
        return True


class ProgressTest(unittest.TestCase):
    def setUp(self):
        found = progress_module._tqdm
        progress_module._tqdm = lambda: None
        self.addCleanup(setattr, progress_module, '_tqdm', found)

    def run_with(self, stream):
        bar = Progress(stream)
        bar.show(Event(1, 'stage', {'stage': 'import'}))
        for epoch in range(1, 5):
            bar.show(Event(1 + epoch, 'epoch', {'epoch': epoch, 'epochs': 4, 'loss': 0.5, 'metric': 0.75, 'ebops': 1234.0}))
        bar.show(Event(6, 'stage', {'stage': 'polish', 'step': 2, 'steps': 12}))
        bar.show(Event(7, 'note', {'code': 'metric_drop', 'message': 'less accurate'}))
        bar.close()
        return stream.getvalue()

    def test_a_terminal_gets_one_line_redrawn(self):
        text = self.run_with(Terminal())
        self.assertEqual(text.count('\r'), 6)
        self.assertIn('polish 2/12', text)
        self.assertIn('[######', text)
        self.assertTrue(text.endswith('metric_drop: less accurate\n'))

    def test_a_log_gets_no_line_per_epoch(self):
        lines = self.run_with(io.StringIO()).splitlines()
        self.assertEqual([line.split(' ')[0][:7] for line in lines], ['import', '[######', 'metric_'])
        self.assertIn('4/4  EBOPs 1234, metric 0.75', lines[1])


class FakeBar:
    """What of tqdm is used."""

    made: list = []

    def __init__(self, total, unit):
        self.total, self.n, self.text, self.closed = total, 0, '', False
        self.made.append(self)

    def update(self, n):
        self.n += n

    def set_postfix_str(self, text):
        self.text = text

    def close(self):
        self.closed = True


class TqdmTest(ProgressTest):
    """The same events with tqdm installed."""

    def setUp(self):
        super().setUp()
        FakeBar.made = []
        progress_module._tqdm = lambda: FakeBar

    def test_a_terminal_gets_one_line_redrawn(self):
        self.run_with(Terminal())
        [bar] = FakeBar.made
        self.assertEqual((bar.n, bar.total, bar.closed), (4, 4, True))
        self.assertIn('EBOPs 1234', bar.text)

    def test_a_log_gets_no_line_per_epoch(self):
        self.assertEqual(self.run_with(io.StringIO()), 'import\nmetric_drop: less accurate\n')


class Fake(BaseHTTPRequestHandler):
    """A service that breaks connections, and one that is none."""

    requests: list = []

    def do_GET(self):
        self.requests.append(self.headers.get('Last-Event-ID'))
        if self.path.endswith('/artifacts'):
            return self.send(b'{"artifacts": [{"name": "../outside"}]}')
        if self.path.endswith('/events'):
            if len(self.requests) == 1:
                # cut off within the second event
                return self.send(b'id: 1\nevent: stage\ndata: {"stage": "import"}\n\nid: 2\nevent: st', 'text/event-stream')
            return self.send(b'id: 2\nevent: state\ndata: {"state": "succeeded"}\n\n', 'text/event-stream')
        if self.path == '/v1/jobs/a':
            return self.send(b'{"id": "a", "state": "running"}')
        self.send_error(502)

    def send(self, body, kind='application/json'):
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class ClientTest(unittest.TestCase):
    def setUp(self):
        Fake.requests = []
        server = HTTPServer(('127.0.0.1', 0), Fake)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.client = hgq_onnx.Client(f'http://127.0.0.1:{server.server_port}')

    def test_a_stream_that_breaks_is_resumed_behind_what_was_seen(self):
        self.assertEqual([e.id for e in self.client.events('a')], [1, 2])
        self.assertEqual([r for r in Fake.requests if r is not None], ['0', '1'])

    def test_files_outside_of_the_folder_are_refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(hgq_onnx.HgqError, 'outside'):
            self.client.download('a', Path(folder) / 'out')

    def test_an_answer_of_something_in_between_is_a_problem_too(self):
        with self.assertRaises(hgq_onnx.Problem) as caught:
            self.client.job('b')
        self.assertEqual((caught.exception.code, caught.exception.status), ('http', 502))

    def test_nobody_there(self):
        gone = hgq_onnx.Client('http://127.0.0.1:9')
        with self.assertRaises(hgq_onnx.ServiceUnreachable):
            gone.inspect(b'model')
        with self.assertRaises(ValueError):
            hgq_onnx.Client('127.0.0.1:8080')


class NarrowedTest(unittest.TestCase):
    """A narrowed cast gives what the declared one gives, for every value that can come."""

    ROUND = {'TRN': np.floor, 'RND': lambda v: np.floor(v + 0.5), 'RND_CONV': np.rint, 'RND_MIN_INF': lambda v: np.ceil(v - 0.5)}

    def cast(self, x, kif, rounding, overflow):
        k, i, f = kif
        if k + i + f <= 0:
            return np.zeros_like(x)
        v, high = self.ROUND[rounding](x * 2.0**f), 2.0 ** (i + f) - 1
        low = -k * (high if overflow == 'SAT_SYM' else high + 1)
        v = (v - low) % (high - low + 1) + low if overflow == 'WRAP' else np.clip(v, low, high)
        return v * 2.0**-f

    def test_nothing_changes(self):
        formats = [(k, i, f) for k in (0, 1) for i in range(-2, 4) for f in range(-2, 4) if k + i + f > 0]
        narrower = 0
        for source in formats + [(0, 0, 0)]:
            k, i, f = source
            x = np.arange(-k * 2 ** (i + f), 2 ** (i + f)) * 2.0**-f
            for rounding in self.ROUND:
                for overflow in ('SAT', 'SAT_SYM', 'WRAP'):
                    own = [o for o in formats if not (overflow == 'SAT_SYM' and o[0] and sum(o) == 1)]
                    columns = [np.array(c) for c in zip(*own, strict=True)]
                    sources = [np.full(len(own), c) for c in source]
                    new = list(zip(*narrowed(columns, sources, rounding, overflow), strict=True))
                    for before, after in zip(own, new, strict=True):
                        after = tuple(int(v) for v in after)
                        narrower += sum(after) < sum(before)
                        got, want = (self.cast(x, kif, rounding, overflow) for kif in (after, before))
                        self.assertTrue((got == want).all(), (source, before, after, rounding, overflow))
                        self.assertLessEqual(sum(after), sum(before))
        self.assertGreater(narrower, 1000)


class ErrorsTest(unittest.TestCase):
    def test_every_node_is_in_the_text(self):
        nodes = [{'name': '/head', 'op': 'Hardmax', 'reason': 'is not supported'}]
        problem = hgq_onnx.Problem({'code': 'unsupported_model', 'status': 422, 'detail': 'one node', 'nodes': nodes})
        self.assertEqual(str(problem), 'unsupported_model: one node\n  Hardmax `/head`: is not supported')


if __name__ == '__main__':
    unittest.main()
