"""What was translated and what was written, beside the proxy: equal, or nothing is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl import simulate, vectors
from hgq_onnx.rtl.trace import Traced
from hgq_onnx.rtl.write import sources

# random vectors for the interpreter
RANDOM_VECTORS = 4096
# simulated vectors, and how many operations that may be: Icarus Verilog takes seconds for these
SIMULATED_VECTORS = (100, 1000)
SIMULATED_OPERATIONS = 600_000


def of_translation(
    model: Any, traced: Traced, samples: vectors.Samples | None, expected: vectors.Samples | None, seed: int
) -> list[vectors.Vectors]:
    """Vectors that alkaid's interpreter computes like the proxy: random ones, then the samples.

    Raises:
        RtlError: Something differs.
    """
    sets = [vectors.random(model, traced, RANDOM_VECTORS, seed)]
    if samples is not None:
        sets.append(vectors.of_samples(model, traced, samples))
        if expected is not None:
            differ = vectors.compared(sets[1], expected, [p.name for p in traced.outputs])
            _none_differ(differ, 'the outputs that were given')
    for given in sets:
        _agree(np.asarray(traced.logic.predict(given.inputs)), given.outputs, "alkaid's interpreter")
    return sets


def of_files(
    folder: Path, traced: Traced, sets: Sequence[vectors.Vectors], asked: bool | int, flavor: str, name: str, cycles: int | None
) -> tuple[int | None, str]:
    """How many vectors the written files were simulated with, and by what; or ``None`` and why not.

    Raises:
        RtlError: Something differs.
    """
    if asked is False:
        return None, 'not asked for'
    if flavor != 'verilog':
        return None, f'nothing runs {flavor} here; the logic that it was written from was compared'
    why = simulate.iverilog()
    if why is not None:
        return None, why
    least, most = SIMULATED_VECTORS
    count = min(max(SIMULATED_OPERATIONS // len(traced.logic.ops), least), most) if asked is True else int(asked)
    # as many samples as random vectors
    inputs, outputs = (np.concatenate([getattr(v, a)[: -(-count // len(sets))] for v in sets]) for a in ('inputs', 'outputs'))
    elements = tuple([e for p in side for e in p.elements] for side in (traced.inputs, traced.outputs))
    got = simulate.verilog(sources(folder), name, elements, inputs, cycles)
    _agree(got, outputs, 'the simulated Verilog')
    return len(inputs), 'iverilog'


def _agree(got: np.ndarray, want: np.ndarray, what: str) -> None:
    if got.shape != want.shape:
        raise RtlError(f'{what} gives {list(got.shape)} numbers, the proxy {list(want.shape)}')
    _none_differ(int(np.sum(got != want)), what)


def _none_differ(mismatches: int, what: str) -> None:
    if mismatches:
        raise RtlError(f'{mismatches} numbers of {what} differ from those of the proxy; nothing of this is to be used, please report it')
