"""What :func:`hgq_onnx.to_rtl` gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hgq_onnx.rtl.ports import Port


@dataclass(frozen=True)
class RtlResult:
    """Hardware that was written, and how it was checked.

    Attributes:
        folder: Where it is.
        flavor: ``verilog``, ``vhdl``, ``vitis``, ``hlslib`` or ``oneapi``.
        name: The top module, or the function.
        files: The sources, in a folder ``src``.
        cost: alkaid's estimate of LUTs.
        latency: alkaid's estimate of the delay through all logic, in ns.
        cycles: Clock cycles from input to output; ``None`` without registers.
        register_bits: Flip-flops of the pipeline; 0 without registers.
        inputs, outputs: The ports, as in ``ports.json``.
        checked: Vectors that alkaid's interpreter computed like the proxy: random ones over the whole
            range, and the samples.
        simulated: Vectors that what was written computed like the proxy; ``None`` where nothing ran it.
        simulator: What ran it, or why nothing did.
        compared: Samples whose expected outputs were given; all of them agreed.
        seconds: Time for all of it.
    """

    folder: Path
    flavor: str
    name: str
    files: tuple[Path, ...]
    cost: float
    latency: float
    cycles: int | None
    register_bits: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    checked: int
    simulated: int | None
    simulator: str
    compared: int
    seconds: float
