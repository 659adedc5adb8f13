"""`Pack`: parameters that an optimiser updates in one go. Imported by optimizer.py only.

Of many small parameters the calls cost more than the arithmetic, of a large one the ways to memory. So small ones of
a dtype are updated together: as they lie, or copied into one vector and back. What is remembered of them lies in one
vector each, of which the entries of `optimizer.state` are views. A large one is updated block by block, and what an
update reads and writes of a block stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tensorgraph import backends
from tensorgraph.backends.updates import Several
from tensorgraph.errors import ShapeError, sig
from tensorgraph.tensor import Tensor

__all__ = ["Pack", "packed"]

LIMIT = 1 << 20
"""elements of a pack where arrays are updated as they lie, or the device does not say what fits into its cache"""


class Pack:
    """Parameters of one dtype and device, of which the same arrays and numbers are remembered.

    `vectors` holds what is remembered by name, of all parameters behind each other; `fresh` says that the arrays were
    just made.
    """

    __slots__ = (
        "be", "params", "arrays", "entries", "held", "numbers", "fresh", "vectors", "slices", "size", "together",
        "whole",
    )  # fmt: skip

    def __init__(self, params: Sequence[Tensor], entries: Sequence[dict[str, Any]], starts: Mapping[str, float],
                 numbers: Mapping[str, Any], fresh: bool, whole: bool):  # fmt: skip
        self.params, self.entries, self.numbers, self.fresh, self.whole = params, entries, dict(numbers), fresh, whole
        self.arrays, self.together = [p.array for p in params], None
        be = self.be = backends.backend_of(self.arrays[0])
        self.slices, self.size = [], 0
        for array in self.arrays:
            self.slices.append(slice(self.size, self.size + array.size))
            self.size += array.size
        self.vectors = {name: self._vector(be, name, start) for name, start in starts.items()}
        self.held = [tuple(entry[name] for name in starts) for entry in entries]

    def _vector(self, be: Any, name: str, start: float) -> Any:
        """What is remembered under a name as one vector, which the entries share from now on."""
        first = self.entries[0].get(name)
        if self.whole or len(self.params) > 1 or first is None or not first.array.flags.c_contiguous:
            vector = be.full(self.size, start, dtype=self.arrays[0].dtype)
            for entry, part, array in zip(self.entries, self.slices, self.arrays, strict=True):
                if entry.get(name) is not None:
                    vector[part] = entry[name].array.reshape(-1)
                entry[name] = Tensor(vector[part].reshape(array.shape))
        else:
            vector = first.array.reshape(-1)
        return vector if not self.whole else self.entries[0][name].array

    def fits(self, names: Sequence[str], state: Mapping[Tensor, Any]) -> bool:
        """Whether parameters and state are still the arrays that they were."""
        for p, array, entry, held in zip(self.params, self.arrays, self.entries, self.held, strict=True):
            if p.array is not array or state.get(p) is not entry:
                return False
            for name, tensor in zip(names, held, strict=True):
                if entry.get(name) is not tensor:
                    return False
            for name, number in self.numbers.items():
                if entry.get(name) != number:
                    return False
        return True

    def gradients(self, who: str) -> list[Any]:
        """The gradient arrays, checked."""
        gradients = []
        for p, array in zip(self.params, self.arrays, strict=True):
            g = p.grad.array  # pyright: ignore[reportOptionalMemberAccess]
            if g.shape != array.shape:
                raise ShapeError(f"{who}: the gradient of a parameter is {sig(g)}, the parameter is {sig(array)}")
            gradients.append(g)
        return gradients

    def pieces(
        self, gradients: Sequence[Any], scratch: Callable[..., Any], kernel: str
    ) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """(p, g, arrays) of every piece, to be updated in turn: vectors, with the parameters' new values put back.

        Pieces are blocks unless the backend does the step `kernel` in one pass; where it takes several arrays as they
        lie, there is one piece and nothing is copied.
        Complex numbers count as pairs of real ones. With `whole`, the one parameter in its own shape.
        """
        be, arrays = self.be, self.arrays
        if self.whole:
            yield arrays[0], gradients[0], self.vectors
            return
        if len(arrays) > 1 and be.takes_several(kernel, arrays, len(self.vectors)):
            if self.together is None:
                self.together = Several(arrays)
            yield self.together, Several(gradients), self.vectors
            return
        copied = len(arrays) > 1 or not arrays[0].flags.c_contiguous
        if copied:
            like = arrays[0].dtype
            p, g = scratch(be, self.size, like, 4), scratch(be, self.size, like, 5)
            be.concatenate([array.reshape(-1) for array in arrays], out=p)
            be.concatenate([gradient.reshape(-1) for gradient in gradients], out=g)
        else:
            p, g = arrays[0].reshape(-1), gradients[0].reshape(-1)
            g = g if g.dtype == p.dtype else g.astype(p.dtype)
        flat_p, flat_g, vectors = _real(p), _real(g), {name: _real(v) for name, v in self.vectors.items()}
        step = be.block if be.block and flat_p.size > be.block else 0
        if step and be.in_one_pass(kernel, flat_p, len(vectors)):
            step = 0
        if not step:
            yield flat_p, flat_g, vectors
        for start in range(0, flat_p.size if step else 0, step or 1):
            part = slice(start, start + step)
            yield flat_p[part], flat_g[part], {name: v[part] for name, v in vectors.items()}
        if copied:
            for array, part in zip(arrays, self.slices, strict=True):
                array[...] = p[part].reshape(array.shape)


def _real(vector: Any) -> Any:
    return vector.view(vector.real.dtype) if vector.dtype.kind == "c" else vector


def packed(params: Sequence[Tensor], state: dict[Tensor, dict[str, Any]], starts: Mapping[str, float],
           numbers: Sequence[str], elementwise: bool, kernel: str) -> list[Pack]:  # fmt: skip
    """All parameters in packs; makes what the state lacks."""
    packs: list[Pack] = []
    growing: dict[Any, list[Tensor]] = {}

    def close(key: Any) -> None:
        """Makes a pack of those that were gathered under a key."""
        members = growing.pop(key)
        known = {name: number for name, number in zip(numbers, key[3], strict=True) if number is not None}
        packs.append(Pack(members, [state[p] for p in members], starts, known, key[2], not elementwise))

    arrays = [p.array for p in params]
    copies_nothing = arrays and backends.backend_of(arrays[0]).takes_several(kernel, arrays, len(starts))
    for p in params:
        entry = state.setdefault(p, {})
        be = backends.backend_of(p.array)
        key = (p.device, p.dtype, any(entry.get(name) is None for name in starts), tuple(map(entry.get, numbers)))
        limit = LIMIT if copies_nothing else be.block or LIMIT
        # one that lies in another's memory goes alone: a copy put back would undo what was done through the other
        alone = not elementwise or 2 * p.array.size > limit or p.array.base is not None
        if alone:
            key = (*key, id(p))
        elif key in growing and sum(other.array.size for other in growing[key]) + p.array.size > limit:
            close(key)
        growing.setdefault(key, []).append(p)
        if alone:
            close(key)
    for key in list(growing):
        close(key)
    return packs
