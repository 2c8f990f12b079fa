"""alkaid's writers, and where what they write ends up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hgq_onnx.errors import RtlError
from hgq_onnx.rtl import adders, ports
from hgq_onnx.rtl.trace import Traced

RTL_FLAVORS = ('verilog', 'vhdl')
HLS_FLAVORS = ('vitis', 'hlslib', 'oneapi')
FLAVORS = (*RTL_FLAVORS, *HLS_FLAVORS)
_SUFFIXES = ('.v', '.vhd', '.hh', '.cc')


def write(
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


def handed_out(made: Path, folder: Path) -> Path:
    """Copies what is checked to its place; sources of an earlier call there are replaced."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / ports.FILE).is_file():
            raise RtlError(f'{folder} is not empty and nothing that to_rtl has written: give another folder')
        shutil.rmtree(folder / 'src', ignore_errors=True)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def sources(folder: Path) -> tuple[Path, ...]:
    """The written code."""
    return tuple(sorted(p for p in (folder / 'src').rglob('*') if p.suffix in _SUFFIXES))
