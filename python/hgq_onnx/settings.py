"""hls4ml's settings for a proxy, from ``hls4ml_config.json`` beside it or from what the file itself says.

The input port is the one setting that numbers depend on: hls4ml truncates every input to it before the first layer. A proxy that needs
another than ``fixed<32,16>`` states it in its own metadata (``hgq_onnx.input_port``), so that a copied file still has it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_PRECISION = 'fixed<32,16>'
CONFIG_FILE = 'hls4ml_config.json'
PORT_KEY = 'hgq_onnx.input_port'
FORM_KEY = 'hgq_onnx.form'


@dataclass(frozen=True)
class Settings:
    """Arguments of hls4ml's calls.

    Attributes:
        backend: e.g. ``Vitis``.
        io_type: ``io_parallel`` or ``io_stream``.
        default_precision: Type of whatever has none of its own; the proxy leaves only the input to it.
        strategy: ``Latency``, ``Resource`` or ``distributed_arithmetic``.
        reuse_factor: How often a multiplier is used per sample with ``Resource``.
        input_ports: Type of each input, by its name in the file.
    """

    backend: str = 'Vitis'
    io_type: str = 'io_parallel'
    default_precision: str = DEFAULT_PRECISION
    strategy: str = 'Latency'
    reuse_factor: int = 1
    input_ports: Mapping[str, str] = field(default_factory=dict)


def read_settings(proxy: str | os.PathLike[str]) -> Settings:
    """The settings that lie beside a proxy; hls4ml's own defaults for Vitis where there are none.

    ``pareto/N/proxy.onnx`` takes those of the whole conversion, two folders up. Input ports are taken over only where the settings
    name the digest of this very file: another member of the front may need another port.

    Args:
        proxy: Path of a proxy.

    Raises:
        ValueError: The settings file is not one of hgq-onnx.
    """
    path = Path(proxy)
    folders = [path.parent]
    if path.parent.parent.name == 'pareto':
        folders.append(path.parent.parent.parent)
    for folder in folders:
        file = folder / CONFIG_FILE
        if file.is_file():
            return _parse(file, hashlib.sha256(path.read_bytes()).hexdigest())
    return Settings()


def _parse(file: Path, digest: str) -> Settings:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding='utf-8'))
        if not str(found['schema']).startswith('hgq-onnx/hls4ml/'):
            raise KeyError('schema')
        config = found['hls_config']
        layers = config['LayerName'].items()
        ports = {name: layer['Precision']['result'] for name, layer in layers if 'Precision' in layer}
        return Settings(
            backend=found['backend'],
            io_type=found['io_type'],
            default_precision=found['default_precision'],
            strategy=config['Model']['Strategy'],
            reuse_factor=int(config['Model']['ReuseFactor']),
            input_ports=ports if found['proxy_sha256'] == digest else {},
        )
    except (KeyError, TypeError, json.JSONDecodeError) as e:
        raise ValueError(f'{file} is not a settings file of hgq-onnx ({e!r})') from e


def metadata(model: Any) -> dict[str, str]:
    """Metadata of an ONNX model (or of qonnx's wrapper of one)."""
    proto = getattr(model, 'model', model)
    return {entry.key: entry.value for entry in getattr(proto, 'metadata_props', ())}


def latency_layers(model: Any) -> list[str]:
    """Layers with a filter per channel: hls4ml has them with the strategy ``Latency`` only.

    Args:
        model: A proxy, as an ONNX model.
    """
    groups = ((node, a.i) for node in model.graph.node if node.op_type == 'Conv' for a in node.attribute if a.name == 'group')
    return [node.name for node, group in groups if group > 1]


def is_distributed(strategy: str) -> bool:
    """True for what hls4ml takes as distributed arithmetic.

    Args:
        strategy: A strategy in hls4ml's spelling, or near it.
    """
    return strategy.replace('_', '').lower() in ('distributedarithmetic', 'da')


def is_elementwise(model: Any) -> bool:
    """True for a ``proxy_elementwise.onnx``, which needs the plug-in."""
    return metadata(model).get(FORM_KEY) == 'elementwise'
