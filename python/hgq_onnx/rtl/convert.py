"""`to_rtl`: a proxy as RTL or as HLS code, by alkaid, checked before it is handed out."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hgq_onnx.errors import HgqError, RtlError
from hgq_onnx.rtl import adders, ports, simulate, vectors
from hgq_onnx.rtl.result import RtlResult
from hgq_onnx.rtl.trace import Traced, trace

RTL_FLAVORS = ('verilog', 'vhdl')
HLS_FLAVORS = ('vitis', 'hlslib', 'oneapi')
FLAVORS = (*RTL_FLAVORS, *HLS_FLAVORS)

# random vectors for the interpreter, and the most that are simulated: enough to see any wrong bit
RANDOM_VECTORS = 4096
SIMULATED_VECTORS = 1000

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
    simulation: bool = True,
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
        model: Path of a `proxy_elementwise.onnx`, or the loaded `onnx.ModelProto`.
        output_dir: Folder that is made: `src` with the code, `ports.json`, alkaid's project files.
        flavor: `verilog` or `vhdl`; `vitis`, `hlslib` or `oneapi` for C++.
        latency_cutoff: Most delay between two registers, in ns by alkaid's estimate: the logic becomes a
            pipeline that takes a sample in each clock cycle. Without it there is no register. RTL only.
        name: Of the top module or function: letters, digits and `_`.
        samples: Inputs to check with, float, shape (samples, …) for a proxy of one input; else a mapping
            from names to such arrays, or the path of an `.npz` file with them.
        expected: What the proxy gives for the samples, e.g. `outputs.npz` of
            `hgq-onnx verify proxy_elementwise.onnx --inputs samples.npz --outputs outputs.npz`; compared, too.
        simulation: False leaves the simulation of the written files out.
        plain_adders: Verilog adds two numbers at a time with a plain `+`, which any tool maps well; False leaves
            alkaid's modules for Vivado, with three operands where that saves LUTs there.
        seed: Of the random vectors.
        hwconf: alkaid's `HWConfig`.
        solver_options: alkaid's, for products with constant matrices, e.g. `{'hard_dc': 2}`.
        **kw: Further arguments of alkaid's `RTLModel` or `HLSModel`, e.g. `clock_period` or `part_name`.

    Returns:
        Cost, latency, ports, and what was checked.

    Raises:
        HgqError: alkaid is not installed.
        RtlError: The file is not of the element-wise form, a node has no exact form in alkaid's
            operations (all of them are named), or something differs from the proxy.
        ValueError: An argument is none of those above.
    """
    started = time.monotonic()
    _check_arguments(flavor, latency_cutoff, name, samples, expected)
    try:
        import onnx
        from alkaid.trace import HWConfig
    except ImportError as e:
        raise HgqError(f'to_rtl needs alkaid: pip install "hgq-onnx[rtl]" ({e})') from e
    proto = onnx.load(os.fspath(model)) if isinstance(model, (str, os.PathLike)) else model
    traced = trace(proto, HWConfig(*hwconf), dict(solver_options or {}))
    sets = [vectors.random(proto, traced, RANDOM_VECTORS, seed)]
    compared = 0
    if samples is not None:
        sets.append(vectors.of_samples(proto, traced, samples))
        if expected is not None:
            _none_differ(vectors.compared(sets[1], expected, [p.name for p in traced.outputs]), 'the outputs that were given')
            compared = len(sets[1].outputs)
    for given in sets:
        _agree(np.asarray(traced.logic.predict(given.inputs)), given.outputs, "alkaid's interpreter")
    cycles, register_bits, simulated, simulator = None, 0, None, 'not asked for'
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        writer = _write(traced, folder, flavor, latency_cutoff, name, plain_adders, kw)
        if latency_cutoff is not None:
            cycles, register_bits = int(writer.latency), int(writer.reg_bits)
        ports.write(folder, traced.inputs, traced.outputs, {'top': name, 'flavor': flavor, 'latency_cycles': cycles})
        if simulation:
            simulated, simulator = _simulated(folder, traced, sets, flavor, name, cycles)
        folder = _handed_out(folder, Path(output_dir))
    return RtlResult(
        folder=folder,
        flavor=flavor,
        name=name,
        files=_sources(folder),
        cost=float(traced.logic.cost),
        latency=float(traced.logic.latency[1]),
        cycles=cycles,
        register_bits=register_bits,
        inputs=tuple(traced.inputs),
        outputs=tuple(traced.outputs),
        checked=sum(len(given.inputs) for given in sets),
        simulated=simulated,
        simulator=simulator,
        compared=compared,
        seconds=round(time.monotonic() - started, 2),
    )


