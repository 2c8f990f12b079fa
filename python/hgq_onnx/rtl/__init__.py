"""RTL without HLS: ``proxy_elementwise.onnx`` through alkaid.

* :func:`to_rtl` writes Verilog, VHDL or C++ and checks it.
* :mod:`hgq_onnx.rtl.tracer` is alkaid's front end for ONNX; alkaid loads it by itself.

alkaid is LGPL and not part of this package: ``pip install "hgq-onnx[rtl]"`` fetches it.
"""

from hgq_onnx.rtl.convert import to_rtl
from hgq_onnx.rtl.ports import Element, Port
from hgq_onnx.rtl.result import RtlResult
from hgq_onnx.rtl.write import FLAVORS

__all__ = ['FLAVORS', 'Element', 'Port', 'RtlResult', 'to_rtl']
