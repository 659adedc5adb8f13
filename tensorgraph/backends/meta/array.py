"""`MetaArray`: an array with shape, dtype, strides, views and a place in memory, but without numbers.

What it would look like is kept as a NumPy array of that shape laid over a single element, so that NumPy itself says
what a slice or a transpose gives. Its methods come from functions.py. Imported by the files beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tensorgraph.backends.meta.layout import Spread, as_numpy, c_strides, room, shape_at
from tensorgraph.backends.meta.ledger import block
from tensorgraph.errors import BackendError, sig

__all__ = ["MetaArray", "new", "refuse", "view"]


class MetaArray:
    """What NumPy's array would be, without its numbers. `base` is the array that owns the memory, None for itself."""

    __slots__ = ("__weakref__", "_block", "base", "lay")
    __array_ufunc__ = None
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, lay: np.ndarray, base: MetaArray | None = None):
        self.lay = lay  # shape, dtype, strides; never to be read
        self.base = base
        self._block = block(lay.nbytes) if base is None else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.lay.shape

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self.lay.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.lay.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.lay.size

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.lay.nbytes

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.lay.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next along every axis."""
        return self.lay.strides

    @property
    def flags(self) -> Any:
        """As NumPy's: whether the elements lie without gaps, and in which order."""
        return self.lay.flags

    @property
    def T(self) -> MetaArray:
        """All axes reversed."""
        return view(self, self.lay.T)

    @property
    def mT(self) -> MetaArray:
        """The last two axes exchanged."""
        return view(self, self.lay.mT)

    @property
    def real(self) -> MetaArray:
        """The real parts, in the same memory."""
        return view(self, np.real(self.lay)) if self.dtype.kind == "c" else self

    @property
    def imag(self) -> MetaArray:
        """The imaginary parts, in the same memory; zeros for a real array."""
        return view(self, np.imag(self.lay)) if self.dtype.kind == "c" else new(self.shape, self.dtype)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __len__(self) -> int:
        return len(self.lay)

    def __repr__(self) -> str:
        return f"<meta {sig(self)}>"

    def __getitem__(self, index: Any) -> MetaArray:
        parts, spread = _parts(self, index)
        if spread:
            return new(shape_at(self.shape, parts), self.dtype)
        if not any(part is Ellipsis for part in parts):
            parts.append(...)  # with it one element, too, is a view, and not read
        found = self.lay[tuple(parts)]
        return view(self, found) if found.ndim else new((), self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is MetaArray and index.dtype.kind == "b" and getattr(value, "shape", ()) == ():
            return  # one number into however many places
        parts, spread = _parts(self, index)
        shape = shape_at(self.shape, parts) if spread else as_numpy(self.shape, self.dtype)[tuple(parts)].shape
        given = getattr(value, "shape", ())
        if given != shape and given:
            extra = len(given) - len(shape)
            if extra > 0 and set(given[:extra]) == {1}:
                given = given[extra:]
            if _broadcast(given, shape) != shape:
                raise ValueError(f"could not broadcast input array from shape {value.shape} into shape {shape}")


def new(shape: Sequence[int], dtype: Any, strides: tuple[int, ...] | None = None) -> MetaArray:
    """An array in memory of its own, in C order unless strides say otherwise."""
    dtype = np.dtype(dtype)
    shape = tuple(shape)
    return MetaArray(room(shape, c_strides(shape, dtype.itemsize) if strides is None else strides, dtype))


def view(owner: MetaArray, lay: np.ndarray) -> MetaArray:
    """Another look at the memory of an array."""
    return MetaArray(lay, owner if owner.base is None else owner.base)


def refuse(what: str) -> NoReturn:
    """Raises the error for a program that wants to know a number, naming its line."""
    from tensorgraph.provenance import _place, caller

    code, lasti = caller()
    place = None if code is None else _place(code, lasti)
    raise BackendError(
        f"{what}, but arrays on the device 'meta' have shapes and no numbers",
        operands=(f"asked for by  {place.text}   {place}",) if place else (),
        hint='decide by shapes, or leave it out there: if t.device != "meta": ...',
    )


def _refusing(name: str) -> Any:
    def method(self: MetaArray, *args: Any, **kwargs: Any) -> NoReturn:
        refuse(f"{name}() wants the numbers of {sig(self)}")

    return method


for _name in ("bool", "complex", "float", "int", "index", "iter", "contains", "array", "dlpack"):
    setattr(MetaArray, f"__{_name}__", _refusing(_name))
for _name in ("item", "tolist", "tobytes", "nonzero"):
    setattr(MetaArray, _name, _refusing(_name))
del _name


def _parts(x: MetaArray, index: Any) -> tuple[list[Any], bool]:
    """The parts of an index, arrays as their shapes, and whether there are arrays among them."""
    parts, spread = [], False
    for part in index if type(index) is tuple else (index,):
        if type(part) is MetaArray:
            if part.dtype.kind == "b":
                refuse(f"how many elements a mask {sig(part)} takes is asked of {sig(x)}")
            if part.dtype.kind not in "iu":
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
            part, spread = Spread(part.shape), True
        elif isinstance(part, np.ndarray):
            raise TypeError("an array without numbers is indexed with a NumPy array")
        parts.append(part)
    return parts, spread


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None
