"""`NeuralNetClassifier`. Imports base.py beside it and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from tensorgraph import ops
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn import optim
from tensorgraph.nn.module import Module
from tensorgraph.nn.sklearn.base import NeuralNet
from tensorgraph.nn.train import Accuracy, Callback, Metric
from tensorgraph.tensor import Tensor

__all__ = ["NeuralNetClassifier"]


class NeuralNetClassifier(ClassifierMixin, NeuralNet):
    """A network that classifies, as a scikit-learn estimator.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from tensorgraph.nn.sklearn import NeuralNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = make_pipeline(StandardScaler(), NeuralNetClassifier(random_state=0)).fit(X, y)
    >>> net.score(X, y) > 0.95
    True

    module: a class or function that makes a module, called with the parameters `module__<name>`; or a module, of which
    every `fit` trains a copy, from the weights that it has. Parameters called in_features, out_features, num_classes
    and in_channels that are not set get the sizes of the data. None: a multi-layer perceptron, `module__hidden` its
    sizes (an integer or several), `module__dropout`.

    X (N, features), or (N, C, H, W) and whatever else the module takes; float32 and float64 stay what they are, the
    module follows, and all else becomes float32. `dtype` decides otherwise; "int64" is for modules that look numbers
    up (Embedding). y (N,) labels of any kind, or (N, K) of 0 and 1 where several may hold at once. The module returns
    a logit for every class (N, K), or for two classes a single one.

    criterion: a loss, or its name in nn (None: CrossEntropyLoss, or BCEWithLogitsLoss where logits stand alone).
    optimizer: a name or a class of nn.optim, with `lr` its learning rate. scheduler: likewise of nn.optim.lr_scheduler;
    steps after every epoch. `criterion__<name>`, `optimizer__<name>` and `scheduler__<name>` are settings of theirs.
    batch_size: None takes all samples at once. class_weight: None, "balanced", or a dictionary of labels.

    validation_fraction of the samples are held back and watched (0: none). patience: so many epochs without a better
    loss, of the samples held back if there are any, end the training, and the best weights are kept. callbacks: those
    of nn.train; every `fit` uses copies. warm_start: a second `fit` goes on from the first. verbose shows progress.
    random_state: an integer makes everything reproducible and leaves other random numbers alone; with None they come
    from where `tensorgraph.manual_seed` sets them.

    After `fit`: `module_`, `optimizer_`, `history_` (an nn.train.History: a row per epoch), `classes_`,
    `n_features_in_`.

    Raises ArgumentError: a parameter that makes no sense; ShapeError: the module returns something else than K logits;
    DivergenceError: the loss is not finite any more.
    """

    def __init__(
        self,
        module: Module | Callable[..., Module] | None = None,
        *,
        criterion: str | Callable[..., Any] | None = None,
        optimizer: str | Callable[..., optim.Optimizer] = "Adam",
        lr: float = 1e-3,
        scheduler: str | Callable[..., Any] | None = None,
        batch_size: int | None = 32,
        max_epochs: int = 50,
        class_weight: Mapping[Any, float] | str | None = None,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        callbacks: Sequence[Callback] = (),
        warm_start: bool = False,
        verbose: bool | int = False,
        random_state: Any = None,
        device: str | None = None,
        dtype: Any = None,
        **module__setting: Any,  # and criterion__, optimizer__, scheduler__; named like what it holds
    ):
        super().__init__(
            module, criterion=criterion, optimizer=optimizer, lr=lr, scheduler=scheduler, batch_size=batch_size,
            max_epochs=max_epochs, validation_fraction=validation_fraction, patience=patience, callbacks=callbacks,
            warm_start=warm_start, verbose=verbose, random_state=random_state, device=device, dtype=dtype,
            **module__setting,
        )  # fmt: skip
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for `max_epochs`. sample_weight (N,) scales the loss of each sample. Returns the estimator."""
        return self._fit(X, y, sample_weight, None, fresh=not (self.warm_start and hasattr(self, "module_")))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Trains for one epoch and leaves the rest as it is. The first call needs all `classes`, unless y has them."""
        if self.class_weight == "balanced":
            raise ArgumentError(
                f"{type(self).__name__}.partial_fit: class_weight='balanced' needs all labels at once",
                hint="a dictionary of weights: sklearn.utils.class_weight.compute_class_weight",
            )
        return self._fit(X, y, sample_weight, 1, fresh=not hasattr(self, "module_"), classes=classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of every class (N, K), in the order of `classes_`."""
        output = self._predicted(X)
        if self._multilabel:
            return ops.sigmoid(output)
        if output.ndim == 1:
            p = ops.sigmoid(output)
            return np.stack([1 - p, p], axis=1)
        return ops.softmax(output, axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of every sample (N,), or (N, K) of 0 and 1."""
        return self._labels(self._predicted(X))

    def _labels(self, output: np.ndarray) -> np.ndarray:
        if self._multilabel:
            return (output > 0).astype(np.int64)
        return self.classes_[output.argmax(axis=1) if output.ndim == 2 else (output > 0).astype(np.int64)]

    def _weights(self, X: np.ndarray, y: np.ndarray, weight: Any) -> list[np.ndarray]:
        weights = super()._weights(X, y, weight)
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, y)
        return [by_class * weights[0] if weights else by_class]

    def _learn_targets(self, y: Any, fresh: bool, classes: Any) -> np.ndarray:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ArgumentError(f"{type(self).__name__}: y {sig(y)} has several columns of more than two classes each")
        multilabel = kind == "multilabel-indicator"
        if multilabel:
            y = y.toarray() if hasattr(y, "toarray") else y
        else:
            y = column_or_1d(y, warn=True)
        if fresh:
            self._multilabel = multilabel
            self.classes_ = np.arange(y.shape[1]) if multilabel else np.unique(y if classes is None else classes)
            self.n_outputs_ = len(self.classes_)
        if multilabel != self._multilabel or (multilabel and y.shape[1] != self.n_outputs_):
            raise ShapeError(f"{type(self).__name__}: y {sig(y)} is of another kind than that of the first fit")
        if multilabel:
            return y.astype(np.float64)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ArgumentError(
                f"{type(self).__name__}: y has the label {unknown[0]!r}, which is none of the classes {self.classes_}",
                hint="partial_fit(X, y, classes=...) names all of them in the first call",
            )
        return np.searchsorted(self.classes_, y)

    def _suitable_loss(self, output: Tensor) -> str:
        self._alone = self._multilabel or output.ndim == 1  # each logit for itself, not one class against the others
        return "BCEWithLogitsLoss" if self._alone else "CrossEntropyLoss"

    def _metrics(self) -> dict[str, Metric]:
        return {"accuracy": Accuracy(threshold=0.0 if self._alone else None)}

    def _arrange(self, output: Any) -> Tensor:
        n, shape = self.n_outputs_, getattr(output, "shape", ())
        if len(shape) == 2 and shape[1] == n:
            return output
        if n == 2 and not self._multilabel and shape[1:] in ((), (1,)) and shape:
            return output.reshape(-1)
        raise ShapeError(
            f"{type(self).__name__}: the module returns {sig(output)}, and there are {n} classes",
            hint=f"a module that returns (N, {n}) logits; a parameter of it called num_classes is set by itself",
        )

    def _loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        return super()._loss(output, target.astype(output.dtype) if output.ndim == 1 else target, weight)
