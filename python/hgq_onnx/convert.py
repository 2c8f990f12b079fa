"""A proxy in hls4ml: the plain stock call, with the settings that belong to the file.

Nothing here changes what hls4ml does. The same call by hand is in the README of hgq-onnx; this one does not forget the input port.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hgq_onnx.errors import HgqError
from hgq_onnx.settings import PORT_KEY, Settings, is_distributed, is_elementwise, latency_layers, metadata, read_settings

# hls4ml 1.3.0 refuses Catapult, and its project for Quartus does not compile: the casts are called but not written
_ELEMENTWISE_BACKENDS = ('Vitis', 'Vivado')


def convert_proxy(
    path: str | os.PathLike[str],
    *,
    output_dir: str | os.PathLike[str] = 'hls',
    backend: str | None = None,
    io_type: str | None = None,
    strategy: str | None = None,
    reuse_factor: int | None = None,
    project_name: str = 'proxy',
    hls_config: Mapping[str, Any] | None = None,
    **kw: Any,
) -> Any:
    """Converts a proxy with hls4ml.

    Settings that are not given come from ``hls4ml_config.json`` beside the proxy, the input port first of all from the file itself.
    ``proxy_elementwise.onnx`` is taken as well; it needs the plug-in, which is registered here if hls4ml has not loaded it.

    Args:
        path: ``proxy.onnx``, a member of ``pareto/`` or ``proxy_elementwise.onnx``.
        output_dir: Where hls4ml writes its project.
        backend: hls4ml's backend, e.g. ``Vitis``.
        io_type: ``io_parallel`` or ``io_stream``.
        strategy: ``Latency``, ``Resource`` or ``distributed_arithmetic``, which needs da4ml.
        reuse_factor: How often a multiplier is used per sample with ``Resource``.
        project_name: Name of the generated top function.
        hls_config: Laid over the configuration, e.g. ``{'LayerName': {'x': {'Precision': {'result': 'fixed<12,4>'}}}}``.
        **kw: Further arguments of ``hls4ml.converters.convert_from_onnx_model``, e.g. ``part`` or ``clock_period``.

    Returns:
        hls4ml's ``ModelGraph``, converted but not compiled: ``.compile()`` and ``.predict(x)`` run the C++ (pass float64 where exact
        values matter: hls4ml hands doubles to the project), ``.build()`` synthesises.

    Raises:
        HgqError: hls4ml (or da4ml, for the strategy that needs it) is not installed, or the file cannot be converted with these settings.
        ValueError: The settings file is not one of hgq-onnx.
    """
    try:
        import hls4ml
        import onnx
    except ImportError as e:
        raise HgqError(f'convert_proxy needs hls4ml: pip install "hgq-onnx[hls4ml]" ({e})') from e
    given = {'backend': backend, 'io_type': io_type, 'strategy': strategy, 'reuse_factor': reuse_factor}
    settings = replace(read_settings(path), **{name: value for name, value in given.items() if value is not None})
    if is_distributed(settings.strategy):
        _check_distributed(settings)
    model = onnx.load(os.fspath(path))
    elementwise = is_elementwise(model)
    if elementwise:
        from hgq_onnx import plugin

        if settings.io_type != 'io_parallel':
            raise HgqError('proxy_elementwise.onnx has one type per element, which hls4ml has in io_parallel only; use proxy.onnx')
        if settings.backend not in _ELEMENTWISE_BACKENDS:
            known = ' and '.join(_ELEMENTWISE_BACKENDS)
            raise HgqError(f'hls4ml writes casts of single elements for {known}, not for {settings.backend}; use proxy.onnx')
        plugin.register()
    config = hls4ml.utils.config_from_onnx_model(
        model,
        granularity='name',
        backend=settings.backend,
        default_precision=settings.default_precision,
        default_reuse_factor=settings.reuse_factor,
    )
    config['Model']['Strategy'] = settings.strategy
    for layer in config['LayerName'].values():
        if 'Strategy' in layer:
            layer['Strategy'] = settings.strategy
    if settings.strategy.lower() != 'latency':
        for name in latency_layers(model):
            config['LayerName'].setdefault(name, {})['Strategy'] = 'Latency'
    if not elementwise:
        # the plug-in types the port itself, from the quantizers behind it
        for name, port in _ports(model, settings).items():
            config['LayerName'][name].setdefault('Precision', {})['result'] = port
    _overlay(config, hls_config or {})
    return hls4ml.converters.convert_from_onnx_model(
        model,
        output_dir=os.fspath(output_dir),
        project_name=project_name,
        backend=settings.backend,
        io_type=settings.io_type,
        hls_config=config,
        **kw,
    )


def _check_distributed(settings: Settings) -> None:
    """Refuses distributed arithmetic where hls4ml would stop half-way, or do something else without a word."""
    if settings.backend.lower() not in ('vitis', 'vivado'):
        raise HgqError(f'hls4ml has distributed arithmetic for Vitis and Vivado, not for {settings.backend}; use strategy Latency')
    if settings.reuse_factor != 1:
        raise HgqError(f'distributed arithmetic has no multipliers to use again: reuse_factor is {settings.reuse_factor}, not 1')
    try:
        import da4ml  # noqa: F401
    except ImportError as e:
        raise HgqError(f'the strategy distributed_arithmetic needs da4ml: pip install "da4ml>=0.5.2,<0.6" ({e})') from e


def _ports(model: Any, settings: Settings) -> dict[str, str]:
    """Type of each input: what the file states, else what the settings say, else the default precision."""
    stated = metadata(model).get(PORT_KEY)
    return {i.name: stated or settings.input_ports.get(i.name, settings.default_precision) for i in model.graph.input}


def _overlay(config: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _overlay(config[key], value)
        else:
            config[key] = value
