"""Modules that hold modules or parameters: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict.

What they hold are attributes of theirs, under the names "0", "1", ... or the keys, so it is found like any other
attribute. Imports module.py only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import index
from typing import Any, Self, overload

from tensorgraph.errors import ArgumentError, DtypeError, OutOfRangeError, sig
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


def _as_module(owner: Module, value: Any) -> Module:
    if isinstance(value, Module):
        return value
    hint = f"{value.__name__}(...) makes a module of the class" if isinstance(value, type) else None
    if callable(value) and not hint:
        hint = "a function is called in forward(); in a container it needs a module around it"
    raise DtypeError(f"{type(owner).__name__}: {sig(value)} is not a module", hint=hint)


def _as_parameter(owner: Module, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Tensor):
        return Parameter(value)
    raise DtypeError(f"{type(owner).__name__}: {sig(value)} is not a parameter", hint="nn.Parameter(tensor)")


class _Held(Module):
    """What the containers share: their items are the attributes of one kind, in order."""

    _kind: type = Module
    _check = staticmethod(_as_module)

    def _items(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, self._kind)}

    def _hold(self, items: Iterable[tuple[str, Any]]) -> None:
        """Replaces all items."""
        checked = [(name, self._check(self, value)) for name, value in items]
        for name in self._items():
            delattr(self, name)
        for name, value in checked:
            self._check_name(name, type(self).__name__)
            setattr(self, name, value)

    def __len__(self) -> int:
        return len(self._items())


class _List(_Held):
    """A container of items with the names "0", "1", ..."""

    def _name(self, i: Any) -> str:
        names = list(self._items())
        try:
            return names[index(i)]
        except IndexError:
            raise OutOfRangeError(f"{type(self).__name__}: there is no item {i}, there are {len(names)}") from None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items().values())

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            part = type(self).__new__(type(self))
            part._hold(enumerate_as_names(list(self)[i]))
            return part
        return vars(self)[self._name(i)]

    def __setitem__(self, i: int, value: Any) -> None:
        setattr(self, self._name(i), self._check(self, value))

    def __delitem__(self, i: int | slice) -> None:
        items = list(self)
        if not isinstance(i, slice):
            self._name(i)
        del items[i]
        self._hold(enumerate_as_names(items))

    def append(self, value: Any) -> Self:
        """Puts an item behind the last one. Returns the container."""
        return self.extend([value])

    def extend(self, values: Iterable[Any]) -> Self:
        """Puts several items behind the last one. Returns the container."""
        for value in [self._check(self, value) for value in values]:
            setattr(self, str(len(self)), value)
        return self

    def insert(self, i: int, value: Any) -> None:
        """Puts an item before the i-th; the later ones move up."""
        items = list(self)
        items.insert(index(i), value)
        self._hold(enumerate_as_names(items))

    def pop(self, i: int = -1) -> Any:
        """Takes an item out and returns it."""
        value = self[i]
        del self[i]
        return value

    def __add__(self, other: Iterable[Any]) -> Self:
        return type(self).__new__(type(self)).extend([*self, *other])

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)


def enumerate_as_names(values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """("0", first), ("1", second), ..."""
    return ((str(i), value) for i, value in enumerate(values))


class Sequential(_List):
    """Calls modules one after the other: `Sequential(Linear(4, 8), ReLU(), Linear(8, 2))`.

    A dictionary gives the modules names: `Sequential({"fc": Linear(4, 8), "act": ReLU()})`, then `model.fc` works.
    `model[0]`, `model[-1]`, `model[1:3]` (a Sequential of the same modules), `del model[2]`, `append`, `insert`,
    `extend` and `+` work as on a list.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._hold(modules[0].items())
        else:
            self._hold(enumerate_as_names(modules))

    def forward(self, x: Any) -> Any:
        """The output of the last module; without modules x itself."""
        for module in self._items().values():
            x = module(x)
        return x

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):  # the modules keep their names
            part = type(self).__new__(type(self))
            part._hold(list(self._items().items())[i])
            return part
        return super().__getitem__(i)

    def __delitem__(self, i: int | slice) -> None:
        names = list(self._items())
        for name in names[i] if isinstance(i, slice) else [self._name(i)]:
            delattr(self, name)
        if all(name.isdigit() for name in names):
            self._hold(enumerate_as_names(list(self)))


class ModuleList(_List):
    """A list of modules whose parameters are found. It has no forward: call the items in your own.

    >>> from tensorgraph import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self._hold(enumerate_as_names(modules or ()))

    def _repr_children(self) -> list[tuple[str, str]]:
        lines = []
        for text, group in groupby(super()._repr_children(), key=lambda child: child[1]):
            names = [name for name, _ in group]
            lines.append((names[0], text) if len(names) == 1 else (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}"))
        return lines


class ParameterList(_List):
    """A list of parameters that are found; tensors put into it become parameters."""

    _kind = Parameter
    _check = staticmethod(_as_parameter)

    def __init__(self, parameters: Iterable[Tensor] = ()):
        super().__init__()
        self._hold(enumerate_as_names(parameters or ()))

    def _repr_children(self) -> list[tuple[str, str]]:
        return [(name, f"Parameter {sig(p)}") for name, p in self._items().items()]


class _Dict(_Held):
    """A container of items with names of the user's choice."""

    def __init__(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None):
        super().__init__()
        self.update(items or {})

    def __getitem__(self, key: str) -> Any:
        items = self._items()
        if key not in items:
            raise KeyError(f"{type(self).__name__} has no {key!r}; it has {', '.join(map(repr, items)) or 'nothing'}")
        return items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        """What is held."""
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names with what they hold."""
        return self._items().items()

    def pop(self, key: str) -> Any:
        """Takes an item out and returns it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Takes everything out."""
        self._hold(())

    @overload
    def get(self, key: str) -> Any | None: ...
    @overload
    def get(self, key: str, default: Any) -> Any: ...
    def get(self, key: str, default: Any = None) -> Any:
        """The item, or `default` when there is none."""
        return self._items().get(key, default)

    def update(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Adds items, replacing those of the same names."""
        pairs: list[Any] = list(items.items() if isinstance(items, Mapping) else items)
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ArgumentError(f"{type(self).__name__}: expected pairs of a name and a value, got {sig(pair)}")
            self._check_name(pair[0], type(self).__name__)
        for name, value in [(name, self._check(self, value)) for name, value in pairs]:
            setattr(self, name, value)


class ModuleDict(_Dict):
    """A dictionary of modules whose parameters are found. It has no forward: call the items in your own."""


class ParameterDict(_Dict):
    """A dictionary of parameters that are found; tensors put into it become parameters."""

    _kind = Parameter
    _check = staticmethod(_as_parameter)

    def _repr_children(self) -> list[tuple[str, str]]:
        return [(name, f"Parameter {sig(p)}") for name, p in self._items().items()]
