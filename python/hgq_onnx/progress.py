"""Progress of a job: tqdm's bar where tqdm is installed, otherwise one line of text that is redrawn on a terminal."""

from __future__ import annotations

import sys
from typing import IO, Any

from hgq_onnx.events import Event

_WIDTH = 24


class Progress:
    """Shows the events of one job.

    Args:
        stream: Where text goes; default: standard error.
    """

    def __init__(self, stream: IO[str] | None = None):
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._open = False
        self._stage = ''

    def show(self, event: Event) -> None:
        """Takes the next event."""
        if event.kind == 'epoch':
            self._epoch(event.data)
        elif event.kind == 'stage':
            self._stage = str(event.data.get('stage', ''))
            if self._stage != 'train':
                step, steps = event.data.get('step'), event.data.get('steps')
                self._line(f'{self._stage} {step}/{steps}' if steps else self._stage, passes=bool(steps))
        elif event.kind == 'note':
            self._end_line()
            self._stream.write(f'{event.data.get("code")}: {event.data.get("message")}\n')

    def close(self) -> None:
        """Ends the line or the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._end_line()
        self._stream.flush()

    def _epoch(self, data: dict[str, Any]) -> None:
        epoch, epochs = int(data.get('epoch', 0)), max(int(data.get('epochs', 1)), 1)
        numbers = f'EBOPs {data.get("ebops", 0):.0f}, metric {data.get("metric", 0):.4g}, loss {data.get("loss", 0):.4g}'
        tqdm = _tqdm()
        if tqdm is not None:
            if self._bar is None:
                self._end_line()
                self._bar = tqdm(total=epochs, unit='epoch')
            # epochs may be told more than once after a restart
            self._bar.update(max(epoch - self._bar.n, 0))
            self._bar.set_postfix_str(numbers)
            return
        filled = _WIDTH * epoch // epochs
        self._line(f'[{"#" * filled}{"." * (_WIDTH - filled)}] {epoch}/{epochs}  {numbers}', passes=epoch < epochs)

    def _line(self, text: str, passes: bool = False) -> None:
        if self._stream.isatty():
            self._stream.write(f'\r\x1b[K{text}')
            self._open = True
        elif not passes:
            # a log gets no line per epoch or step
            self._stream.write(f'{text}\n')
        self._stream.flush()

    def _end_line(self) -> None:
        if self._open:
            self._stream.write('\n')
            self._open = False


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm
