"""``python -m hgq_onnx rtl``: ``to_rtl`` as a command."""

from __future__ import annotations

import argparse
import json
from typing import Any

from hgq_onnx.rtl.convert import to_rtl
from hgq_onnx.rtl.result import RtlResult
from hgq_onnx.rtl.write import FLAVORS


def add(commands: Any) -> None:
    """Adds the command to those of a parser."""
    parser = commands.add_parser(
        'rtl',
        help='write proxy_elementwise.onnx as Verilog, VHDL or C++ with alkaid',
        description='Writes proxy_elementwise.onnx as Verilog, VHDL or C++ with alkaid, checked bit for bit.',
    )
    parser.add_argument('model', help='proxy_elementwise.onnx')
    parser.add_argument('output', help='folder to write')
    parser.add_argument('--flavor', choices=FLAVORS, default='verilog', help='default: verilog')
    parser.add_argument('--latency-cutoff', type=float, metavar='NS', help='most delay between registers; without it there are none')
    parser.add_argument('--name', default='proxy', help='of the top module; default: proxy')
    parser.add_argument('--samples', metavar='NPZ', help='inputs to check with, by their names in the proxy')
    parser.add_argument('--expected', metavar='NPZ', help='what the proxy gives for them')
    parser.add_argument('--simulate', type=int, metavar='N', help='vectors to simulate, 0 for none; without it what takes a few seconds')
    parser.add_argument('--vivado-adders', action='store_true', help="alkaid's adders, which are made for Vivado")
    parser.add_argument('--seed', type=int, default=0, help='of the random vectors; default: 0')
    parser.add_argument('--json', action='store_true', help='print the result as JSON')
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Runs the command."""
    result = to_rtl(
        given.model,
        given.output,
        flavor=given.flavor,
        latency_cutoff=given.latency_cutoff,
        name=given.name,
        samples=given.samples,
        expected=given.expected,
        simulation=True if given.simulate is None else given.simulate or False,
        plain_adders=not given.vivado_adders,
        seed=given.seed,
    )
    print(json.dumps(figures(result)) if given.json else text(result))


def figures(result: RtlResult) -> dict[str, Any]:
    """The result as JSON; the ports are in ``ports.json``."""
    names = ('flavor', 'name', 'cost', 'latency', 'cycles', 'register_bits', 'checked', 'simulated', 'simulator', 'compared', 'seconds')
    return {'folder': str(result.folder), **{name: getattr(result, name) for name in names}}


def text(result: RtlResult) -> str:
    """The result for people."""
    bits = [sum(e.width for port in side for e in port.elements) for side in (result.inputs, result.outputs)]
    registers = f', {result.cycles} cycles, {result.register_bits:,} register bits' if result.cycles is not None else ''
    simulated = f'{result.simulated:,} by {result.simulator}' if result.simulated is not None else f'none ({result.simulator})'
    lines = [
        f'{result.flavor} in {result.folder}, top {result.name}: {bits[0]} bits in, {bits[1]} bits out',
        f'about {result.cost:,.0f} LUTs, {result.latency:.1f} ns of logic (estimates of alkaid){registers}',
        f'equal to the proxy: {result.checked:,} vectors; simulated: {simulated}',
    ]
    if result.compared:
        lines.append(f'{result.compared:,} samples equal the outputs that were given')
    return '\n'.join(lines)
