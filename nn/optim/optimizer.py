"""`Optimizer`: parameter groups, per-parameter state, saving and loading. An optimiser writes only its `_update`.

Imported by the other files of nn/optim; imports the engine and nn/module.py. Updates run on raw arrays, in place, on
many small parameters at once and on large ones block by block (packs.py), with scratch buffers that all share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tensorgraph import backends, writes
from tensorgraph.capturing import each_time
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, StateDictError, sig
from tensorgraph.mode import enable_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn.module import Module
from tensorgraph.nn.optim.packs import Pack, packed
from tensorgraph.tensor import Tensor

__all__ = ["Optimizer"]

_SWITCHES = ("amsgrad", "centered", "decoupled_weight_decay", "maximize", "nesterov")


class Optimizer:
    """Base of all optimisers.

    params: tensors, `(name, tensor)` pairs, or dictionaries with a key "params" and settings of their own, one per
    group. `defaults` are the settings of a group that says nothing else. `param_groups` may be changed between steps
    (`group["lr"] = 0.01`), `state[p]` holds what the optimiser remembers of a parameter.

    Raises ArgumentError: no parameters (a generator that was already used), a parameter twice, a setting that makes
    no sense.
    """

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]):
        self.defaults = dict(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)  # optimisers of users fill it as they go
        self._room: dict[Any, Any] = {}
        self._packs: dict[int, tuple[list[int], tuple[str, ...], list[Pack]]] = {}
        name = type(self).__name__
        if isinstance(params, (Tensor, Module)):
            hint = "pass model.parameters()" if isinstance(params, Module) else "pass a list: [tensor]"
            raise DtypeError(f"{name}: params is one {type(params).__name__}, not several tensors", hint=hint)
        if isinstance(params, (set, frozenset)):
            raise DtypeError(
                f"{name}: a set of parameters has no order, so its state could not be saved", hint="pass a list"
            )
        if isinstance(params, str) or not isinstance(params, Iterable):
            raise DtypeError(f"{name}: params is {sig(params)}, not several tensors", hint="pass model.parameters()")
        entries = list(params)
        if not entries:
            used = " (an iterator that was already used is empty)" if hasattr(params, "__next__") else ""
            raise ArgumentError(
                f"{name}: the list of parameters is empty{used}",
                hint="pass model.parameters() afresh; does the model have parameters, none of them in plain lists?",
            )
        for group in entries if isinstance(entries[0], dict) else [{"params": entries}]:
            self.add_param_group(group)

    # ---- what an optimiser writes --------------------------------------------------------------------------------
    _numbers: Mapping[str, Callable[[Any], Any]] = {"step": int}
    """names in the state that are numbers, with what makes them of a saved value"""

    _kernel = ""
    """what backends call the step where they may compute it in one pass (backends/updates.py)"""

    _elementwise = True
    """whether every element moves by itself; `_update` then gets vectors, pieces of one or several parameters"""

    def _check(self, group: Mapping[str, Any]) -> None:
        """Raises ArgumentError when a setting of the group makes no sense."""

    def _starts(self, group: Mapping[str, Any]) -> dict[str, float]:
        """Names of the arrays that are remembered of each parameter, with the number that fills them at first."""
        return {}

    def _advance(self, numbers: dict[str, Any], group: Mapping[str, Any]) -> None:
        """Counts the step that comes now, in the numbers that are remembered."""
        if "step" in self._numbers:
            numbers["step"] = numbers.get("step", 0) + 1

    def _update(self, be: Any, p: Any, g: Any, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        """Writes the new values into p. g is its gradient, which is not to be written.

        `state` has the remembered arrays, to be written in place, the numbers, and whether the arrays are `fresh`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _update()")

    # ---- groups --------------------------------------------------------------------------------------------------
    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds a group with settings of its own: `{"params": head.parameters(), "lr": 0.1}`."""
        name = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise DtypeError(f'{name}: a parameter group is a dictionary with a key "params", got {sig(param_group)}')
        given = param_group["params"]
        entries = [given] if isinstance(given, Tensor) else list(given)
        if not entries and self.param_groups:
            raise ArgumentError(f"{name}: parameter group {len(self.param_groups)} is empty")
        params = [entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry for entry in entries]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise DtypeError(f"{name}: parameter {i} is {sig(p)}, not a tensor")
            if not p.is_leaf:
                raise GraphError(f"{name}: parameter {i} {sig(p)} is the result of an operation, not a leaf")
            if id(p) in known:
                raise ArgumentError(f"{name}: parameter {i} {sig(p)} comes twice; it would be updated twice in a step")
            known.add(id(p))
        unknown = [
            key for key in param_group if key not in self.defaults and key not in ("params", "name", "initial_lr")
        ]
        if unknown:
            raise ArgumentError(f"{name}: unknown setting {unknown[0]!r}", hint=f"settings: {', '.join(self.defaults)}")
        group = {**param_group, "params": params}
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        self._check_group(group)
        self.param_groups.append(group)

    def _check_group(self, group: Mapping[str, Any]) -> None:
        check.flags(type(self).__name__, **{key: group[key] for key in _SWITCHES if key in group})
        if "l1_decay" in group:
            check.number(type(self).__name__, 0, l1_decay=group["l1_decay"])
        self._check(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = each_time(cls.step)

    # ---- stepping ------------------------------------------------------------------------------------------------
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradient of every parameter; `set_to_none=False` makes new zeros instead."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else Tensor(backends.backend_of(p.array).zeros_like(p.array))

    @each_time
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Moves every parameter that has a gradient. Returns what `closure()` returned, when one is given.

        closure (computes the loss again, with backward) runs before the parameters move.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        moves = []  # all of them, checked, before the first parameter moves
        for i, group in enumerate(self.param_groups):
            ready = [p for p in group["params"] if p.grad is not None]
            moves += [(pack, group, pack.gradients(type(self).__name__)) for pack in self._packed(i, group, ready)]
        for pack, group, gradients in moves:
            self._apply(pack, group, gradients)
        if moves:
            writes.wrote(*[array for pack, _, _ in moves for array in pack.arrays])
        return loss

    def _packed(self, i: int, group: Mapping[str, Any], ready: list[Tensor]) -> list[Pack]:
        """The parameters of group i in packs: those of the last step, if nothing was exchanged since."""
        ids, starts = [id(p) for p in ready], self._starts(group)
        names = tuple(starts)
        known = self._packs.get(i)
        if known is None or known[:2] != (ids, names) or not all(pack.fits(names, self.state) for pack in known[2]):
            packs = packed(ready, self.state, starts, tuple(self._numbers), self._elementwise, self._kernel)
            known = self._packs[i] = ids, names, packs
        return known[2]

    def _apply(self, pack: Pack, group: Mapping[str, Any], gradients: list[Any]) -> None:
        numbers = dict(pack.numbers)
        self._advance(numbers, group)
        kernel = "" if group.get("l1_decay") else self._kernel
        for p, g, arrays in pack.pieces(gradients, self._vector, kernel):
            if group.get("l1_decay"):
                g = self._with_l1(pack.be, p, g, group)
            self._update(pack.be, p, g, {**arrays, **numbers, "fresh": pack.fresh}, group)
        pack.numbers, pack.fresh = numbers, False
        for entry in pack.entries:
            entry.update(numbers)

    def _with_l1(self, be: Any, p: Any, g: Any, group: Mapping[str, Any]) -> Any:
        """The gradient with that of l1_decay |p|, which is subtracted where something is maximised."""
        t = be.sign(p, out=self._scratch(be, p, 6))
        t *= -group["l1_decay"] if group.get("maximize") else group["l1_decay"]
        t += g
        return t

    def _vector(self, be: Any, size: int, dtype: Any, which: int) -> Any:
        """Room for a vector; what it holds is arbitrary. There are several, told apart by number."""
        key = (be, dtype, which)
        room = self._room.get(key)
        if room is None or room.size < size:
            room = self._room[key] = be.empty(size, dtype=dtype)
        return room[:size]

    def _scratch(self, be: Any, p: Any, which: int = 0) -> Any:
        """Room for one array like p."""
        return self._vector(be, p.size, p.dtype, which).reshape(p.shape)

    # ---- state ---------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """State and settings, with parameters numbered in order: `{"state": {0: ...}, "param_groups": [...]}`.

        Arrays are shared with the optimiser; `nn.save` writes all of it to one file.
        """
        number = {id(p): i for i, p in enumerate(self._params())}
        return {
            "state": {number[id(p)]: dict(state) for p, state in self.state.items() if state},
            "param_groups": [
                group | {"params": [number[id(p)] for p in group["params"]]} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over state and settings, cast to the dtype and device of the parameters; all or nothing.

        Raises StateDictError: other groups, or remembered arrays of other shapes.
        """
        name = type(self).__name__
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= state_dict.keys():
            raise StateDictError(
                f'{name}.load_state_dict: expected keys "state" and "param_groups", got {sig(state_dict)}'
            )
        groups = state_dict["param_groups"]
        here, there = ([len(g["params"]) for g in gs] for gs in (self.param_groups, groups))
        if here != there:
            raise StateDictError(
                f"{name}.load_state_dict: groups of {there} parameters do not fit the optimiser's groups of {here}",
                hint="make the optimiser with the same parameters in the same groups",
            )
        saved = dict(zip((int(i) for g in groups for i in g["params"]), self._params(), strict=True))
        state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        problems = []
        for i, entry in state_dict["state"].items():
            p = saved.get(int(i))
            if p is None:
                problems.append(f"state of parameter {i}, which no group holds")
                continue
            state[p] = {}
            for key, value in entry.items():
                shape = getattr(value, "shape", None)
                if key in self._numbers:
                    state[p][key] = self._numbers[key](value)
                elif shape is None:
                    state[p][key] = value
                elif tuple(shape) == p.shape:
                    state[p][key] = Tensor(_copy_like(value, p))
                else:
                    problems.append(f"{key} of parameter {i} is {sig(value)}, the parameter is {sig(p)}")
        if problems:
            raise StateDictError(
                f"{name}.load_state_dict: the state does not fit; nothing was loaded", operands=problems
            )
        merged = [dict(new) | {"params": old["params"]} for old, new in zip(self.param_groups, groups, strict=True)]
        for old, new in zip(self.param_groups, merged, strict=True):
            for key, value in old.items():
                new.setdefault(key, value)
            self._check_group(new)
        self.param_groups[:], self.state = merged, state

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_room": {}, "_packs": {}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _copy_like(value: Any, p: Tensor) -> Any:
    be = backends.backend_of(p.array)
    return be.copy(asarray(value).detach().to(device=p.device, dtype=p.dtype).array)
