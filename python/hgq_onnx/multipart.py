"""``multipart/form-data`` (RFC 7578) from files, bytes and arrays, sent as it is read: a data set never has to fit into memory twice."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_BLOCK = 1 << 20


class Form:
    """The body of a request.

    Attributes:
        content_type: Value of the header, with the boundary.
        length: Bytes in all.
    """

    def __init__(self) -> None:
        self._boundary = uuid.uuid4().hex
        self._pieces: list[bytes | Path] = []
        self.content_type = f'multipart/form-data; boundary={self._boundary}'
        self.length = 0

    def add(self, name: str, content: bytes | Path) -> None:
        """Adds a part: bytes, or a file that is read when the body is sent."""
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        for piece in (head.encode(), content, b'\r\n'):
            self._pieces.append(piece)
            self.length += piece.stat().st_size if isinstance(piece, Path) else len(piece)

    def close(self) -> Form:
        """Ends the body."""
        end = f'--{self._boundary}--\r\n'.encode()
        self._pieces.append(end)
        self.length += len(end)
        return self

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            with piece.open('rb') as file:
                while block := file.read(_BLOCK):
                    yield block


def content(value: Any, what: str) -> bytes | Path:
    """A part's content.

    Args:
        value: A path, bytes, an array (sent as ``.npy``) or a mapping of names to arrays (sent as ``.npz``); for an ONNX model also
            anything with ``SerializeToString``.
        what: Name of the part, for messages.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: None of the above.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (str, os.PathLike)):
        path = Path(value)
        if not path.is_file():
            raise FileNotFoundError(f'{what}: there is no file {path}')
        return path
    if hasattr(value, 'SerializeToString'):
        return value.SerializeToString()
    buffer = io.BytesIO()
    if isinstance(value, Mapping):
        np.savez(buffer, **{name: np.asarray(array) for name, array in value.items()})
    elif isinstance(value, np.ndarray):
        np.save(buffer, value)
    else:
        raise TypeError(f'{what}: a path, bytes, an array or a mapping of arrays is needed, not {type(value).__name__}')
    return buffer.getvalue()
