"""`Pieces`: a gradient that is zero but for some pieces, as reading `x[index]` sends it back.

A loop that reads x[0], x[1], ... sends back as many pieces as it reads. They are collected and laid into one array of
zeros when the backward pass needs the gradient of x, in the time of one pass over x instead of one per piece.
May import: backends. Rules in ops/ return it for plain arrays; backward.py is the only reader.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.backends import backend_of


class Pieces:
    """Zeros of `shape` with values added at indices. Adding pieces to pieces collects them."""

    __slots__ = ("shape", "dtype", "pieces")
    __array_ufunc__ = None  # array + pieces is not NumPy's business

    def __init__(self, values: Any, index: Any, shape: tuple[int, ...]):
        self.shape, self.dtype = shape, values.dtype
        self.pieces = [(values, index)]

    def dense(self) -> Any:
        """The gradient as an array."""
        be = backend_of(self.pieces[0][0])
        return be.lay(self.pieces, be.zeros(self.shape, dtype=self.dtype), empty=True)

    def add_to(self, total: Any, in_place: bool) -> Any:
        """`total` with these pieces added: an array, in place where that is allowed, or other pieces."""
        if type(total) is Pieces:
            total.pieces += self.pieces  # nobody else holds them: every rule makes its own
            return total
        be = backend_of(self.pieces[0][0])
        return be.lay(self.pieces, total if in_place else be.asarray(total).copy(order="K"), empty=False)

    def astype(self, dtype: Any) -> Pieces:
        """The same pieces in another dtype."""
        self.pieces, self.dtype = [(values.astype(dtype), index) for values, index in self.pieces], dtype
        return self

    def __add__(self, other: Any) -> Any:
        return self.dense() + other

    __radd__ = __add__
