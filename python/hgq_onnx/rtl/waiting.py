"""Functions that wait for what reads them.

A Relu and the cast after it are one thing in logic, and so are a table and its cast: the table
gets the entries of the result. Where something else reads the function, it is written as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hgq_onnx.rtl.formats import Format

Function = Callable[[np.ndarray], np.ndarray]


@dataclass
class Rectified:
    """``max(base, 0)`` of a variable."""

    base: Any
    _made: list[Any] = field(default_factory=list)

    def settled(self) -> Any:
        """The element as a variable or a number."""
        if not self._made:
            v = self.base.relu()
            self._made.append(float(v.low) if v.low == v.high else v)
        return self._made[0]


@dataclass
class Tabulated:
    """``function(base)`` of a variable of few values."""

    base: Any
    function: Function

    def settled(self) -> Any:
        """The element as a variable or a number."""
        return looked_up(self.base, self.function)

    def cast(self, to: Format) -> Any:
        """The element in a format: the entries are cast."""
        return looked_up(self.base, lambda x: to.apply(self.function(x)))


def looked_up(v: Any, function: Function) -> Any:
    """A table with an entry for each value that ``v`` can have."""
    count = round((v.high - v.low) / v.step) + 1
    entries = function(v.low + v.step * np.arange(count))
    if np.all(entries == entries[0]):
        return float(entries[0])
    return v.lookup(entries)
