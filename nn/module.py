"""`Module` and `Parameter`: what every layer, loss and model is made of. Everything else in nn imports this file.

A module is a plain object. What it holds is found by walking its attributes: a `Parameter` is a parameter, a `Module`
is a child, a tensor under a name given to `register_buffer` is a buffer, anything else is the user's own business.
There is no registry beside the attributes that could disagree with them, and nothing hangs on `super().__init__()`:
the few things that a module needs have defaults on the class.

Lists, tuples and dictionaries are not looked into (`ModuleList`, `ModuleDict` and `ParameterList` are modules, and
so are found); `unregistered` lists what was put into plain ones by mistake.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tensorgraph import backends, writes
from tensorgraph.creation import asarray
from tensorgraph.errors import ArgumentError, DtypeError, StateDictError, sig
from tensorgraph.mode import go, here
from tensorgraph.nn import hooks
from tensorgraph.provenance import Scope
from tensorgraph.tensor import Tensor

__all__ = ["Module", "Parameter", "unregistered"]


class Parameter(Tensor):
    """A tensor that a module learns: a leaf that asks for a gradient, found by `Module.parameters()`.

    data (tensor, array or nested lists) is not copied where it can be shared. Raises GraphError for integers unless
    `requires_grad=False`.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data.array if isinstance(data, Tensor) else asarray(data).array)
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models: assign parameters and modules to attributes, and write `forward`.

    >>> import tensorgraph as tg
    >>> from tensorgraph import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, factor):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(tg.tensor(factor))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> double = Scale(2.0)
    >>> double(tg.tensor([1.0, 2.0]))
    tensor([2., 4.], dtype=float32, made_by=multiply)
    >>> [name for name, _ in double.named_parameters()]
    ['factor']
    """

    training: bool = True
    _buffers: Mapping[str, bool] = {}  # name of a buffer -> is it part of the state dict; replaced, never changed
    _computed: Mapping[
        str, Callable[[Any], Tensor]
    ] = {}  # attributes that are made when they are read (parametrize.py)
    _before: tuple[tuple[Callable, bool], ...] = ()  # hooks with whether they see keyword arguments
    _after: tuple[tuple[Callable, bool], ...] = ()
    _backward_before: tuple[tuple[Callable], ...] = ()
    _backward_after: tuple[tuple[Callable], ...] = ()

    def __init__(self) -> None:
        pass

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); write `def forward(self, x): ...`")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        records, outer = here()
        go((records, Scope(self, outer)))
        try:
            if self._before or self._after or self._backward_after or self._backward_before:
                return hooks.call(self, args, kwargs)
            return self.forward(*args, **kwargs)
        finally:
            go((here()[0], outer))

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            isinstance(value, Tensor)
            and not isinstance(value, Parameter)
            and isinstance(vars(self).get(name), Parameter)
        ):
            raise DtypeError(
                f"{type(self).__name__}.{name} is a parameter; a plain tensor in its place would never be trained",
                operands=(f"{name}  {sig(vars(self)[name])}", f"value  {sig(value)}"),
                hint=f"nn.Parameter(value), or `with no_grad(): module.{name}.copy_(value)` to change its values",
            )
        if name in self._computed:
            raise ArgumentError(
                f"{type(self).__name__}.{name} is computed from other parameters and cannot be assigned",
                hint="nn.parametrize.remove(module, name) makes it an ordinary parameter again",
            )
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in self._computed:
                return self._computed[name](self)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    # ---- registering by name -------------------------------------------------------------------------------------
    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Makes `self.<name>` part of the state without being learned (running statistics, masks, tables).

        It moves with `to()`, and is saved in the state dict unless `persistent=False`. Assigning to the attribute
        later keeps it a buffer.
        """
        self._check_name(name, "register_buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise DtypeError(
                f"register_buffer: {name!r} is {sig(tensor)}, not a tensor", hint="tensorgraph.tensor(values)"
            )
        self._buffers = {**self._buffers, name: persistent}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """The same as `self.<name> = parameter`, for names that are computed."""
        self._check_name(name, "register_parameter")
        if parameter is not None and not isinstance(parameter, Parameter):
            raise DtypeError(
                f"register_parameter: {name!r} is {sig(parameter)}, not a Parameter", hint="nn.Parameter(tensor)"
            )
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as `self.<name> = module`, for names that are computed."""
        self._check_name(name, "add_module")
        if module is not None and not isinstance(module, Module):
            raise DtypeError(f"add_module: {name!r} is {sig(module)}, not a module")
        setattr(self, name, module)

    register_module = add_module

    def _check_name(self, name: str, what: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{what}: a name is a non-empty string without dots, got {name!r}")
        if hasattr(self, name) and name not in vars(self):
            raise ArgumentError(
                f"{what}: {type(self).__name__} already has an attribute {name!r}", hint="choose another name"
            )

    # ---- walking -------------------------------------------------------------------------------------------------
    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules that are attributes of this one, with their names; one that has two names comes once."""
        seen = set()
        for name, value in list(vars(self).items()):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """Modules that are attributes of this one."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and all modules below it, outermost first, with dotted names.

        A module that can be reached in several ways comes once, unless `remove_duplicate=False`.
        """
        return _walk(self, prefix, set() if remove_duplicate else None, ())

    def modules(self) -> Iterator[Module]:
        """This module and all modules below it, each once."""
        return (module for _, module in self.named_modules())

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, value) for name, value in list(vars(self).items()) if isinstance(value, Parameter))

    def _own_buffers(self, persistent: bool = False) -> Iterator[tuple[str, Tensor]]:
        for name, saved in self._buffers.items():
            value = vars(self).get(name)
            if value is not None and (saved or not persistent):
                yield name, value

    def _collect(
        self, own: Callable[[Module], Iterator], prefix: str, recurse: bool, unique: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(prefix, unique) if recurse else [(prefix, self)]:
            for name, value in own(module):
                if not unique or id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, in order of assignment; a shared one comes once, under its first name."""
        return self._collect(lambda module: module._own_parameters(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter of this module and those below it, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names."""
        return self._collect(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer of this module and those below it, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name; the empty name is this module."""
        found: Any = self
        for i, name in enumerate(target.split(".") if target else ()):
            found = vars(found).get(name)
            if not isinstance(found, Module):
                path = ".".join(target.split(".")[: i + 1])
                names = ", ".join(name for name, _ in self.named_modules() if name)
                raise ArgumentError(f"get_submodule: there is no module {path!r}", hint=f"there are {names or 'none'}")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name."""
        path, _, name = target.rpartition(".")
        found = vars(self.get_submodule(path)).get(name)
        if not isinstance(found, Parameter):
            names = ", ".join(name for name, _ in self.named_parameters())
            raise ArgumentError(f"get_parameter: there is no parameter {target!r}", hint=f"there are {names or 'none'}")
        return found

    # ---- changing all of it --------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Sets training mode (dropout drops, batch norm uses the batch) here and below. Returns the module."""
        if not isinstance(mode, (bool, int)):
            raise DtypeError(f"train: mode is True or False, got {sig(mode)}")
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Sets evaluation mode here and below. Returns the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freezes (`False`) or unfreezes every parameter. Returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradient of every parameter; `set_to_none=False` makes new zeros instead."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = (
                    None if set_to_none else Tensor(backends.backend_of(parameter.array).zeros_like(parameter.array))
                )

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Calls `function` on every module below this one, innermost first, and on itself. Returns the module."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, *args: Any, device: str | None = None, dtype: Any = None, non_blocking: bool = False) -> Self:
        """Moves parameters and buffers to a device and casts the floating ones: `to("cuda")`, `to(tg.float64)`.

        The parameters stay the same objects, so an optimiser keeps its hold on them. Returns the module.
        `non_blocking` is PyTorch's, and changes no result.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda", "meta"):
                device = arg
            elif arg is not None:
                dtype = arg
        kind = backends.check_dtype(dtype)
        if kind is not None and kind.kind not in "fcV":
            raise DtypeError(f"{type(self).__name__}.to: parameters are of a floating dtype, got {kind}")

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device=device, dtype=kind if kind is not None and tensor.dtype.kind in "fcV" else None)

        return self._replace(move)

    def _replace(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Gives every parameter, gradient and buffer new values; computes all of them before it touches any."""
        parameters = self._collect(Module._own_parameters, "", True, True)  # those of lazy layers too
        tensors = [*(parameter for _, parameter in parameters), *self.buffers()]
        values = [change(tensor.detach()) for tensor in tensors]
        gradients = [None if tensor.grad is None else change(tensor.grad.detach()) for tensor in tensors]
        for tensor, value, gradient in zip(tensors, values, gradients, strict=True):
            tensor.data, tensor.grad = value, gradient
        return self

    def float(self) -> Self:
        """Casts floating parameters and buffers to float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Casts floating parameters and buffers to float64."""
        return self.to(dtype="float64")

    def half(self) -> Self:
        """Casts floating parameters and buffers to float16."""
        return self.to(dtype="float16")

    def cpu(self) -> Self:
        """Moves parameters and buffers to the CPU."""
        return self.to(device="cpu")

    def cuda(self, device: int | None = None) -> Self:
        """Moves parameters and buffers to a GPU."""
        return self.to(device="cuda" if device is None else f"cuda:{device}")

    # ---- state ---------------------------------------------------------------------------------------------------
    def _state(self, prefix: str = "") -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(prefix.removesuffix("."), remove_duplicate=False):
            dot = f"{path}." if path else ""
            state |= {dot + name: value for name, value in module._own_parameters()}
            state |= {dot + name: value for name, value in module._own_buffers(persistent=True)}
        return state

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, outside the graph.

        The tensors share memory with the module: training goes on in them. `copy.deepcopy` keeps a moment.
        """
        return {name: tensor.detach() for name, tensor in self._state(prefix).items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copies values into the parameters and buffers of the same names, cast to their dtype and device.

        All or nothing: names that are missing or unexpected (unless `strict=False`, which returns them) and values of
        a wrong shape are reported together in one StateDictError, and then nothing was changed. A missing
        `num_batches_tracked` is no fault.
        """
        if not isinstance(state_dict, Mapping):
            raise DtypeError(f"load_state_dict: expected a mapping of names to tensors, got {sig(state_dict)}")
        for path, module in self.named_modules(remove_duplicate=False):
            module._before_loading(state_dict, f"{path}." if path else "")
        own = self._state()
        # files written before PyTorch counted batches do not have the counter, which only `momentum=None` needs
        missing = [name for name in own if name not in state_dict and not name.endswith("num_batches_tracked")]
        unexpected = [name for name in state_dict if name not in own]
        problems = [f"missing     {name} {sig(own[name])}" for name in missing if strict]
        hint = _prefix_hint(missing, unexpected)
        for name in unexpected if strict else ():
            near = get_close_matches(str(name), missing, 1, 0.8) if not hint and len(missing) < 100 else []
            problems.append(f"unexpected  {name} {sig(state_dict[name])}{f'   (is it {near[0]}?)' if near else ''}")
        values: dict[str, Any] = {}
        for name in (name for name in own if name in state_dict):
            problem, values[name] = _fitting(own[name], state_dict[name])
            if problem:
                problems.append(f"unfit       {name} is {sig(own[name])} here, {problem}")
        if problems:
            loose = "strict=False loads what fits and returns the rest" if missing or unexpected else None
            raise StateDictError(
                f"{type(self).__name__}.load_state_dict: {len(problems)} of {len(own.keys() | state_dict.keys())} "
                "entries do not fit; nothing was loaded",
                operands=problems,
                hint=hint or loose,
            )
        for name, array in values.items():
            own[name].array[...] = array
            writes.wrote(own[name].array)
        return IncompatibleKeys(missing, unexpected)

    def _before_loading(self, state_dict: Mapping[str, Any], prefix: str) -> None:
        """For layers that learn their sizes from what they load."""

    # ---- hooks ---------------------------------------------------------------------------------------------------
    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.Handle:
        """Calls `hook(module, args)` before forward; what it returns (unless None) replaces the arguments.

        `with_kwargs=True`: `hook(module, args, kwargs)`, returning None or `(args, kwargs)`. `prepend=True`: before
        the hooks that are there already, not after them.
        """
        return self._register("_before", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.Handle:
        """Calls `hook(module, args, output)` after forward; what it returns (unless None) replaces the output.

        `with_kwargs=True`: `hook(module, args, kwargs, output)`.
        """
        return self._register("_after", (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> hooks.Handle:
        """Calls `hook(module, grad_output)` when the gradients of the outputs are known; what it returns (unless None)
        replaces them.

        `grad_output` has one entry per output, None for what carries no gradient.
        """
        return self._register("_backward_before", (hook,), prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> hooks.Handle:
        """Calls `hook(module, grad_input, grad_output)` when the gradients of the inputs are known; what it returns
        (unless None) replaces `grad_input` for the modules before.

        `grad_input` has one entry per positional argument, None for what carries no gradient. Where no input needs a
        gradient the hook runs when those of the outputs are known.

        >>> import tensorgraph as tg
        >>> from tensorgraph import nn
        >>> layer, seen = nn.Linear(3, 2), []
        >>> handle = layer.register_full_backward_hook(lambda module, gx, gy: seen.append((gx[0].shape, gy[0].shape)))
        >>> layer(tg.ones(4, 3, requires_grad=True)).sum().backward()
        >>> seen
        [((4, 3), (4, 2))]
        >>> handle.remove()
        """
        return self._register("_backward_after", (hook,), prepend)

    def _register(self, kind: str, entry: tuple, prepend: bool) -> hooks.Handle:
        if not callable(entry[0]):
            raise DtypeError(f"{type(self).__name__}: a hook is a function, got {sig(entry[0])}")
        there = getattr(self, kind)
        setattr(self, kind, (entry, *there) if prepend else (*there, entry))
        return hooks.Handle(self, kind, entry)

    # ---- looks ---------------------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr: the settings of a layer."""
        return ""

    def _repr_children(self) -> list[tuple[str, str]]:
        return [(name, repr(child)) for name, child in vars(self).items() if isinstance(child, Module)]

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {text}" for name, text in self._repr_children()]
        if not children and len(lines) <= 1:
            return f"{type(self).__name__}({extra})"
        body = textwrap.indent("\n".join(lines + children), "  ")
        return f"{type(self).__name__}(\n{body}\n)"


def _walk(module: Module, path: str, seen: set[int] | None, above: tuple[Module, ...]) -> Iterator[tuple[str, Module]]:
    if seen is not None:
        if id(module) in seen:
            return
        seen.add(id(module))
    elif any(module is other for other in above):
        raise ArgumentError(
            f"the module {path!r} ({type(module).__name__}) contains itself",
            hint="keep a reference back to the parent in a plain list: self.parent = [parent]",
        )
    yield path, module
    for name, child in list(vars(module).items()):
        if isinstance(child, Module):
            yield from _walk(child, f"{path}.{name}" if path else name, seen, (*above, module))


def _fitting(own: Tensor, value: Any) -> tuple[str, Any]:
    """What is wrong with `value` as new contents of `own` (nothing: the empty string), and the array to copy."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return f"{sig(value)} in the state dict, no tensor", None
    if tuple(value.shape) != own.shape:
        return f"{sig(value)} in the state dict", None
    values = asarray(value)
    if values.dtype.kind == "c" and own.dtype.kind != "c":
        return f"{sig(value)} in the state dict would lose its imaginary part", None
    return "", values.detach().to(device=own.device).array


def _prefix_hint(missing: list[str], unexpected: list[str]) -> str | None:
    """Names that differ by a prefix alone (`module.` of a parallel wrapper, `model.` of a trainer)."""
    if not missing or not unexpected:
        return None
    for longer, shorter, advice in ((unexpected, missing, "take it from"), (missing, unexpected, "put it before")):
        prefix = longer[0].removesuffix(shorter[0])
        if prefix.endswith(".") and {prefix + name for name in shorter} == set(longer):
            return f"the names differ by the prefix {prefix!r} alone: {advice} those of the state dict"
    return None


def unregistered(module: Module) -> list[tuple[str, Any]]:
    """Modules, parameters and leaves that sit where `parameters()` does not look, with the paths to them.

    These are modules and parameters in plain lists, tuples, sets and dictionaries, and tensors made with
    `requires_grad=True` that are no Parameter. An optimiser would never see them. What is registered elsewhere in the
    same model is not reported.
    """
    known = {id(m) for m in module.modules()} | {id(p) for p in module.parameters()} | {id(b) for b in module.buffers()}
    found: list[tuple[str, Any]] = []

    def look(value: Any, path: str, depth: int) -> None:
        if isinstance(value, (Module, Tensor)):
            learns = isinstance(value, (Module, Parameter)) or (value.requires_grad and value.is_leaf)
            if learns and id(value) not in known:
                found.append((path, value))
        elif isinstance(value, Mapping) and depth:
            for key, item in value.items():
                look(item, f"{path}[{key!r}]", depth - 1)
        elif isinstance(value, (list, tuple, set, frozenset)) and depth:
            for i, item in enumerate(value):
                look(item, f"{path}[{i}]", depth - 1)

    for path, each in module.named_modules():
        for name, value in vars(each).items():
            look(value, f"{path}.{name}" if path else name, 3)
    return found
