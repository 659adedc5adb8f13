"""`debug()`: stops at the first NaN or Inf, forward or backward, with the line, the operands, the cause and a file.

Built on observe.py. Imports causes.py, replay.py and flow.py (what `why` reads afterwards).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from sys import _getframe
from typing import Any, TypeVar

import numpy as np

from tensorgraph.backends import ARRAYS
from tensorgraph.diagnostics import replay as files
from tensorgraph.diagnostics.causes import first, has, host, why_backward, why_forward
from tensorgraph.diagnostics.flow import Flow, keep
from tensorgraph.diagnostics.observe import Call, Observer, arrays_in
from tensorgraph.errors import DtypeError, NonFiniteError, sig
from tensorgraph.node import Node
from tensorgraph.provenance import describe, internal, module_path, table

__all__ = ["debug"]

F = TypeVar("F", bound=Callable[..., Any])
_MEANT = {
    "ctc"
}  # operations whose infinite result is the right one: no alignment is possible; zero_infinity removes it


class debug(Observer):
    """`with tg.debug():` stops at the first NaN or Inf, forward or backward, and says which line made it and why.

    Also a decorator, `@tg.debug()`; the environment variable TENSORGRAPH_DEBUG=1 switches it on for a whole program.
    `nan`, `inf`: which of the two stop (both). `folder`: where the file goes that reproduces the operation, for
    `tg.debug.replay(path)`; None writes none.

    An Inf stops only where no operand held one, so masks of -inf are left alone; a NaN stops wherever it comes out of
    an operation, also one that was in the data. What happens inside an operation or a rule counts only if its result
    goes wrong. Operations of other threads are not looked at; async tasks started inside the block are.

    A block costs about one more pass over every result. Outside of it nothing is paid. `tg.why(t)` knows more about
    what ran inside a block.

    Raises NonFiniteError (a FloatingPointError).

    >>> import tensorgraph as tg
    >>> x = tg.tensor([1.0, 0.0], requires_grad=True)
    >>> with tg.debug(folder=None):
    ...     loss = -tg.log(x).mean()
    Traceback (most recent call last):
    tensorgraph.errors.NonFiniteError: log: -inf at [1], out of finite operands
    """

    replay = staticmethod(files.replay)

    def __init__(self, *, nan: bool = True, inf: bool = True, folder: str | None = "."):
        if folder is not None and not isinstance(folder, str) and not hasattr(folder, "__fspath__"):
            raise DtypeError(f"debug: folder is a path or None, got {sig(folder)}")
        self.nan, self.inf = nan, inf
        self.folder = None if folder is None else str(folder)
        self.flow = Flow()

    def __enter__(self):
        super().__enter__()
        keep(self.flow)
        return self

    def __call__(self, function: F) -> F:
        if not callable(function):
            raise DtypeError(f"debug: decorates a function or opens a `with` block, got {sig(function)}")

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with debug(nan=self.nan, inf=self.inf, folder=self.folder):
                return function(*args, **kwargs)

        return inside  # pyright: ignore[reportReturnType]

    # ---- what is seen ------------------------------------------------------------------------------------------------
    def around(self, call: Call, run: Callable[[], Any]) -> Any:
        result = run()
        if call.parent is not None:
            return result
        if call.node is not None:
            for name, gx in zip(call.node.plan.inputs, result, strict=False):
                for array in arrays_in(gx):
                    self._check(call, array, name)
            self.flow.pulled(call, result)
            return result
        if call.op is not None or type(result) is tuple:  # a kernel that declines returns None
            values = result[0] if _is_kernel_result(result) else result
            for array in arrays_in(values):
                self._check(call, array, "")
            if isinstance(result, np.generic):
                result = call.be.asarray(result)  # an object that can be recognised again
            self.flow.ran(call, result)
        return result

    def recorded(self, call: Call, node: Node) -> None:
        self.flow.recorded(call, node)

    def arrived(self, node: Node, g: Any) -> None:
        for array in arrays_in(g):
            bad = self._bad(array)
            if bad is not None and not self.flow.knows_bad(node):
                self._stop_at_sum(node, host(array), bad)
        self.flow.arrived(node, g)

    # ---- looking ---------------------------------------------------------------------------------------------------
    def _bad(self, array: Any) -> Callable | None:
        """The test that an array fails, None if it is fine."""
        if array.dtype.kind not in "fc" or not array.size:
            return None
        with np.errstate(all="ignore"):
            if np.isfinite(host(array.sum())):  # one pass, and no array of booleans
                return None
        values = host(array)
        if self.nan and np.isnan(values).any():
            return np.isnan
        return np.isinf if self.inf and np.isinf(values).any() else None

    def _check(self, call: Call, array: Any, rule: str) -> None:
        bad = self._bad(array)
        if bad is None or (bad is np.isinf and has((*call.values, *call.settings.values()), np.isinf)):
            return
        if bad is np.isinf and call.name in _MEANT:
            return
        if bad is np.isnan and has(call.values, np.isnan) and _in_nan_function():
            return
        y = np.asarray(host(array))
        index = first(y, bad) or ()
        backward = call.node is not None
        cause, hint = (why_backward if backward else why_forward)(call, y, index)
        where = f"at {list(index)}" if index else "as the result"
        clean = not has(call.values, lambda a: ~np.isfinite(a))
        what = (
            f"backward of {call.name}: {y[index]} {where} of the gradient of {rule}"
            if backward
            else (f"{call.name}: {y[index]} {where}")
        )
        details = [*self._line(call), *_statistics(call, y, index)]
        if backward:
            details += [f"rule     {text}" for text in _rule_text(call, rule)]
        details.append(f"cause    {cause}")
        path, note = self._save(call, y, index)
        operands = ()
        if backward:  # of a forward pass the wrapper of the operation adds them: it has the nodes
            operands = table(
                [
                    describe(n, v, None, call.scope)
                    for n, v in zip(call.inputs, call.values, strict=True)
                    if type(v) in ARRAYS or isinstance(v, (int, float))
                ]
            )
        raise NonFiniteError(
            what + (", out of finite operands" if clean else ""),
            operands=operands,
            details=[*details, note],
            hint=hint,
            index=index,
            path=path,
        )

    def _stop_at_sum(self, node: Node, g: np.ndarray, bad: Callable) -> None:
        index = first(g, bad) or ()
        cause = (
            "the gradients that arrive here add up to it"
            if self.flow.passed(node)
            else ("it is the gradient that backward() was given, or what a hook made of it")
        )
        call = Call(node.name, node.plan.op, None, ("g",), (g,), {}, node)
        raise NonFiniteError(
            f"backward: {g[index]} at {list(index)} of the gradient that arrives at {node.name}",
            details=[*self._line(call), *_statistics(call, g, index), f"cause    {cause}"],
            index=index,
        )

    def _line(self, call: Call) -> list[str]:
        place, path = call.place, module_path(call.scope)
        if place is None:
            return []
        return [f"line     {place.expression or place.text}   {place}" + (f"   in {path}" if path else "")]

    def _save(self, call: Call, y: np.ndarray, index: tuple[int, ...]) -> tuple[str | None, str]:
        if self.folder is None:
            return None, "file     none was asked for"
        try:
            path = files.save(call, self.folder, y, index)
        except Exception as error:  # the report must not be lost for a full disk
            return None, f"file     could not be written: {error}"
        return path, f"file     {path}   run it again: tensorgraph.debug.replay({path!r})"


def _in_nan_function() -> bool:
    """Whether nanmean, nanquantile, ... of tensorgraph is at work, which takes NaN out by itself."""
    frame: Any = _getframe(1)
    while frame is not None and internal[frame.f_code.co_filename]:
        if frame.f_code.co_name.startswith("nan"):
            return True
        frame = frame.f_back
    return False


def _is_kernel_result(result: Any) -> bool:
    return type(result) is tuple and len(result) == 2 and callable(result[1])


def _rule_text(call: Call, name: str) -> list[str]:
    from tensorgraph.diagnostics.formula import rule_of

    text = rule_of(call.node, name)  # pyright: ignore[reportArgumentType]
    return [text] if text else []


def _statistics(call: Call, y: np.ndarray, index: tuple[int, ...]) -> list[str]:
    """One line per array operand: range, mean, how many are 0, NaN or Inf, and its value at the bad place."""
    rows = []
    for name, value in zip(call.inputs, call.values, strict=True):
        if type(value) not in ARRAYS or value.dtype.kind not in "fciu" or not value.size:
            continue
        a = np.asarray(host(value))
        rows.append((f"{name}", *_summary(a), _here(a, y, index)))
    return ["values   " + line for line in table(rows)]


def _summary(a: np.ndarray) -> tuple[str, ...]:
    finite = a[np.isfinite(a)] if a.dtype.kind in "fc" else a
    cells = []
    if finite.size and a.dtype.kind != "c":
        wide = finite.astype(np.float64)
        cells = [f"min {wide.min():.4g}", f"max {wide.max():.4g}", f"mean {wide.mean():.4g}"]
    elif finite.size:
        cells = [f"abs min {np.abs(finite).min():.4g}", f"abs max {np.abs(finite).max():.4g}", ""]
    counts = [(int((a == 0).sum()), "zero"), (int(np.isnan(a).sum()), "NaN"), (int(np.isinf(a).sum()), "Inf")]
    said = ", ".join(f"{n} {word}" for n, word in counts if n)
    return (*cells, f"{said} of {a.size}" if said else f"{a.size} numbers")


def _here(a: np.ndarray, y: np.ndarray, index: tuple[int, ...]) -> str:
    try:
        return f"{np.broadcast_to(a, y.shape)[index]:.6g} there"
    except ValueError:
        return ""
