"""The operators and methods of Tensor that are operations. Written by `python3 dev.py stubs`; do not edit."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tensorgraph.tensor import Tensor

# the class has methods of these names
_bool = bool
_int = int
_float = float

class TensorMethods:
    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
    def __abs__(self) -> Tensor:
        """Absolute value; the modulus of complex numbers."""
    def __add__(self, b: Any) -> Tensor:
        """Sum a + b."""
    def __and__(self, b: Any) -> Tensor:
        """Bits that are set in both."""
    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """`t.__array_namespace__()`: the module tensorgraph."""
    def __contains__(self, value: Any) -> _bool:
        """Whether any element equals `value`."""
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]  # object's return bool
    def __floordiv__(self, b: Any) -> Tensor:
        """Largest whole number <= a / b."""
    def __ge__(self, other: Any) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __gt__(self, other: Any) -> Tensor: ...
    def __invert__(self) -> Tensor:
        """All bits flipped; logical not of bool."""
    def __iter__(self) -> Iterator[Tensor]:
        """The entries along the first axis."""
    def __le__(self, other: Any) -> Tensor: ...
    def __lshift__(self, b: Any) -> Tensor:
        """Bits moved b places up."""
    def __lt__(self, other: Any) -> Tensor: ...
    def __matmul__(self, b: Any) -> Tensor:
        """Matrix product a @ b."""
    def __mod__(self, b: Any) -> Tensor:
        """a - b * floor(a / b): what is left of a, with the sign of b (Python's %)."""
    def __mul__(self, b: Any) -> Tensor:
        """Product a * b."""
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]  # object's return bool
    def __neg__(self) -> Tensor:
        """-x."""
    def __or__(self, b: Any) -> Tensor:
        """Bits that are set in either."""
    def __pos__(self) -> Tensor:
        """A copy of x."""
    def __pow__(self, b: Any) -> Tensor:
        """Power a ** b."""
    def __radd__(self, other: Any) -> Tensor: ...
    def __rand__(self, other: Any) -> Tensor: ...
    def __rfloordiv__(self, other: Any) -> Tensor: ...
    def __rlshift__(self, other: Any) -> Tensor: ...
    def __rmatmul__(self, other: Any) -> Tensor: ...
    def __rmod__(self, other: Any) -> Tensor: ...
    def __rmul__(self, other: Any) -> Tensor: ...
    def __ror__(self, other: Any) -> Tensor: ...
    def __rpow__(self, other: Any) -> Tensor: ...
    def __rrshift__(self, other: Any) -> Tensor: ...
    def __rshift__(self, b: Any) -> Tensor:
        """Bits moved b places down; the sign is kept."""
    def __rsub__(self, other: Any) -> Tensor: ...
    def __rtruediv__(self, other: Any) -> Tensor: ...
    def __rxor__(self, other: Any) -> Tensor: ...
    def __sub__(self, b: Any) -> Tensor:
        """Difference a - b."""
    def __truediv__(self, b: Any) -> Tensor:
        """Quotient a / b, floating also for integers."""
    def __xor__(self, b: Any) -> Tensor:
        """Bits that are set in exactly one."""
    def abs(self) -> Tensor:
        """Absolute value; the modulus of complex numbers."""
    def acos(self) -> Tensor:
        """Arc cosine, NaN outside [-1, 1]."""
    def acosh(self) -> Tensor:
        """Inverse hyperbolic cosine, NaN below 1."""
    def add(self, b: Any) -> Tensor:
        """Sum a + b."""
    def amax(self, axis: Any = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Largest element; NaN wins."""
    def amin(self, axis: Any = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Smallest element; NaN wins."""
    def arccos(self) -> Tensor:
        """Arc cosine, NaN outside [-1, 1]."""
    def arcsin(self) -> Tensor:
        """Arc sine, NaN outside [-1, 1]."""
    def arctan(self) -> Tensor:
        """Arc tangent."""
    def asin(self) -> Tensor:
        """Arc sine, NaN outside [-1, 1]."""
    def asinh(self) -> Tensor:
        """Inverse hyperbolic sine."""
    def astype(self, dtype: Any, *, copy: _bool = True) -> Tensor:
        """x in another dtype; complex to real takes the real part."""
    def atan(self) -> Tensor:
        """Arc tangent."""
    def atan2(self, b: Any) -> Tensor:
        """Angle of the point (b, a) in (-pi, pi]."""
    def atanh(self) -> Tensor:
        """Inverse hyperbolic tangent, NaN outside [-1, 1]."""
    def bmm(self, b: Any) -> Tensor:
        """Batch of matrix products, no broadcasting."""
    def bool(self) -> Tensor:
        """x as bool; x itself when it is that already."""
    def broadcast_to(self, *shape: Any) -> Tensor:
        """x broadcast to a shape; -1 keeps the size of an axis."""
    def ceil(self, *, straight_through: _bool = False) -> Tensor:
        """The smallest whole number >= x."""
    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """x limited to [min, max]; None is no limit; `max` wins where min > max."""
    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """x limited to [min, max]; None is no limit; `max` wins where min > max."""
    def clone(self) -> Tensor:
        """A copy in memory of its own, in the graph."""
    def conj(self) -> Tensor:
        """Complex conjugate; real numbers as they are."""
    def contiguous(self) -> Tensor: ...
    def copysign(self, b: Any) -> Tensor:
        """|a| with the sign of b, that of -0 and of NaN included."""
    def cos(self) -> Tensor:
        """Cosine."""
    def cosh(self) -> Tensor:
        """Hyperbolic cosine."""
    def cpu(self) -> Tensor: ...
    def cuda(self, device: Any = 0) -> Tensor: ...
    def deg2rad(self) -> Tensor:
        """Degrees to radians."""
    def dim(self) -> _int: ...
    def div(self, b: Any) -> Tensor:
        """Quotient a / b, floating also for integers."""
    def divide(self, b: Any) -> Tensor:
        """Quotient a / b, floating also for integers."""
    def dot(self, b: Any) -> Tensor:
        """NumPy's dot: the product of two numbers, vectors or matrices; otherwise a sum over the last axis of a and the last but one of b."""
    def double(self) -> Tensor:
        """x as float64; x itself when it is that already."""
    def element_size(self) -> _int: ...
    def eq(self, other: Any) -> Tensor: ...
    def exp(self) -> Tensor:
        """Exponential e^x."""
    def exp2(self) -> Tensor:
        """2^x."""
    def expand(self, *shape: Any) -> Tensor:
        """x broadcast to a shape; -1 keeps the size of an axis."""
    def expand_dims(self, axis: _int | Sequence[_int] = 0) -> Tensor:
        """New axes of size 1; `axis` says where they are in the result."""
    def expm1(self) -> Tensor:
        """e^x - 1, accurate near 0."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """The axes from `start_dim` to `end_dim` (both included) as one."""
    def float(self) -> Tensor:
        """x as float32; x itself when it is that already."""
    def floor(self, *, straight_through: _bool = False) -> Tensor:
        """The largest whole number <= x; integers as they are."""
    def floor_divide(self, b: Any) -> Tensor:
        """Largest whole number <= a / b."""
    def fmax(self, b: Any) -> Tensor:
        """The larger of a and b, the other one where one is NaN."""
    def fmin(self, b: Any) -> Tensor:
        """The smaller of a and b, the other one where one is NaN."""
    def fmod(self, b: Any) -> Tensor:
        """a - b * trunc(a / b): what is left of a, with the sign of a (C's fmod)."""
    def frac(self) -> Tensor:
        """The fraction x - trunc(x), with the sign of x."""
    def ge(self, other: Any) -> Tensor: ...
    def gt(self, other: Any) -> Tensor: ...
    def half(self) -> Tensor:
        """x as float16; x itself when it is that already."""
    def heaviside(self, value: Any, *, surrogate: Any = None) -> Tensor:
        """The unit step: 0 below 0, `value` at 0, 1 above; NaN of NaN."""
    def hypot(self, b: Any) -> Tensor:
        """sqrt(a^2 + b^2) without overflow."""
    @property
    def imag(self) -> Tensor:
        """Imaginary part."""
    def int(self) -> Tensor:
        """x as int32; x itself when it is that already."""
    def is_floating_point(self) -> _bool: ...
    def isfinite(self) -> Tensor:
        """x is neither infinite nor NaN."""
    def isinf(self) -> Tensor:
        """x is infinite, of either sign."""
    def isnan(self) -> Tensor:
        """x is NaN."""
    def le(self, other: Any) -> Tensor: ...
    def lerp(self, end: Any, weight: Any) -> Tensor:
        """Linear interpolation start + weight * (end - start), exactly `end` at weight 1."""
    def log(self) -> Tensor:
        """Natural logarithm; -inf at 0, NaN for negative numbers."""
    def log10(self) -> Tensor:
        """Logarithm to base 10."""
    def log1p(self) -> Tensor:
        """log(1 + x), accurate near 0."""
    def log2(self) -> Tensor:
        """Logarithm to base 2."""
    def logical_and(self, b: Any) -> Tensor:
        """Both are true, where every number but 0 is."""
    def logical_not(self) -> Tensor:
        """x is 0 or False."""
    def logical_or(self, b: Any) -> Tensor:
        """At least one is true, where every number but 0 is."""
    def logical_xor(self, b: Any) -> Tensor:
        """Exactly one is true, where every number but 0 is."""
    def long(self) -> Tensor:
        """x as int64; x itself when it is that already."""
    def lt(self, other: Any) -> Tensor: ...
    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
    def matmul(self, b: Any) -> Tensor:
        """Matrix product a @ b."""
    def max(self, axis: Any = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Largest element; NaN wins."""
    def maximum(self, b: Any) -> Tensor:
        """The larger of a and b; NaN if either is."""
    def mean(self, axis: Any = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Arithmetic mean."""
    def min(self, axis: Any = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Smallest element; NaN wins."""
    def minimum(self, b: Any) -> Tensor:
        """The smaller of a and b; NaN if either is."""
    def mm(self, b: Any) -> Tensor:
        """Matrix product a @ b."""
    def mul(self, b: Any) -> Tensor:
        """Product a * b."""
    def multiply(self, b: Any) -> Tensor:
        """Product a * b."""
    def mv(self, b: Any) -> Tensor:
        """Matrix times vector."""
    def nan_to_num(self, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
        """x with NaN and infinities replaced; infinities by the largest finite numbers unless given."""
    def ne(self, other: Any) -> Tensor: ...
    def neg(self) -> Tensor:
        """-x."""
    def negative(self) -> Tensor:
        """-x."""
    def numel(self) -> _int: ...
    def outer(self, b: Any) -> Tensor:
        """Every element of a times every element of b."""
    def permute(self, *axes: Any) -> Tensor:
        """x.permute(2, 0, 1): the axes in a new order."""
    def permute_dims(self, *axes: Any) -> Tensor:
        """x.permute(2, 0, 1): the axes in a new order."""
    def pow(self, b: Any) -> Tensor:
        """Power a ** b."""
    def rad2deg(self) -> Tensor:
        """Radians to degrees."""
    @property
    def real(self) -> Tensor:
        """Real part."""
    def reciprocal(self) -> Tensor:
        """1 / x, floating also for integers."""
    def remainder(self, b: Any) -> Tensor:
        """a - b * floor(a / b): what is left of a, with the sign of b (Python's %)."""
    def reshape(self, *shape: Any) -> Tensor:
        """x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    def round(self, decimals: _int = 0, *, straight_through: _bool = False) -> Tensor:
        """x rounded to `decimals` places, halves to the even neighbour."""
    def rsqrt(self) -> Tensor:
        """1 / sqrt(x)."""
    def sign(self) -> Tensor:
        """-1, 0 or 1; x / |x| of complex numbers, 0 at 0; NaN of NaN."""
    def sin(self) -> Tensor:
        """Sine."""
    def sinc(self) -> Tensor:
        """sin(pi x) / (pi x), 1 at 0."""
    def sinh(self) -> Tensor:
        """Hyperbolic sine."""
    @property
    def size(self) -> Any:
        """Number of elements."""
    def sqrt(self) -> Tensor:
        """Square root; NaN for negative numbers."""
    def square(self) -> Tensor:
        """x * x."""
    def squeeze(self, axis: _int | Sequence[_int] | None = None, *, dim: Any = ...) -> Tensor:
        """Without axes of size 1: all of them, or those named."""
    def sub(self, b: Any) -> Tensor:
        """Difference a - b."""
    def subtract(self, b: Any) -> Tensor:
        """Difference a - b."""
    def sum(self, axis: Any = None, keepdims: _bool = False, dtype: Any = None, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Sum of the elements."""
    def tan(self) -> Tensor:
        """Tangent."""
    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
    def to(self, *args: Any, dtype: Any = None, device: str | None = None) -> Tensor:
        """x.to("cuda"), x.to(tg.float64), x.to(other), x.to(device=..., dtype=...): x itself when nothing changes."""
    def transpose(self, *axes: Any) -> Tensor:
        """x.transpose(): axes reversed; x.transpose(2, 0, 1): axes in that order, as in NumPy."""
    def trunc(self, *, straight_through: _bool = False) -> Tensor:
        """x without its fraction: the nearest whole number towards 0."""
    def type_as(self, other: Tensor) -> Tensor:
        """x with the dtype and on the device of `other`."""
    def unsqueeze(self, axis: _int | Sequence[_int] = 0) -> Tensor:
        """New axes of size 1; `axis` says where they are in the result."""
    def view(self, *shape: Any) -> Tensor:
        """x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    def where(self, a: Any, b: Any) -> Tensor:
        """a where `condition` holds, else b."""
