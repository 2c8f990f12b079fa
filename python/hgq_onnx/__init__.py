"""hgq-onnx in Python: its proxies in hls4ml, and its service in a notebook.

* :func:`convert_proxy` makes the plain stock hls4ml call with the settings that belong to a proxy.
* :class:`Client` sends models to ``hgq-onnx serve``, follows the training and fetches the proxy.
* :func:`to_rtl` writes ``proxy_elementwise.onnx`` as Verilog, VHDL or C++ with alkaid.
* :mod:`hgq_onnx.plugin` is a plug-in of hls4ml for ``proxy_elementwise.onnx``; hls4ml loads it by itself.

Only :func:`convert_proxy` and the plug-in need hls4ml (``pip install hgq-onnx[hls4ml]``), only :func:`to_rtl` needs alkaid
(``pip install hgq-onnx[rtl]``), and they import it when they are called.
"""

from hgq_onnx.client import Client, Result
from hgq_onnx.convert import convert_proxy
from hgq_onnx.errors import HgqError, JobCanceled, JobFailed, Problem, RtlError, ServiceUnreachable
from hgq_onnx.rtl import RtlResult, to_rtl
from hgq_onnx.settings import Settings, read_settings

__version__ = '0.1.0'

__all__ = [
    'Client',
    'HgqError',
    'JobCanceled',
    'JobFailed',
    'Problem',
    'Result',
    'RtlError',
    'RtlResult',
    'ServiceUnreachable',
    'Settings',
    'convert_proxy',
    'read_settings',
    'to_rtl',
]
