"""`NeuralNet`, what both estimators share: parameters with prefixes, making the parts, fitting, predicting.

The training itself is the `Trainer` of nn/train. Imported by classifier.py and regressor.py only; needs scikit-learn.
"""

from __future__ import annotations

import copy
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from tensorgraph import backends
from tensorgraph.data import ArrayDataset, DataLoader
from tensorgraph.errors import ArgumentError, DivergenceError, DtypeError, ShapeError, sig
from tensorgraph.generator import default_generator
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn import losses, optim
from tensorgraph.nn.models import MLP
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim import lr_scheduler
from tensorgraph.nn.train import Callback, EarlyStopping, History, LRSchedule, Metric, Trainer
from tensorgraph.tensor import Tensor

__all__ = ["NeuralNet"]

_FLOATS = (np.float32, np.float64)
_PARTS: dict[str, ModuleType | None] = {
    "module": None,
    "criterion": losses,
    "optimizer": optim,
    "scheduler": lr_scheduler,
}
"""what takes settings by prefix, with where a name is looked up"""


class NeuralNet(BaseEstimator, ABC):
    """What both estimators share: parameters, the module, the loop."""

    history_: History
    n_outputs_: int

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
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.scheduler = scheduler
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self._set(module__setting)

    # ---- parameters ----------------------------------------------------------------------------------------------
    def _set(self, settings: Mapping[str, Any]) -> None:
        """Keeps settings such as `module__hidden`, each under its own name."""
        unknown = [name for name in settings if not _is_setting(name)]
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__}: unknown parameter {unknown[0]!r}",
                hint=f"{', '.join(self._get_param_names())}, and {', '.join(f'{part}__<name>' for part in _PARTS)}",
            )
        vars(self).update(settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, those with a prefix among them."""
        return super().get_params(deep) | {name: value for name, value in vars(self).items() if _is_setting(name)}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by name, `module__hidden` and its like among them. Returns the estimator."""
        super().set_params(**{name: value for name, value in params.items() if not _is_setting(name)})
        self._set({name: value for name, value in params.items() if _is_setting(name)})
        return self

    def _settings(self, part: str) -> dict[str, Any]:
        """What is set for one part, without the prefix."""
        prefix = f"{part}__"
        return {name.removeprefix(prefix): value for name, value in vars(self).items() if name.startswith(prefix)}

    def _check_parameters(self) -> None:
        name = type(self).__name__
        check.integer(name, max_epochs=self.max_epochs)
        if self.batch_size is not None:
            check.integer(name, batch_size=self.batch_size)
        if check.fraction(name, validation_fraction=self.validation_fraction) == 1:
            raise ArgumentError(f"{name}: validation_fraction=1 leaves nothing to learn from")

    # ---- the parts -----------------------------------------------------------------------------------------------
    def _make(self, part: str, default: Any, *inputs: Any, **more: Any) -> Any:
        """A loss, an optimiser or a schedule: from a name, from what makes it, or one that is there already."""
        chosen, settings, room = getattr(self, part), self._settings(part), _PARTS[part]
        chosen = default if chosen is None else chosen
        if isinstance(chosen, str):
            check.choice(type(self).__name__, [n for n in room.__all__ if n[0].isupper()], **{part: chosen})  # type: ignore
            chosen = getattr(room, chosen)
        if isinstance(chosen, type) or part != "criterion":
            return chosen(*inputs, **more, **settings)
        self._refuse(part, settings)
        return copy.deepcopy(chosen)

    def _make_module(self, X: np.ndarray) -> Module:
        """The module to train: a copy of the one given, or a new one."""
        settings, make = self._settings("module"), _mlp if self.module is None else self.module
        if isinstance(make, Module):
            self._refuse("module", settings)
            return copy.deepcopy(make)
        if not callable(make):
            raise DtypeError(
                f"{type(self).__name__}: module is {sig(make)}",
                hint="a module, or a class or function that makes one",
            )
        sizes = {"in_features": math.prod(X.shape[1:]), "out_features": self.n_outputs_, "num_classes": self.n_outputs_}
        sizes |= {"in_channels": X.shape[1]} if X.ndim > 2 else {}
        made = make(**{name: size for name, size in sizes.items() if name in _keywords(make)} | settings)
        if not isinstance(made, Module):
            raise DtypeError(f"{type(self).__name__}: module(...) returned {sig(made)}, not a module")
        return made

    def _refuse(self, part: str, settings: Mapping[str, Any]) -> None:
        """Something that is made already takes no settings."""
        if settings:
            raise ArgumentError(
                f"{type(self).__name__}: {part}__{next(iter(settings))} is set, but {part} is made already",
                hint=f"give the class, {part}={type(getattr(self, part)).__name__}, or leave the setting out",
            )

    def _start(self, X: np.ndarray) -> None:
        """Fresh parts. One forward pass shows that module and data fit, and gives lazy layers their sizes."""
        dtype = X.dtype if X.dtype.kind == "f" else None
        module = self._make_module(X).to(device=self.device, dtype=dtype)
        with no_grad():
            output = self._arrange(module.eval()(Tensor(X[:2]).to(device=_home(module)[0])))
        self.module_ = module
        self.criterion_ = self._make("criterion", self._suitable_loss(output))
        if isinstance(self.criterion_, Module):
            self.criterion_.to(device=_home(module)[0], dtype=dtype)
        self.optimizer_ = self._make(
            "optimizer", "Adam", [p for p in module.parameters() if p.requires_grad], lr=self.lr
        )
        self.scheduler_ = None if self.scheduler is None else self._make("scheduler", None, self.optimizer_)
        self.history_ = History()

    @abstractmethod
    def _suitable_loss(self, output: Tensor) -> str:
        """The name of the loss for outputs of this kind."""

    @abstractmethod
    def _arrange(self, output: Any) -> Tensor:
        """The module's output in the one shape that loss and prediction expect, or ShapeError."""

    # ---- fitting -------------------------------------------------------------------------------------------------
    def _fit(self, X: Any, y: Any, weight: Any, epochs: int | None, fresh: bool, classes: Any = None) -> Self:
        """What `fit` and `partial_fit` share; `epochs` None is `max_epochs`, with samples held back where asked."""
        self._check_parameters()
        X, y = validate_data(
            self, X, y, reset=fresh, dtype=self._input_dtype(fresh), allow_nd=True, multi_output=True, y_numeric=False
        )
        weights = self._weights(X, y, weight)
        target = self._learn_targets(y, fresh, classes)
        with self._stream(fresh):
            if fresh:
                self._start(X)
            kind = _home(self.module_)[1]
            arrays = [X, target.astype(kind) if target.dtype.kind == "f" else target]
            arrays += [(weight / weight.mean()).astype(kind) for weight in weights]
            held_out = None
            if self.validation_fraction and epochs is None:
                arrays, held_out = self._split(arrays)
            self._train(arrays, held_out, self.max_epochs if epochs is None else epochs)
        return self

    def _input_dtype(self, fresh: bool) -> Any:
        """What X becomes: as `dtype` says, else that of the module, which is that of the X it was fitted to."""
        if self.dtype is not None:
            return backends.check_dtype(self.dtype)
        return _FLOATS if fresh else _home(self.module_)[1]

    @abstractmethod
    def _learn_targets(self, y: Any, fresh: bool, classes: Any) -> np.ndarray:
        """Targets as the loss takes them; sets `n_outputs_`, how many outputs they ask for."""

    def _weights(self, X: np.ndarray, y: np.ndarray, weight: Any) -> list[np.ndarray]:
        """The weights of the samples (N,) in a list, which is empty where all are alike."""
        if weight is None:
            return []
        weight = check_array(weight, ensure_2d=False, dtype="float64", input_name="sample_weight")
        if weight.ndim != 1:
            raise ShapeError(f"{type(self).__name__}: sample_weight must have one axis, got {sig(weight)}")
        check_consistent_length(X, weight)
        if weight.min() < 0 or not weight.any():
            wrong = "negative values" if weight.any() else "nothing but zeros"
            raise ArgumentError(f"{type(self).__name__}: sample_weight has {wrong}; at least one must be above zero")
        return [weight]

    def _split(self, arrays: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The part to learn from and the part to watch; every class in both in the same share."""
        seed = int(2**31 * float(default_generator("cpu").stream.uniform((), np.dtype("float64"))))
        labels = arrays[1] if arrays[1].dtype.kind == "i" else None
        parts: list[Any] = train_test_split(
            *arrays, test_size=self.validation_fraction, random_state=seed, stratify=labels
        )
        return parts[::2], parts[1::2]

    @contextmanager
    def _stream(self, fresh: bool) -> Iterator[None]:
        """Within it everything random follows `random_state`, and afterwards the default generators stand as before."""
        if self.random_state is None:
            yield
            return
        generators = [default_generator(name) for name in {"cpu", self.device or backends.get_default_device()}]
        before = [generator.get_state() for generator in generators]
        if fresh or not hasattr(self, "_streams"):
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            for generator in generators:
                generator.manual_seed(seed)
        else:
            for generator in generators:
                generator.set_state(self._streams[generator.device])
        try:
            yield
        finally:
            self._streams = {generator.device: generator.get_state() for generator in generators}
            for generator, state in zip(generators, before):
                generator.set_state(state)

    def _train(self, arrays: list[np.ndarray], held_out: list[np.ndarray] | None, epochs: int) -> None:
        """Trains for `epochs` more epochs."""
        n = len(arrays[0])
        size = min(self.batch_size or n, n)
        # a batch of one has no variance, which batch norm refuses; the sample comes again in other epochs
        loader = self._batches(arrays, shuffle=True, drop_last=n > size > 1 and n % size == 1)
        callbacks = [_Finite(), *copy.deepcopy(list(self.callbacks))]
        if self.scheduler_ is not None:
            callbacks.append(LRSchedule(self.scheduler_))
        if self.patience is not None:
            watched = "loss" if held_out is None else "val_loss"
            callbacks.append(EarlyStopping(watched, self.patience, restore_best=True))
        trainer = _Training(self, callbacks)
        trainer.fit(loader, trainer.epoch + epochs, validation=held_out and self._batches(held_out))
        self.module_.eval()

    def _metrics(self) -> dict[str, Metric]:
        """What is computed beside the loss."""
        return {}

    def _loss(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss of a batch: the mean over its samples, weighted where there are weights."""
        if weight is None:
            return self.criterion_(output, target)
        if getattr(self.criterion_, "reduction", None) != "mean":
            raise ArgumentError(
                f"{type(self).__name__}: weights need a criterion whose attribute `reduction` is 'mean', got "
                f"{self.criterion_!r}",
                hint="a loss of nn; its reduction is set to 'none', and the mean is taken here",
            )
        criterion = copy.copy(self.criterion_)
        criterion.reduction = "none"
        return (criterion(output, target).reshape(len(weight), -1).mean(axis=1) * weight).mean()

    # ---- predicting ----------------------------------------------------------------------------------------------
    def _batches(self, arrays: Sequence[np.ndarray], **settings: Any) -> DataLoader:
        size = min(self.batch_size or len(arrays[0]), len(arrays[0]))
        return DataLoader(ArrayDataset(*arrays), size, device=_home(self.module_)[0], **settings)

    def _outputs(self, X: np.ndarray) -> np.ndarray:
        """What the module makes of the samples, in evaluation mode, on the host."""
        self.module_.eval()
        with no_grad():
            parts = [self._arrange(self.module_(x)) for (x,) in self._batches([X])]
        return np.concatenate([part.to(device="cpu").numpy() for part in parts])

    def _predicted(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        checked: Any = validate_data(self, X, reset=False, dtype=self._input_dtype(False), allow_nd=True)
        return self._outputs(checked)


class _Training(Trainer):
    """The trainer of an estimator: its batches may have weights, and its history goes on where the last one ended."""

    def __init__(self, net: NeuralNet, callbacks: Sequence[Callback]):
        super().__init__(
            net.module_, net.criterion_, net.optimizer_,
            metrics=net._metrics(), callbacks=callbacks, progress=bool(net.verbose),
        )  # fmt: skip
        self.net = net
        self.history.rows = net.history_.rows
        self.epoch = len(self.history)

    def compute(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, target, *weight = batch
        output = self.net._arrange(self.model(x))
        return output, target, self.net._loss(output, target, *weight)


class _Finite(Callback):
    """Ends a training that went astray, so that a search counts it as failed and goes on."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        if not math.isfinite(trainer.logs["loss"]):
            raise DivergenceError(
                f"the loss is {trainer.logs['loss']} after epoch {trainer.epoch}",
                hint=f"a smaller lr (it was {trainer.logs['lr']}), inputs of about unit size (StandardScaler)",
            )


def _is_setting(name: str) -> bool:
    part, separator, _ = name.partition("__")
    return part in _PARTS and bool(separator)


def _keywords(make: Callable[..., Any]) -> Iterable[str]:
    """The names of the parameters that a class or function takes; none where Python cannot tell."""
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):
        return ()


def _home(module: Module) -> tuple[str, np.dtype]:
    """Device and dtype of a module's parameters."""
    for parameter in module.parameters():
        return parameter.device, parameter.dtype
    return backends.get_default_device(), np.dtype("float32")


def _mlp(in_features: int, out_features: int, hidden: int | Sequence[int] | None = None, dropout: float = 0.0) -> MLP:
    """The network of those who name none: two hidden layers, wider than the input within limits."""
    if hidden is None:
        width = min(max(2 ** math.ceil(math.log2(2 * in_features)), 32), 256)
        hidden = (width, width)
    sizes = (hidden,) if isinstance(hidden, (int, np.integer)) else tuple(hidden)
    return MLP(in_features, *sizes, out_features, dropout=dropout)
