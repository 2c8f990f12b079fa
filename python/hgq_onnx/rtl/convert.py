"""``to_rtl``: a proxy as RTL or as HLS code, by alkaid, checked before it is handed out."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hgq_onnx.errors import HgqError
from hgq_onnx.rtl import ports, proof, vectors
from hgq_onnx.rtl.result import RtlResult
from hgq_onnx.rtl.trace import trace
from hgq_onnx.rtl.write import FLAVORS, RTL_FLAVORS, handed_out, sources, write

# sub-modules of alkaid have these names; a module called like them would be written twice
_TAKEN = re.compile(r'logic\d+|table_\w+|\w+_wrapper|shift_adder|ternary_adder|mux|binop|multiplier|negative')


def to_rtl(
    model: Any,
    output_dir: str | os.PathLike[str],
    *,
    flavor: str = 'verilog',
    latency_cutoff: float | None = None,
    name: str = 'proxy',
    samples: vectors.Samples | None = None,
    expected: vectors.Samples | None = None,
    simulation: bool | int = True,
    plain_adders: bool = True,
    seed: int = 0,
    hwconf: Sequence[int] = (1, 1, -1),
    solver_options: Mapping[str, Any] | None = None,
    **kw: Any,
) -> RtlResult:
    """Writes a proxy as RTL or HLS code.

    What is written computes what the proxy computes, bit for bit, or nothing is returned: alkaid's
    interpreter and the simulated files are compared with an executor of the proxy that shares no code
    with the translation, on random vectors over the whole range of every port and on the samples.

    Args:
        model: Path of a ``proxy_elementwise.onnx``, or the loaded ``onnx.ModelProto``.
        output_dir: Folder that is made: ``src`` with the code, ``ports.json``, alkaid's project files.
        flavor: ``verilog`` or ``vhdl``; ``vitis``, ``hlslib`` or ``oneapi`` for C++.
        latency_cutoff: Most delay between two registers, in ns by alkaid's estimate: the logic becomes a
            pipeline that takes a sample in each clock cycle. Without it there is no register. RTL only.
        name: Of the top module or function: letters, digits and ``_``.
        samples: Inputs to check with, float, shape (samples, …) for a proxy of one input; else a mapping
            from names to such arrays, or the path of an ``.npz`` file with them.
        expected: What the proxy gives for the samples, e.g. ``outputs.npz`` of
            ``hgq-onnx verify proxy_elementwise.onnx --inputs samples.npz --outputs outputs.npz``; compared, too.
        simulation: How many vectors the simulation runs; True for as many as take a few seconds, False for none.
        plain_adders: Verilog adds two numbers at a time with a plain ``+``, which any tool maps well; False leaves
            alkaid's modules for Vivado, with three operands where that saves LUTs there.
        seed: Of the random vectors.
        hwconf: alkaid's ``HWConfig``.
        solver_options: alkaid's, for products with constant matrices, e.g. ``{'hard_dc': 2}``.
        **kw: Further arguments of alkaid's ``RTLModel`` or ``HLSModel``, e.g. ``clock_period`` or ``part_name``.

    Returns:
        Cost, latency, ports, and what was checked.

    Raises:
        HgqError: alkaid is not installed.
        RtlError: The file is not of the element-wise form, a node has no exact form in alkaid's
            operations (all of them are named), or something differs from the proxy.
        ValueError: An argument is none of those above.
    """
    started = time.monotonic()
    _check_arguments(flavor, latency_cutoff, name, samples, expected, simulation)
    try:
        import onnx
        from alkaid.trace import HWConfig
    except ImportError as e:
        raise HgqError(f'to_rtl needs alkaid: pip install "hgq-onnx[rtl]" ({e})') from e
    proto = onnx.load(os.fspath(model)) if isinstance(model, (str, os.PathLike)) else model
    traced = trace(proto, HWConfig(*hwconf), dict(solver_options or {}))
    sets = proof.of_translation(proto, traced, samples, expected, seed)
    cycles, register_bits = None, 0
    with tempfile.TemporaryDirectory() as made:
        writer = write(traced, Path(made), flavor, latency_cutoff, name, plain_adders, kw)
        if latency_cutoff is not None:
            cycles, register_bits = int(writer.latency), int(writer.reg_bits)
        ports.write(Path(made), traced.inputs, traced.outputs, {'top': name, 'flavor': flavor, 'latency_cycles': cycles})
        simulated, simulator = proof.of_files(Path(made), traced, sets, simulation, flavor, name, cycles)
        folder = handed_out(Path(made), Path(output_dir))
    return RtlResult(
        folder=folder,
        flavor=flavor,
        name=name,
        files=sources(folder),
        cost=float(traced.logic.cost),
        latency=float(traced.logic.latency[1]),
        cycles=cycles,
        register_bits=register_bits,
        inputs=tuple(traced.inputs),
        outputs=tuple(traced.outputs),
        checked=sum(len(given.inputs) for given in sets),
        simulated=simulated,
        simulator=simulator,
        compared=len(sets[1].outputs) if expected is not None else 0,
        seconds=round(time.monotonic() - started, 2),
    )


def _check_arguments(
    flavor: str, latency_cutoff: float | None, name: str, samples: Any, expected: Any, simulation: bool | int
) -> None:
    if flavor not in FLAVORS:
        raise ValueError(f'flavor {flavor!r} is none of {", ".join(FLAVORS)}')
    if latency_cutoff is not None and (latency_cutoff <= 0 or flavor not in RTL_FLAVORS):
        raise ValueError('latency_cutoff is a positive number, for verilog and vhdl: HLS tools place registers themselves')
    if not re.fullmatch(r'[A-Za-z][A-Za-z0-9_]*', name) or _TAKEN.fullmatch(name):
        raise ValueError(f'name {name!r} is no name for a module: letters, digits and _, and none that alkaid gives its modules')
    if simulation is not True and simulation is not False and simulation < 1:
        raise ValueError('simulation is a number of vectors, or True or False')
    if expected is not None and samples is None:
        raise ValueError('expected are the outputs for samples: give these as well')
