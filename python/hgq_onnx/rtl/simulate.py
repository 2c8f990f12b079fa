"""The written hardware, run: Verilog by Icarus Verilog, C++ by the compiler of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl.ports import Element

_BENCH = """`timescale 1 ns / 1 ps
module hgq_onnx_bench;
  reg [{inputs}-1:0] vectors [0:{count}-1];
  reg [{inputs}-1:0] x;
  wire [{outputs}-1:0] y;
  reg clk = 0;
  integer n, out;
  {top} dut ({clock}.model_inp(x), .model_out(y));
  initial begin
    $readmemb("inputs.txt", vectors);
    out = $fopen("outputs.txt");
    for (n = 0; n < {count} + {latency}; n = n + 1) begin
      x = vectors[n < {count} ? n : {count} - 1];
      #1 clk = 1;
      #1 if (n >= {latency}) $fdisplay(out, "%b", y);
      #1 clk = 0;
    end
    $fclose(out);
    $finish;
  end
endmodule
"""


def iverilog() -> str | None:
    """Why Icarus Verilog cannot be used; ``None`` if it can."""
    missing = [tool for tool in ('iverilog', 'vvp') if shutil.which(tool) is None]
    return f'{missing[0]} is not installed (Icarus Verilog)' if missing else None


def verilog(
    sources: Sequence[Path],
    top: str,
    elements: tuple[Sequence[Element], Sequence[Element]],
    vectors: np.ndarray,
    latency: int | None,
) -> np.ndarray:
    """Simulates Verilog.

    Args:
        sources: Its files.
        top: The top module.
        elements: Those on the input and on the output bus.
        vectors: Numbers at the input, (vectors, elements).
        latency: Clock cycles from input to output; ``None`` for logic without a clock.

    Returns:
        Numbers at the output, (vectors, elements); NaN where the simulation has no number.

    Raises:
        RtlError: The simulator refuses the files.
    """
    ins, outs = elements
    bench = _BENCH.format(
        inputs=max(sum(e.width for e in ins), 1),
        outputs=max(sum(e.width for e in outs), 1),
        count=len(vectors),
        latency=latency or 0,
        top=top,
        clock='.clk(clk), ' if latency is not None else '',
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'bench.v').write_text(bench)
        (folder / 'inputs.txt').write_text('\n'.join(_packed(vectors, ins)) + '\n')
        command = ['iverilog', '-g2012', '-s', 'hgq_onnx_bench', '-o', 'bench', 'bench.v', *(str(s.resolve()) for s in sources)]
        for step in (command, ['vvp', '-n', 'bench']):
            done = subprocess.run(step, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise RtlError(f'{step[0]} refuses what was written: {done.stderr.strip()[:2000] or done.stdout.strip()[:2000]}')
        lines = (folder / 'outputs.txt').read_text().split()
    return np.array([_unpacked(line, outs) for line in lines])


def _packed(vectors: np.ndarray, elements: Sequence[Element]) -> list[str]:
    """Each vector as the bits of the bus, highest first."""
    used = [e for e in elements if e.width]
    ints = [np.ldexp(vectors[:, e.position], e.fractional).astype(np.int64) & ((1 << e.width) - 1) for e in used]
    columns = list(zip(used, ints, strict=True))[::-1]
    return [''.join(format(int(column[n]), f'0{e.width}b') for e, column in columns) or '0' for n in range(len(vectors))]


def _unpacked(line: str, elements: Sequence[Element]) -> list[float]:
    bits = line[::-1]
    return [_number(bits[e.lsb : e.lsb + e.width][::-1], e) for e in elements]


def _number(bits: str, element: Element) -> float:
    if not element.width:
        return 0.0
    if set(bits) - {'0', '1'}:
        return float('nan')
    value = int(bits, 2)
    if element.signed and bits[0] == '1':
        value -= 1 << element.width
    return float(np.ldexp(value, -element.fractional))
