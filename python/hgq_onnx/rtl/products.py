"""Products of elements with constant matrices, by alkaid's optimiser of shared sub-expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from hgq_onnx.rtl.cast import plain, settled

# of alkaid's options those that its solver does not know itself
_NOT_OF_SOLVER = ('binary_lut', 'binary_lut_width', 'offload_fn', 'qintervals', 'latencies')


class Products:
    """The products of one walk; the same product of the same formats is solved once.

    Args:
        options: alkaid's ``solver_options``.
    """

    def __init__(self, options: dict[str, Any] | None):
        self._options = {name: value for name, value in (options or {}).items() if name not in _NOT_OF_SOLVER}
        self._solved: dict[Any, Any] = {}

    def __call__(self, row: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """``row @ weights``.

        Args:
            row: Elements, shape (n,).
            weights: Numbers, shape (n, m), which single precision holds.

        Returns:
            Elements, shape (m,).
        """
        if np.any(weights != weights.astype(np.float32)):
            raise ValueError('a weight has more than 24 significant bits')
        row = np.array([settled(x) for x in row] + [None], object)[:-1]
        known = np.array([isinstance(x, float) for x in row])
        constant = row[known].astype(np.float64) @ weights[known]
        used = ~known & np.any(weights != 0, axis=1)
        columns = np.any(weights[used] != 0, axis=0)
        result = np.array(constant, object)
        if np.any(used) and np.any(columns):
            sums = self._sums(row[used], weights[np.ix_(used, columns)])
            pairs = zip(sums, constant[columns], strict=True)
            result[columns] = [plain(s + c) if c else s for s, c in pairs]
        return result

    def _sums(self, row: np.ndarray, weights: np.ndarray) -> list[Any]:
        from alkaid.cmvm import QInterval, cmvm_solve

        intervals = [QInterval(float(v.low), float(v.high), float(v.step)) for v in row]
        latencies = [float(v.latency) for v in row]
        kernel = np.ascontiguousarray(weights, np.float32)
        key = (kernel.tobytes(), kernel.shape, tuple(intervals), tuple(latencies))
        if key not in self._solved:
            self._solved[key] = cmvm_solve(kernel, qintervals=intervals, latencies=latencies, **self._options)
        first, second = self._solved[key]
        sums = second(first(row, quantize=False), quantize=False)
        # alkaid has the sign of a variable that is another one times -1 there
        return [_negative(s) if getattr(s, '_factor', 1.0) < 0 else plain(s) for s in sums]


def _negative(s: Any) -> Any:
    """A sum that the solver gives as the negative of another: its bits inverted, and a constant.

    alkaid would spend an adder; the constant joins the bias, which is added anyway.
    """
    s = plain(s)
    if isinstance(s, float):
        return s
    positive = -s
    k, i, _ = positive.kif
    return ~positive + (positive.step if k else positive.step - 2.0 ** int(i))
