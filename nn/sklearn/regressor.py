"""`NeuralNetRegressor`. Imports base.py beside it and scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from tensorgraph.errors import ShapeError, sig
from tensorgraph.nn.sklearn.base import NeuralNet
from tensorgraph.tensor import Tensor

__all__ = ["NeuralNetRegressor"]


class NeuralNetRegressor(RegressorMixin, NeuralNet):
    """A network that predicts numbers, as a scikit-learn estimator.

    >>> import numpy as np
    >>> from tensorgraph.nn.sklearn import NeuralNetRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> net = NeuralNetRegressor(lr=0.01, random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> net.score(X, np.sin(3 * X[:, 0])) > 0.95
    True

    y (N,), or (N, K) for several numbers at once; the module returns (N, K), or (N,) where K is 1. Targets far from
    unit size learn slowly: `sklearn.compose.TransformedTargetRegressor` scales them. criterion is MSELoss unless said.
    Everything else is as in `NeuralNetClassifier`.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for `max_epochs`. sample_weight (N,) scales the loss of each sample. Returns the estimator."""
        return self._fit(X, y, sample_weight, None, fresh=not (self.warm_start and hasattr(self, "module_")))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for one epoch and leaves the rest as it is. Returns the estimator."""
        return self._fit(X, y, sample_weight, 1, fresh=not hasattr(self, "module_"))

    def predict(self, X: Any) -> np.ndarray:
        """The prediction for every sample: (N,) or (N, K), as y was."""
        output = self._predicted(X)
        return output[:, 0] if self._flat else output

    def _learn_targets(self, y: Any, fresh: bool, classes: Any) -> np.ndarray:
        y = check_array(y, ensure_2d=False, dtype="float64", input_name="y")
        columns = y.reshape(len(y), -1)
        if fresh:
            self._flat, self.n_outputs_ = y.ndim == 1, columns.shape[1]
        if columns.shape[1] != self.n_outputs_:
            raise ShapeError(f"{type(self).__name__}: y {sig(y)} has {columns.shape[1]} columns, not {self.n_outputs_}")
        return columns

    def _suitable_loss(self, output: Tensor) -> str:
        return "MSELoss"

    def _arrange(self, output: Any) -> Tensor:
        n, shape = self.n_outputs_, getattr(output, "shape", ())
        if shape[1:] == (n,) or (n == 1 and len(shape) == 1):
            return output.reshape(-1, n)
        raise ShapeError(
            f"{type(self).__name__}: the module returns {sig(output)}, and y has {n} column{'s' * (n != 1)}",
            hint=f"a module that returns (N, {n}); a parameter of it called out_features is set by itself",
        )