def _check_arguments(flavor: str, latency_cutoff: float | None, name: str, samples: Any, expected: Any) -> None:
    if flavor not in FLAVORS:
        raise ValueError(f'flavor {flavor!r} is none of {", ".join(FLAVORS)}')
    if latency_cutoff is not None and (latency_cutoff <= 0 or flavor not in RTL_FLAVORS):
        raise ValueError('latency_cutoff is a positive number, for verilog and vhdl: HLS tools place registers themselves')
    if not re.fullmatch(r'[A-Za-z][A-Za-z0-9_]*', name) or _TAKEN.fullmatch(name):
        raise ValueError(f'name {name!r} is no name for a module: letters, digits and _, and none that alkaid gives its modules')
    if expected is not None and samples is None:
        raise ValueError('expected are the outputs for samples: give these as well')


def _write(
    traced: Traced, folder: Path, flavor: str, latency_cutoff: float | None, name: str, plain_adders: bool, kw: dict[str, Any]
) -> Any:
    """Writes the files; alkaid's writer."""
    from alkaid.codegen import HLSModel, RTLModel

    plain = plain_adders and flavor == 'verilog'
    try:
        if flavor in HLS_FLAVORS:
            writer = HLSModel(traced.logic, folder, name, flavor=flavor, **kw)
        else:
            given = {'ternary_fuse': False, **kw} if plain else kw
            writer = RTLModel(traced.logic, folder, name, flavor=flavor, latency_cutoff=latency_cutoff or -1, **given)
        writer.write()
    except FileNotFoundError as e:
        raise RtlError(f'the installed alkaid cannot write {flavor}: its file {Path(e.filename or "").name} is missing') from e
    if plain:
        adders.replace(folder)
    return writer


def _handed_out(made: Path, folder: Path) -> Path:
    """Copies what is checked to its place; sources of an earlier call there are replaced."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / ports.FILE).is_file():
            raise RtlError(f'{folder} is not empty and nothing that to_rtl has written: give another folder')
        shutil.rmtree(folder / 'src', ignore_errors=True)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def _sources(folder: Path) -> tuple[Path, ...]:
    known = ('.v', '.vhd', '.hh', '.cc')
    return tuple(sorted(p for p in (folder / 'src').rglob('*') if p.suffix in known))


def _simulated(
    folder: Path, traced: Traced, sets: Sequence[vectors.Vectors], flavor: str, name: str, cycles: int | None
) -> tuple[int | None, str]:
    if flavor != 'verilog':
        return None, f'nothing runs {flavor} here; the logic that it was written from was compared'
    why = simulate.iverilog()
    if why is not None:
        return None, why
    # the samples first: they are what the hardware is for
    inputs, outputs = (np.concatenate([getattr(v, a) for v in sets[::-1]])[:SIMULATED_VECTORS] for a in ('inputs', 'outputs'))
    if len(sets) > 1:
        half = SIMULATED_VECTORS // 2
        inputs, outputs = (np.concatenate([getattr(v, a)[:half] for v in sets]) for a in ('inputs', 'outputs'))
    elements = tuple([e for p in side for e in p.elements] for side in (traced.inputs, traced.outputs))
    got = simulate.verilog(_sources(folder), name, elements, inputs, cycles)
    _agree(got, outputs, 'the simulated Verilog')
    return len(inputs), 'iverilog'


def _agree(got: np.ndarray, want: np.ndarray, what: str) -> None:
    if got.shape != want.shape:
        raise RtlError(f'{what} gives {list(got.shape)} numbers, the proxy {list(want.shape)}')
    _none_differ(int(np.sum(got != want)), what)


def _none_differ(mismatches: int, what: str) -> None:
    if mismatches:
        raise RtlError(f'{mismatches} numbers of {what} differ from those of the proxy; nothing of this is to be used, please report it')
