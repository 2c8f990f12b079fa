"""The HTTP service from a notebook: send a model, watch it train, fetch the proxy.

HTTP by the standard library. Every refusal is an exception with the service's stable code (:mod:`hgq_onnx.errors`); lost connections
are taken up again where that is safe: reading repeats, and a job is sent with an idempotency key, so that it is never queued twice.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgq_onnx.errors import HgqError, JobCanceled, JobFailed, Problem, ServiceUnreachable
from hgq_onnx.events import Event, parse
from hgq_onnx.multipart import Form, content
from hgq_onnx.progress import Progress

_FINAL = ('succeeded', 'failed', 'canceled')
# reading and sending again after a broken connection
_TRIES = 5
_PAUSE = 0.5
# the service sends a comment on idle streams far more often than this
_STREAM_TIMEOUT = 120.0


@dataclass(frozen=True)
class Result:
    """What a conversion gave.

    Attributes:
        job: The job as the service shows it: ``ebops``, ``target_met``, ``unmet`` …
        report: ``report.json``.
        folder: Where the artifacts were put; ``None`` if they were not fetched.
    """

    job: dict[str, Any]
    report: dict[str, Any]
    folder: Path | None

    @property
    def proxy(self) -> Path | None:
        """Path of ``proxy.onnx``, for :func:`hgq_onnx.convert_proxy`."""
        return None if self.folder is None else self.folder / 'proxy.onnx'

    @property
    def ebops(self) -> int:
        """Exact EBOPs of the proxy."""
        return int(self.job['ebops'])


class Client:
    """A service of hgq-onnx.

    Models are paths, bytes or ONNX objects; data are paths, bytes, arrays (``x``) or mappings of names to arrays (``{'x': …, 'y': …}``),
    first axis = samples.

    Args:
        url: Address of the service, e.g. ``http://127.0.0.1:8080``.
        token: What ``hgq-onnx token`` printed, where the service asks for one.
        timeout: Seconds to wait for an answer.

    Raises (of all methods):
        Problem: The service refuses the request; see ``code``.
        ServiceUnreachable: Nothing answers.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0):
        if urllib.parse.urlsplit(url).scheme not in ('http', 'https'):
            raise ValueError(f'{url!r} is not the address of a service: http://HOST:PORT is needed')
        self.url = url.rstrip('/')
        self._token = token
        self._timeout = timeout

    def inspect(self, model: Any) -> dict[str, Any]:
        """What is in a model and what of it is supported. A model that is not is an answer here, no exception."""
        return self._json('POST', '/v1/inspect', form=_form({'model': model}))

    def verify(self, proxy: Any, inputs: Any, expected: Any = None) -> dict[str, Any]:
        """Executes a proxy in integers: ``samples``, ``mismatches`` (``None`` without ``expected``), ``first``, ``saturations``."""
        return self._json('POST', '/v1/verify', form=_form({'model': proxy, 'inputs': inputs, 'expected': expected}))

    def submit(
        self,
        model: Any,
        calibration: Any,
        train: Any = None,
        validation: Any = None,
        config: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Queues a conversion and returns its job at once.

        Args:
            config: Fields of the job's configuration, e.g. ``{'target_ebops': 5000, 'epochs': 100}``.
        """
        parts = {'model': model, 'calibration': calibration, 'train': train, 'validation': validation}
        if config is not None:
            parts['config'] = json.dumps(config).encode()
        headers = {'Idempotency-Key': uuid.uuid4().hex}
        return self._json('POST', '/v1/jobs', form=_form(parts), headers=headers)

    def convert(
        self,
        model: Any,
        calibration: Any,
        train: Any = None,
        validation: Any = None,
        config: Mapping[str, Any] | None = None,
        out: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> Result:
        """Queues a conversion, waits for it and fetches what it made.

        Args:
            config: As of :meth:`submit`.
            out: Folder for the artifacts; without it only the report is fetched.
            progress: Show a bar.

        Raises:
            JobFailed: The job ended with an error. A job that missed its target has succeeded: see ``job['target_met']``.
            JobCanceled: Somebody canceled it. ``KeyboardInterrupt`` while waiting cancels it here.
        """
        job = self.submit(model, calibration, train, validation, config)
        try:
            job = self.wait(job['id'], progress=progress)
        except KeyboardInterrupt:
            self.cancel(job['id'])
            raise
        folder = None if out is None else self.download(job['id'], out)
        report = json.loads(self.artifact(job['id'], 'report.json'))
        return Result(job, report, folder)

    def wait(self, job_id: str, progress: bool = False) -> dict[str, Any]:
        """Follows a job until it has succeeded.

        Raises:
            JobFailed, JobCanceled: It ended otherwise.
        """
        bar = Progress() if progress else None
        try:
            for event in self.events(job_id):
                if bar is not None:
                    bar.show(event)
        finally:
            if bar is not None:
                bar.close()
        job = self.job(job_id)
        if job['state'] == 'failed':
            raise JobFailed(job)
        if job['state'] == 'canceled':
            raise JobCanceled(job)
        return job

    def events(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """The events of a job from behind number ``after``, each once and in order, until the job ends. Broken streams are resumed."""
        broken = 0
        while True:
            before = after
            try:
                headers = {'Last-Event-ID': str(after), 'Accept': 'text/event-stream'}
                with self._open('GET', f'{_path(job_id)}/events', headers=headers, timeout=_STREAM_TIMEOUT) as stream:
                    for event in parse(stream):
                        after = event.id
                        yield event
                        if event.kind == 'state' and event.data.get('state') in _FINAL:
                            return
            except (OSError, http.client.HTTPException, ServiceUnreachable) as e:
                broken = 0 if after > before else broken + 1
                if broken >= _TRIES:
                    raise ServiceUnreachable(f'{self.url}: the events of job {job_id} cannot be read: {e}') from e
                time.sleep(_PAUSE)
                continue
            # a stream that ends without a last state: the service goes down, or the job had ended with nothing new to tell
            if self.job(job_id)['state'] in _FINAL and after == before:
                return
            time.sleep(0 if after > before else _PAUSE)

    def job(self, job_id: str, wait: float | None = None) -> dict[str, Any]:
        """A job as it is; with ``wait`` (seconds, up to 300) when it has ended, or as it is then."""
        query = '' if wait is None else f'?wait={max(int(wait), 0)}s'
        return self._json('GET', _path(job_id) + query, timeout=self._timeout + (wait or 0))

    def jobs(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Your jobs, the newest first; at most ``limit``."""
        found: list[dict[str, Any]] = []
        path: str | None = '/v1/jobs' + ('' if limit is None else f'?limit={min(max(limit, 1), 100)}')
        while path and (limit is None or len(found) < limit):
            page = self._json('GET', path)
            found += page['jobs']
            path = page.get('next')
        return found[:limit]

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancels a job: a queued one at once, a running one within a batch. One that has ended stays as it is."""
        return self._json('DELETE', _path(job_id))

    def artifacts(self, job_id: str) -> list[dict[str, Any]]:
        """What a job made: ``name``, ``digest``, ``bytes``, ``href`` of each file."""
        return self._json('GET', f'{_path(job_id)}/artifacts')['artifacts']

    def artifact(self, job_id: str, name: str) -> bytes:
        """One file of a job, e.g. ``proxy.onnx``."""
        path = f'{_path(job_id)}/artifacts/{urllib.parse.quote(name)}'
        return self._read('GET', path)

    def download(self, job_id: str, out: str | os.PathLike[str]) -> Path:
        """Puts all files of a job into a folder, as ``hgq-onnx convert --out`` lays them out; ``report.json`` comes last.

        Raises:
            HgqError: The service names a file outside of the folder.
        """
        folder = Path(out)
        names = [a['name'] for a in self.artifacts(job_id)]
        for name in sorted(names, key=lambda n: n == 'report.json'):
            parts = name.split('/')
            # the service is trusted with the content of files, not with where they go
            if name.startswith('/') or '\\' in name or any(p in ('', '.', '..') for p in parts):
                raise HgqError(f'the service names a file {name!r}')
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.artifact(job_id, name))
        return folder

    def _json(self, method: str, path: str, **kw: Any) -> Any:
        return json.loads(self._read(method, path, **kw))

    def _read(self, method: str, path: str, headers: Mapping[str, str] | None = None, **kw: Any) -> bytes:
        repeats = method in ('GET', 'DELETE') or 'Idempotency-Key' in (headers or {})
        for attempt in range(1, _TRIES + 1):
            try:
                with self._open(method, path, headers=headers, **kw) as answer:
                    return answer.read()
            except (OSError, http.client.HTTPException, ServiceUnreachable) as e:
                if not repeats or attempt == _TRIES:
                    raise e if isinstance(e, ServiceUnreachable) else ServiceUnreachable(f'{self.url}: {e}') from e
                time.sleep(_PAUSE)
        raise AssertionError('unreachable')

    def _open(
        self,
        method: str,
        path: str,
        form: Form | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        request = urllib.request.Request(self.url + path, data=form, method=method, headers=dict(headers or {}))
        if form is not None:
            request.add_header('Content-Type', form.content_type)
            request.add_header('Content-Length', str(form.length))
        if self._token is not None:
            request.add_header('Authorization', f'Bearer {self._token}')
        try:
            return urllib.request.urlopen(request, timeout=timeout or self._timeout)
        except urllib.error.HTTPError as e:
            with e:
                raise _problem(e) from None
        except urllib.error.URLError as e:
            raise ServiceUnreachable(f'{self.url}: {e.reason}') from e


def _path(job_id: str) -> str:
    return f'/v1/jobs/{urllib.parse.quote(job_id, safe="")}'


def _form(parts: Mapping[str, Any]) -> Form:
    form = Form()
    for name, value in parts.items():
        if value is not None:
            form.add(name, content(value, name))
    return form.close()


def _problem(answer: urllib.error.HTTPError) -> Problem:
    retry = answer.headers.get('Retry-After', '')
    try:
        document = json.loads(answer.read())
        if not isinstance(document, dict):
            raise ValueError
    except (ValueError, OSError):
        # something in between that is not the service
        document = {'code': 'http', 'detail': f'{answer.code} {answer.reason}'}
    return Problem(document, answer.code, float(retry) if retry.isdigit() else None)
