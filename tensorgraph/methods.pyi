"""Tensor's operators and methods that are operations. Written by `python3 dev.py stubs`; do not edit."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tensorgraph.ops.axes import Axis
from tensorgraph.tensor import Tensor

# the class has methods of these names
_bool = bool
_int = int
_float = float

class TensorMethods:
    def __hash__(self) -> _int:
        """By identity, although `==` compares elements."""
    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
    def __abs__(self) -> Tensor:
        """Absolute value; the modulus of complex numbers."""
    def __add__(self, b: Any) -> Tensor:
        """Sum a + b."""
    def __and__(self, b: Any) -> Tensor:
        """Bits that are set in both."""
    def __array__(self, dtype: Any = None, copy: _bool | None = None) -> Any:
        """`np.asarray(t)`."""
    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: Any) -> Any:
        """`np.<function>(...)` with a tensor among the arguments."""
    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """`t.__array_namespace__()`: the module tensorgraph."""
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`np.<ufunc>(...)` with a tensor among the operands."""
    def __contains__(self, value: Any) -> _bool:
        """Whether any element equals `value`."""
    @property
    def __cuda_array_interface__(self) -> Tensor: ...
    def __dlpack__(self, **kwargs: Any) -> Tensor:
        """The memory of the tensor for another library, without a copy."""
    def __dlpack_device__(self) -> Tensor: ...
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]  # object's return bool
    def __floordiv__(self, b: Any) -> Tensor:
        """Largest whole number <= a / b."""
    def __ge__(self, other: Any) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __gt__(self, other: Any) -> Tensor: ...
    def __iadd__(self, y: Any) -> Tensor:
        """In-place add: writes into x where no graph can see it, else `x = x op y`."""
    def __ifloordiv__(self, y: Any) -> Tensor:
        """In-place floor_divide: writes into x where no graph can see it, else `x = x op y`."""
    def __imod__(self, y: Any) -> Tensor:
        """In-place remainder: writes into x where no graph can see it, else `x = x op y`."""
    def __imul__(self, y: Any) -> Tensor:
        """In-place multiply: writes into x where no graph can see it, else `x = x op y`."""
    def __invert__(self) -> Tensor:
        """All bits flipped; logical not of bool."""
    def __ipow__(self, y: Any) -> Tensor:
        """In-place pow: writes into x where no graph can see it, else `x = x op y`."""
    def __isub__(self, y: Any) -> Tensor:
        """In-place subtract: writes into x where no graph can see it, else `x = x op y`."""
    def __iter__(self) -> Iterator[Tensor]:
        """The entries along the first axis."""
    def __itruediv__(self, y: Any) -> Tensor:
        """In-place divide: writes into x where no graph can see it, else `x = x op y`."""
    def __le__(self, other: Any) -> Tensor: ...
    def __lshift__(self, b: Any) -> Tensor:
        """Bits moved b places up."""
    def __lt__(self, other: Any) -> Tensor: ...
    def __matmul__(self, b: Any) -> Tensor:
        """Matrix product a @ b."""
    def __mod__(self, b: Any) -> Tensor:
        """a - b * floor(a / b): what is left of a, with the sign of b, as Python's %."""
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
    def __setitem__(self, index: Any, value: Any) -> None:
        """x[index] = value, in place; see the top of this file for when that is allowed."""
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
    def add_(self, y: Any, *, alpha: _float = 1) -> Tensor:
        """Writes the result of add into x. Returns x."""
    def all(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Whether every element is true (not 0; NaN is true)."""
    def allclose(self, b: Any, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> _bool:
        """Whether `isclose` holds everywhere, as a Python bool."""
    def amax(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Largest element; NaN wins."""
    def amin(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Smallest element; NaN wins."""
    def any(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Whether an element is true (not 0; NaN is true)."""
    def arccos(self) -> Tensor:
        """Arc cosine, NaN outside [-1, 1]."""
    def arcsin(self) -> Tensor:
        """Arc sine, NaN outside [-1, 1]."""
    def arctan(self) -> Tensor:
        """Arc tangent."""
    def argmax(self, axis: _int | None = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """The index of the largest element along an axis, of the flattened array for axis=None."""
    def argmin(self, axis: _int | None = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """The index of the smallest element along an axis."""
    def argsort(self, axis: _int | None = -1, descending: _bool = False, stable: _bool = True, *, dim: Any = ...) -> Tensor:
        """The indices that sort x along an axis; axis=None flattens x first."""
    def asin(self) -> Tensor:
        """Arc sine, NaN outside [-1, 1]."""
    def asinh(self) -> Tensor:
        """Inverse hyperbolic sine."""
    def astype(self, dtype: Any, *, copy: _bool = True, device: str | None = None) -> Tensor:
        """x in another dtype, and on another device if asked; complex to real takes the real part."""
    def atan(self) -> Tensor:
        """Arc tangent."""
    def atan2(self, b: Any) -> Tensor:
        """Angle of the point (b, a) in (-pi, pi]."""
    def atanh(self) -> Tensor:
        """Inverse hyperbolic tangent, NaN outside [-1, 1]."""
    def bincount(self, weights: Any = None, minlength: _int = 0) -> Tensor:
        """How often each of 0, 1, 2, ... occurs; with weights the sum of theirs."""
    def bmm(self, b: Any) -> Tensor:
        """Batch of matrix products, no broadcasting."""
    def bool(self) -> Tensor:
        """x as bool; x itself when it is that already."""
    def broadcast_to(self, *shape: Any) -> Tensor:
        """x broadcast to a shape; -1 keeps the size of an axis."""
    def ceil(self, *, straight_through: _bool = False) -> Tensor:
        """The smallest whole number >= x."""
    def chunk(self, chunks: _int, axis: _int = 0, *, dim: Any = ...) -> tuple[Tensor, ...]:
        """At most `chunks` parts of one size; the last may be shorter (as in PyTorch)."""
    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """x limited to [min, max]; None is no limit; `max` wins where min > max."""
    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """x limited to [min, max]; None is no limit; `max` wins where min > max."""
    def clone(self) -> Tensor:
        """A copy in memory of its own, in the graph."""
    def conj(self) -> Tensor:
        """Complex conjugate; real numbers as they are."""
    def contiguous(self) -> Tensor: ...
    def copy_(self, values: Any) -> Tensor:
        """Writes `values` (broadcast to x's shape, cast to its dtype, moved to its device) into x. Returns x."""
    def copysign(self, b: Any) -> Tensor:
        """|a| with the sign of b, that of -0 and of NaN included."""
    def corrcoef(self, y: Any = None, rowvar: _bool = True) -> Tensor:
        """Pearson's correlations of variables, `cov` of variables scaled to variance 1."""
    def cos(self) -> Tensor:
        """Cosine."""
    def cosh(self) -> Tensor:
        """Hyperbolic cosine."""
    def count_nonzero(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """How many elements are not 0."""
    def cov(self, y: Any = None, rowvar: _bool = True, *, correction: _float = 1) -> Tensor:
        """Covariances of variables."""
    def cpu(self) -> Tensor: ...
    def cuda(self, device: Any = 0, non_blocking: Any = False) -> Tensor: ...
    def cummax(self, axis: _int = -1, *, dim: Any = ...) -> tuple[Tensor, Tensor]:
        """The largest element so far and its index."""
    def cummin(self, axis: _int = -1, *, dim: Any = ...) -> tuple[Tensor, Tensor]:
        """The smallest element so far and its index; ties and NaN as in `cummax`."""
    def cumprod(self, axis: _int | None = None, dtype: Any = None, *, dim: Any = ...) -> Tensor:
        """Running product along an axis; axis=None flattens x first."""
    def cumsum(self, axis: _int | None = None, dtype: Any = None, *, dim: Any = ...) -> Tensor:
        """Running sum along an axis; axis=None flattens x first."""
    def deg2rad(self) -> Tensor:
        """Degrees to radians."""
    def det(self) -> Tensor:
        """Determinant of square matrices."""
    def diag(self, k: _int = 0) -> Tensor:
        """A matrix with the vector x on its k-th diagonal, or that diagonal of a matrix x."""
    def diagonal(self, offset: _int = 0, axis1: _int = 0, axis2: _int = 1, *, dim1: Any = ..., dim2: Any = ...) -> Tensor:
        """A diagonal of the matrices along two axes, as a new last axis."""
    def diff(self, n: _int = 1, axis: _int = -1, prepend: Any = None, append: Any = None, *, dim: Any = ...) -> Tensor:
        """Difference of neighbours along an axis, n times."""
    def digamma(self) -> Tensor:
        """Derivative of `gammaln`: -inf at 0, NaN at -1, -2, ..."""
    def dim(self) -> _int: ...
    def div(self, b: Any) -> Tensor:
        """Quotient a / b, floating also for integers."""
    def div_(self, y: Any, *, alpha: _float = 1) -> Tensor:
        """Writes the result of divide into x. Returns x."""
    def divide(self, b: Any) -> Tensor:
        """Quotient a / b, floating also for integers."""
    def dot(self, b: Any) -> Tensor:
        """NumPy's dot: the product of numbers, vectors or matrices; of more axes, over the last of a and last but one of b."""
    def double(self) -> Tensor:
        """x as float64; x itself when it is that already."""
    def element_size(self) -> _int: ...
    def eq(self, other: Any) -> Tensor: ...
    def erf(self) -> Tensor:
        """Error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    def erfc(self) -> Tensor:
        """1 - erf(x), accurate where that is tiny."""
    def erfinv(self) -> Tensor:
        """Inverse of `erf`: infinite at -1 and 1, NaN beyond."""
    def exp(self) -> Tensor:
        """Exponential e^x."""
    def exp2(self) -> Tensor:
        """2^x."""
    def expand(self, *shape: Any) -> Tensor:
        """x broadcast to a shape; -1 keeps the size of an axis."""
    def expand_dims(self, axis: _int | tuple[_int, ...] | list[_int] = 0, *, dim: Any = ...) -> Tensor:
        """New axes of size 1; `axis` says where they are in the result."""
    def expm1(self) -> Tensor:
        """e^x - 1, accurate near 0."""
    def fill_(self, value: _float) -> Tensor:
        """Writes one number everywhere. Returns x."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """The axes from `start_dim` to `end_dim` (both included) as one."""
    def flip(self, axis: Axis = None, *, dim: Any = ...) -> Tensor:
        """The elements in reverse order along one axis, several, or all of them."""
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
        """a - b * trunc(a / b): what is left of a, with the sign of a, as C's fmod."""
    def frac(self) -> Tensor:
        """The fraction x - trunc(x), with the sign of x."""
    def gather(self, axis: _int, index: Any, *, dim: Any = ...) -> Tensor:
        """PyTorch's gather: y[i, j] = x[index[i, j], j] for axis 0."""
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
    def index_add(self, axis: _int, index: Any, source: Any, alpha: _float = 1, *, dim: Any = ...) -> Tensor:
        """x with `alpha * source` added at `index` along an axis."""
    def index_copy(self, axis: _int, index: Any, source: Any, *, dim: Any = ...) -> Tensor:
        """x with `source` in the place of what is at `index` along an axis."""
    def index_fill(self, axis: _int, index: Any, value: Any, *, dim: Any = ...) -> Tensor:
        """x with one value everywhere at `index` along an axis."""
    def index_select(self, axis: _int, index: Any, *, dim: Any = ...) -> Tensor:
        """PyTorch's name for `take` with one list of indices."""
    def int(self) -> Tensor:
        """x as int32; x itself when it is that already."""
    def inverse(self) -> Tensor:
        """Inverse of square matrices."""
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
    def lgamma(self) -> Tensor:
        """log |gamma(x)|, infinite at 0, -1, -2, ..."""
    def log(self) -> Tensor:
        """Natural logarithm; -inf at 0, NaN for negative numbers."""
    def log10(self) -> Tensor:
        """Logarithm to base 10."""
    def log1p(self) -> Tensor:
        """log(1 + x), accurate near 0."""
    def log2(self) -> Tensor:
        """Logarithm to base 2."""
    def log_softmax(self, axis: _int = -1, *, dim: Any = ...) -> Tensor:
        """Logarithm of `softmax`, finite also where that is too small for its dtype."""
    def logaddexp(self, b: Any) -> Tensor:
        """log(exp(a) + exp(b)) without overflow."""
    def logcumsumexp(self, axis: _int = -1, *, dim: Any = ...) -> Tensor:
        """log(cumsum(exp(x))) along an axis without overflow."""
    def logdet(self) -> Tensor:
        """Logarithm of the determinant."""
    def logical_and(self, b: Any) -> Tensor:
        """Both are true, where every number but 0 is."""
    def logical_not(self) -> Tensor:
        """x is 0 or False."""
    def logical_or(self, b: Any) -> Tensor:
        """At least one is true, where every number but 0 is."""
    def logical_xor(self, b: Any) -> Tensor:
        """Exactly one is true, where every number but 0 is."""
    def logit(self, eps: _float | None = None) -> Tensor:
        """log(x / (1 - x)), the inverse of `sigmoid`; NaN outside [0, 1] unless `eps` limits x to [eps, 1 - eps]."""
    def logsumexp(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """log(sum(exp(x))) without overflow."""
    def long(self) -> Tensor:
        """x as int64; x itself when it is that already."""
    def lt(self, other: Any) -> Tensor: ...
    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        """x with `value` where the mask holds."""
    def masked_select(self, mask: Any) -> Tensor:
        """The elements where the mask holds, in row-major order."""
    def matmul(self, b: Any) -> Tensor:
        """Matrix product a @ b."""
    def max(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Largest element; NaN wins."""
    def maximum(self, b: Any) -> Tensor:
        """The larger of a and b; NaN if either is."""
    def mean(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Arithmetic mean."""
    def median(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """The middle element in order, of an even number the mean of the two in the middle (as in NumPy)."""
    def min(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Smallest element; NaN wins."""
    def minimum(self, b: Any) -> Tensor:
        """The smaller of a and b; NaN if either is."""
    def mm(self, b: Any) -> Tensor:
        """Matrix product a @ b."""
    def moveaxis(self, source: _int | tuple[_int, ...] | list[_int], destination: _int | tuple[_int, ...] | list[_int]) -> Tensor:
        """Axes moved to other positions, the rest in their order."""
    def movedim(self, source: _int | tuple[_int, ...] | list[_int], destination: _int | tuple[_int, ...] | list[_int]) -> Tensor:
        """Axes moved to other positions, the rest in their order."""
    def mul(self, b: Any) -> Tensor:
        """Product a * b."""
    def mul_(self, y: Any, *, alpha: _float = 1) -> Tensor:
        """Writes the result of multiply into x. Returns x."""
    def multiply(self, b: Any) -> Tensor:
        """Product a * b."""
    def mv(self, b: Any) -> Tensor:
        """Matrix times vector."""
    def nan_to_num(self, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
        """x with NaN and infinities replaced; infinities by the largest finite numbers unless given."""
    def nanmean(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Mean of the elements that are not NaN, NaN where there is none."""
    def nanmedian(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """`median` of the elements that are not NaN, NaN where there is none."""
    def nanquantile(self, q: Any, axis: Axis = None, keepdims: _bool = False, method: str = 'linear', *, dim: Any = ..., keepdim: Any = ..., interpolation: Any = ...) -> Tensor:
        """`quantile` of the elements that are not NaN, NaN where there is none."""
    def nansum(self, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Sum of the elements that are not NaN; the others get gradient 0."""
    def ne(self, other: Any) -> Tensor: ...
    def neg(self) -> Tensor:
        """-x."""
    def negative(self) -> Tensor:
        """-x."""
    def nonzero(self) -> tuple[Tensor, ...]:
        """The indices of the elements that are not 0, one array per axis, so that x[nonzero(x)] are these elements."""
    def norm(self, ord: Any = None, axis: Axis = None, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """NumPy's norm: of vectors when `axis` is one axis, of matrices when it is two."""
    def numel(self) -> _int: ...
    def outer(self, b: Any) -> Tensor:
        """Every element of a times every element of b."""
    def permute(self, *axes: Any) -> Tensor:
        """x.permute(2, 0, 1): the axes in a new order."""
    def permute_dims(self, *axes: Any) -> Tensor:
        """x.permute(2, 0, 1): the axes in a new order."""
    def pow(self, b: Any) -> Tensor:
        """Power a ** b."""
    def prod(self, axis: Axis = None, keepdims: _bool = False, dtype: Any = None, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Product of the elements."""
    def put(self, index: Any, values: Any) -> Tensor:
        """x with `x[index] = values` done to a copy: the way to write that stays in the graph."""
    def quantile(self, q: Any, axis: Axis = None, keepdims: _bool = False, method: str = 'linear', *, dim: Any = ..., keepdim: Any = ..., interpolation: Any = ...) -> Tensor:
        """The value below which the part q of the elements lies; NaN if there is any."""
    def rad2deg(self) -> Tensor:
        """Radians to degrees."""
    def ravel(self) -> Tensor:
        """All elements in row-major order along one axis."""
    @property
    def real(self) -> Tensor:
        """Real part."""
    def reciprocal(self) -> Tensor:
        """1 / x, floating also for integers."""
    def relu(self) -> Tensor:
        """Rectifier max(x, 0); NaN passes through."""
    def remainder(self, b: Any) -> Tensor:
        """a - b * floor(a / b): what is left of a, with the sign of b, as Python's %."""
    def repeat(self, repeats: Any, axis: _int | None = None, *, dim: Any = ...) -> Tensor:
        """Each element several times in a row (NumPy's meaning)."""
    def reshape(self, *shape: Any) -> Tensor:
        """x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    def roll(self, shift: _int | Sequence[_int], axis: Axis = None, *, dim: Any = ...) -> Tensor:
        """The elements moved on by `shift` places; what leaves at the end comes in at the front."""
    def rot90(self, k: _int = 1, axes: Sequence[_int] = ..., *, dims: Any = ..., dim: Any = ...) -> Tensor:
        """x turned by 90 degrees k times, from the first of the two axes towards the second."""
    def round(self, decimals: _int = 0, *, straight_through: _bool = False) -> Tensor:
        """x rounded to `decimals` places, halves to the even neighbour."""
    def rsqrt(self) -> Tensor:
        """1 / sqrt(x)."""
    def scatter(self, axis: _int, index: Any, source: Any, *, dim: Any = ...) -> Tensor:
        """PyTorch's scatter: a copy y of x with y[index[i, j], j] = source[i, j] for axis 0."""
    def scatter_add(self, axis: _int, index: Any, source: Any, *, dim: Any = ...) -> Tensor:
        """PyTorch's scatter_add: as `scatter`, but adding; where an index occurs twice both are added."""
    def scatter_reduce(self, axis: _int, index: Any, source: Any, reduce: str, include_self: _bool = True, *, dim: Any = ...) -> Tensor:
        """x with what `scatter` would write combined, place by place."""
    def sigmoid(self) -> Tensor:
        """Logistic function 1 / (1 + exp(-x)), without overflow and accurate on both sides."""
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
    def softmax(self, axis: _int = -1, *, dim: Any = ...) -> Tensor:
        """exp(x) / sum(exp(x)) along an axis, without overflow."""
    def sort(self, axis: _int | None = -1, descending: _bool = False, stable: _bool = True, *, dim: Any = ...) -> Tensor:
        """The elements in order along an axis; axis=None flattens x first."""
    def split(self, indices_or_sections: _int | Sequence[_int], axis: _int = 0, *, dim: Any = ...) -> tuple[Tensor, ...]:
        """An integer: so many equal parts. A sequence: cuts before these positions. NumPy's meaning in both."""
    def sqrt(self) -> Tensor:
        """Square root; NaN for negative numbers."""
    def square(self) -> Tensor:
        """x * x."""
    def squeeze(self, axis: Axis = None, *, dim: Any = ...) -> Tensor:
        """Without axes of size 1: all of them, or those named."""
    def std(self, axis: Axis = None, correction: _float = 0, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Standard deviation, the root of `var`."""
    def sub(self, b: Any) -> Tensor:
        """Difference a - b."""
    def sub_(self, y: Any, *, alpha: _float = 1) -> Tensor:
        """Writes the result of subtract into x. Returns x."""
    def subtract(self, b: Any) -> Tensor:
        """Difference a - b."""
    def sum(self, axis: Axis = None, keepdims: _bool = False, dtype: Any = None, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Sum of the elements."""
    def swapaxes(self, axis1: _int, axis2: _int, *, dim1: Any = ..., dim2: Any = ...) -> Tensor:
        """Two axes exchanged."""
    def take(self, indices: Any, axis: _int | None = None, *, dim: Any = ...) -> Tensor:
        """Elements at `indices` along an axis, of the flattened array for axis=None."""
    def take_along_axis(self, indices: Any, axis: _int = -1, *, dim: Any = ...) -> Tensor:
        """For each line along an axis the elements at its own indices."""
    def tan(self) -> Tensor:
        """Tangent."""
    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
    def tile(self, repetitions: _int | tuple[_int, ...] | list[_int]) -> Tensor:
        """x laid side by side `repetitions` times along each axis."""
    def to(self, *args: Any, dtype: Any = None, device: str | None = None, non_blocking: _bool = False, copy: _bool = False) -> Tensor:
        """x.to("cuda"), x.to(tg.float64), x.to(other), x.to(device=..., dtype=...): x itself when nothing changes."""
    def to_device(self, device: Any, *, stream: Any = None) -> Tensor: ...
    def topk(self, k: _int, axis: _int = -1, largest: _bool = True, sorted: _bool = True, *, dim: Any = ...) -> tuple[Tensor, Tensor]:
        """The k largest (or smallest) elements along an axis, the outermost first, and their indices."""
    def trace(self, offset: _int = 0, axis1: _int = 0, axis2: _int = 1, dtype: Any = None, *, dim1: Any = ..., dim2: Any = ...) -> Tensor:
        """Sum along a diagonal of the matrices along two axes."""
    def transpose(self, *axes: Any) -> Tensor:
        """x.transpose(): axes reversed; x.transpose(2, 0, 1): axes in that order, as in NumPy."""
    def tril(self, k: _int = 0) -> Tensor:
        """Matrices with zeros above the k-th diagonal."""
    def triu(self, k: _int = 0) -> Tensor:
        """Matrices with zeros below the k-th diagonal."""
    def trunc(self, *, straight_through: _bool = False) -> Tensor:
        """x without its fraction: the nearest whole number towards 0."""
    def type_as(self, other: Tensor) -> Tensor:
        """x with the dtype and on the device of `other`."""
    def unbind(self, axis: _int = 0, *, dim: Any = ...) -> tuple[Tensor, ...]:
        """The slices along an axis, without it."""
    def unflatten(self, axis: _int, sizes: Sequence[_int], *, dim: Any = ...) -> Tensor:
        """One axis as several, of which one size may be -1."""
    def unique(self, return_index: _bool = False, return_inverse: _bool = False, return_counts: _bool = False, axis: _int | None = None, equal_nan: _bool = True, *, dim: Any = ...) -> Tensor:
        """The different values of x in order (NumPy's `unique`)."""
    def unsqueeze(self, axis: _int | tuple[_int, ...] | list[_int] = 0, *, dim: Any = ...) -> Tensor:
        """New axes of size 1; `axis` says where they are in the result."""
    def unstack(self, axis: _int = 0, *, dim: Any = ...) -> tuple[Tensor, ...]:
        """The slices along an axis, without it."""
    def var(self, axis: Axis = None, correction: _float = 0, keepdims: _bool = False, *, dim: Any = ..., keepdim: Any = ...) -> Tensor:
        """Variance: mean of |x - mean|^2, with N - correction in the place of N."""
    def view(self, *shape: Any) -> Tensor:
        """x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    def where(self, a: Any, b: Any) -> Tensor:
        """a where `condition` holds, else b."""
    def zero_(self) -> Tensor:
        """Writes 0 everywhere. Returns x."""
