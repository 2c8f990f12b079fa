"""Server-sent events (the ``text/event-stream`` of the HTML standard) as the service writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event of a job.

    Attributes:
        id: Its number; they count from 1 without gaps.
        kind: ``state``, ``stage``, ``epoch`` or ``note``.
        data: What happened, e.g. ``{'epoch', 'epochs', 'loss', 'metric', 'ebops', 'beta'}``.
    """

    id: int
    kind: str
    data: dict[str, Any]


def parse(lines: Iterable[bytes]) -> Iterator[Event]:
    """Events from the lines of a stream. What comes without its closing empty line was cut off and has not been seen."""
    fields: dict[str, list[str]] = {}
    for raw in lines:
        line = raw.decode('utf-8').rstrip('\r\n')
        if line:
            name, _, value = line.partition(':')
            # a line that begins with a colon is a comment: it only keeps the connection alive
            if name:
                fields.setdefault(name, []).append(value.removeprefix(' '))
            continue
        if 'data' in fields and 'id' in fields:
            yield Event(int(fields['id'][-1]), fields.get('event', ['message'])[-1], json.loads('\n'.join(fields['data'])))
        fields = {}
