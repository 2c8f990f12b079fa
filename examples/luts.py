"""EBOPs, estimates and LUTs of proxies beside each other.

    python examples/luts.py OUT [OUT ...] [--test DATA.npz] [--rtl FOLDER] [--json FILE]

`OUT` is a folder of `hgq-onnx convert --elementwise …`: `proxy_elementwise.onnx` and `report.json`. `DATA` has `x` and classes `y` of
a classifier with one input, and adds its accuracy on them. Needs
`pip install "hgq-onnx[rtl]" pyosys scipy`.

LUTs are those of yosys: 6-input LUTs and carry chains of a Xilinx UltraScale+, one chain per adder, no DSP,
no block RAM, plain `abc`. They are no vendor's figures: no placement, no routing, no timing. The table
shows how far each price is from them, and how well it ranks the proxies (Spearman's rho).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# every adder and subtractor is one carry chain: yosys would make carry-save trees of sums
ADDERS = r"""
(* techmap_celltype = "$add $sub" *)
module one_carry_chain (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] unused_x, unused_co;
  localparam [0:0] MINUS = (_TECHMAP_CELLTYPE_ == "$sub");
  \$alu #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (.A(A), .B(B), .Y(Y), .CI(MINUS), .BI(MINUS), .X(unused_x), .CO(unused_co));
endmodule
"""

FLOW = """
synth_xilinx -family xcup -nodsp -noiopad -noclkbuf -nosrl -nowidelut -nobram -nolutram -top {top} -run begin:prepare
proc
flatten
opt -full
wreduce
opt -full
wreduce
opt -full
memory -nomap
memory_map
opt -full
techmap -map {adders}
opt -full
opt_expr -fine
alumacc
opt -fine
opt_clean
techmap -map +/techmap.v -D LUT_SIZE=6 -map +/xilinx/arith_map.v
opt -fast
techmap -map +/techmap.v -map +/xilinx/cells_map.v
clean
dfflegalize -cell $_DFFE_?P?P_ 01 -cell $_SDFFE_?P?P_ 01
techmap -map +/xilinx/ff_map.v
opt_expr -mux_undef -noclkinv
abc -luts 2:2,3,6:5
clean
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
opt_lut_ins -tech xilinx
clean
tee -q -o {cells} stat -json
"""

# yosys prints what it likes: it has a process of its own
RUNNER = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    if command:
        libyosys.run_pass(command, design)
"""


def luts(sources: list[Path], top: str) -> int:
    """LUTs and inverters of Verilog files, by yosys."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'adders.v').write_text(ADDERS)
        reads = [f'read_verilog -sv {source.resolve()}' for source in sources]
        flow = FLOW.format(top=top, adders=folder / 'adders.v', cells=folder / 'cells.json')
        command = [sys.executable, '-c', RUNNER]
        done = subprocess.run(command, input='\n'.join(reads) + flow, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f'yosys: {done.stdout[-1000:]}{done.stderr[-1000:]}')
        cells = json.loads((folder / 'cells.json').read_text())['design']['num_cells_by_type']
    return sum(count for kind, count in cells.items() if kind.startswith('LUT') or kind == 'INV')


def accuracy(proxy: Path, test: Path) -> float:
    """Share of the rows of a file whose class the proxy finds."""
    import numpy as np
    import onnx
    from hgq_onnx.rtl.reference import execute

    model, data = onnx.load(proxy), np.load(test)
    (port,), (output,) = model.graph.input, model.graph.output
    shape = [d.dim_value for d in port.type.tensor_type.shape.dim[1:]]
    found = execute(model, {port.name: data['x'].astype(np.float64).reshape(-1, *shape)}, [output.name])[output.name]
    return float((found.reshape(len(found), -1).argmax(1) == data['y']).mean())


def measured(folder: Path, rtl: Path, test: Path | None) -> dict[str, Any]:
    """One row: what the report says, what alkaid says, and what yosys finds."""
    import hgq_onnx

    report = json.loads((folder / 'report.json').read_text()) if (folder / 'report.json').exists() else {}
    made = hgq_onnx.to_rtl(folder / 'proxy_elementwise.onnx', rtl, simulation=False)
    sources = [f for f in made.files if f.suffix == '.v' and not f.name.endswith('_wrapper.v')]
    row: dict[str, Any] = {'name': folder.name, 'seconds': made.seconds, 'cost': made.cost, 'lut': luts(sources, made.name)}
    row['ebops'] = report.get('ebops')
    row['luts'] = report.get('luts')
    row['accuracy'] = accuracy(folder / 'proxy_elementwise.onnx', test) if test else None
    return row


def judged(rows: list[dict[str, Any]], price: str) -> str:
    """How a price does against the LUTs: as a prediction after one factor for all, and as an order."""
    from scipy.stats import spearmanr

    pairs = [(float(r[price]), float(r['lut'])) for r in rows if isinstance(r[price], (int, float)) and r[price] > 0]
    if len(pairs) < 3:
        return f'{price}: {len(pairs)} figures'
    plain = [p / lut - 1 for p, lut in pairs]
    # the factor with the least squares of relative errors
    ratios = [p / lut for p, lut in pairs]
    factor = sum(ratios) / sum(r * r for r in ratios)
    scaled = [abs(factor * r - 1) for r in ratios]
    rho = spearmanr(*zip(*pairs)).statistic
    mean, most = sum(map(abs, plain)) / len(plain), max(map(abs, plain))
    return (
        f'{price}: mean error {mean:.1%}, largest {most:.1%}; times {factor:.3f} mean {sum(scaled) / len(scaled):.1%}, '
        f'largest {max(scaled):.1%}; rho {rho:.3f} ({len(pairs)} proxies)'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description='EBOPs, estimates and LUTs of proxies')
    parser.add_argument('folders', nargs='+', type=Path, help='folders with proxy_elementwise.onnx and report.json')
    parser.add_argument('--test', type=Path, help='x and y to say the accuracy on')
    parser.add_argument('--rtl', type=Path, help='keep the RTL in this folder')
    parser.add_argument('--json', type=Path, help='write the rows into this file, too')
    given = parser.parse_args()
    rows = []
    print('| proxy | EBOPs | estimate | alkaid | LUT | s | accuracy |\n|---|---|---|---|---|---|---|', flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for folder in given.folders:
            row = measured(folder, (given.rtl or Path(scratch)) / folder.name, given.test)
            rows.append(row)
            ebops, estimate = (f'{row[k]:,.0f}' if isinstance(row[k], (int, float)) else '–' for k in ('ebops', 'luts'))
            right = '–' if row['accuracy'] is None else f'{row["accuracy"]:.4f}'
            print(f'| {row["name"]} | {ebops} | {estimate} | {row["cost"]:,.0f} | {row["lut"]:,} | {row["seconds"]} | {right} |', flush=True)
    print()
    for price in ('ebops', 'luts', 'cost'):
        print(judged(rows, price))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
