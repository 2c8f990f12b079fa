"""What can go wrong, as exceptions with the service's stable codes.

Every failure of the service is a problem document (RFC 9457); its ``code`` is stable and meant for programs, its texts are for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class HgqError(Exception):
    """Base of all exceptions of this package."""


class ServiceUnreachable(HgqError):
    """Nothing answers at the address, or the connection broke."""


class Problem(HgqError):
    """The service refused a request.

    Attributes:
        code: Stable name of what is wrong, e.g. ``unsupported_model``; ``http`` for an answer that is no problem document.
        status: HTTP status.
        detail: One sentence for people.
        nodes: Of a model that is not supported, every node in the way: ``{'name', 'op', 'reason'}``.
        faults: Every fault by itself, e.g. of a configuration.
        retry_after: Seconds after which another try makes sense, if the service says so.
    """

    def __init__(self, document: Mapping[str, Any], status: int = 0, retry_after: float | None = None):
        self.code: str = str(document.get('code', 'http'))
        self.status: int = int(document.get('status', status) or status)
        self.detail: str = str(document.get('detail', document.get('title', '')))
        self.nodes: list[dict[str, str]] = list(document.get('nodes') or [])
        self.faults: list[str] = list(document.get('faults') or [])
        self.retry_after = retry_after
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [f'{self.code}: {self.detail}']
        lines += [f'  {n.get("op", "?")} `{n.get("name", "?")}`: {n.get("reason", "")}' for n in self.nodes]
        # a fault that the sentence has already is not said twice
        lines += [f'  {fault}' for fault in self.faults if fault not in self.detail]
        return '\n'.join(lines)


class JobFailed(Problem):
    """A job ended with an error; ``job`` is the job as the service shows it."""

    def __init__(self, job: Mapping[str, Any]):
        self.job = dict(job)
        super().__init__(job.get('error') or {'code': 'internal', 'detail': 'the job failed and does not say why'})


class JobCanceled(HgqError):
    """A job was canceled; ``job`` is the job as the service shows it."""

    def __init__(self, job: Mapping[str, Any]):
        self.job = dict(job)
        super().__init__(f'job {job.get("id")} was canceled')


class RtlError(HgqError):
    """A proxy cannot become hardware, or what was written does not compute what the proxy does.

    Attributes:
        faults: One sentence for each thing that is wrong; it begins with the name of the node.
    """

    def __init__(self, what: str, faults: Sequence[str] = ()):
        self.faults: list[str] = list(faults)
        super().__init__('\n'.join([what, *(f'  {fault}' for fault in self.faults)]))
