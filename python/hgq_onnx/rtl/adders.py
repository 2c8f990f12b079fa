"""The adder that written Verilog uses: a plain sum or difference, which every tool makes one carry chain of.

alkaid's own modules are made for Vivado. yosys makes two or three chains of some of them: 11 to 14 %
more LUTs on the networks of docs/rtl.md.
"""

from __future__ import annotations

from pathlib import Path

# the ports and parameters are those that alkaid's modules are used with
_MODULE = """`timescale 1 ns / 1 ps

// out = (in0 * 2^max(-SHIFT1, 0) +- in1 * 2^max(SHIFT1, 0)) without its lowest DROP_LSBS bits
module shift_adder #(
    parameter BW_INPUT0 = 1,
    parameter BW_INPUT1 = 1,
    parameter SIGNED0 = 0,
    parameter SIGNED1 = 0,
    parameter BW_OUT = 1,
    parameter DROP_LSBS = 0,
    parameter SHIFT1 = 0,
    parameter IS_SUB = 0
) (
    input [BW_INPUT0-1:0] in0,
    input [BW_INPUT1-1:0] in1,
    output [BW_OUT-1:0] out
);
  localparam UP0 = (SHIFT1 < 0) ? -SHIFT1 : 0;
  localparam UP1 = (SHIFT1 > 0) ? SHIFT1 : 0;
  localparam WIDTH = BW_OUT + DROP_LSBS;

  wire signed [BW_INPUT0:0] signed0 = {SIGNED0 ? in0[BW_INPUT0-1] : 1'b0, in0};
  wire signed [BW_INPUT1:0] signed1 = {SIGNED1 ? in1[BW_INPUT1-1] : 1'b0, in1};
  wire signed [WIDTH-1:0] wide0 = signed0;
  wire signed [WIDTH-1:0] wide1 = signed1;
  wire signed [WIDTH-1:0] sum;

  generate
    if (IS_SUB) begin : difference
      assign sum = (wide0 <<< UP0) - (wide1 <<< UP1);
    end else begin : plain
      assign sum = (wide0 <<< UP0) + (wide1 <<< UP1);
    end
  endgenerate
  assign out = sum[WIDTH-1:DROP_LSBS];
endmodule
"""


def replace(folder: Path) -> None:
    """Puts the plain adder in the place of alkaid's in a folder that alkaid has written."""
    (folder / 'src' / 'static' / 'shift_adder.v').write_text(_MODULE)
    (folder / 'src' / 'static' / 'ternary_adder.v').unlink(missing_ok=True)
