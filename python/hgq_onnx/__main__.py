"""``python -m hgq_onnx COMMAND …``: what of this package is also a command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hgq_onnx.errors import HgqError
from hgq_onnx.rtl import command as rtl


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the exit status is 0, or 1 with a message on stderr."""
    parser = argparse.ArgumentParser(prog='python -m hgq_onnx', description='Proxies of hgq-onnx, beyond hls4ml')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    rtl.add(commands)
    given = parser.parse_args(arguments)
    try:
        given.run(given)
    except (HgqError, ValueError, OSError) as e:
        print(f'{parser.prog} {given.command}: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
