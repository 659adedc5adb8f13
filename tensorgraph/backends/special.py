"""Special functions in the array library's own functions: what NumPy lacks and SciPy or CuPy have.

Each function here is the definition for every backend; one that has its own (cupyx.scipy.special) may override it.
Accuracy in float64 is a few units in the last place away from zeros of the function. The rational functions were
fitted for this file to a relative error below 1e-16 (float32: 3e-8); all their coefficients are positive, so that
Horner's scheme loses nothing. Imported by `array.py` only.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

F32, F64 = np.dtype("float32"), np.dtype("float64")

# erf(x) = x P(x^2) / Q(x^2), for |x| <= 3.95 in float32 and |x| <= 5.95 in float64
ERF_32 = (
    (1.1283791459404464, 0.19115561511763693, 0.052822004663741644, 0.0037911935650904232, 0.00028429567166063954,
     2.028582440197121e-06),
    (1.0, 0.5027399838635997, 0.11439543196548047, 0.015020733030075888, 0.0011666166808563588, 3.783952604017416e-05),
)  # fmt: skip
ERF_64 = (
    (1.1283791670955126, 0.22029398178599288, 0.06614095926372196, 0.006895763857276178, 0.0008561353361809282,
     5.700544773192116e-05, 3.902895014167858e-06, 1.696408427665422e-07, 6.761065337083891e-09, 1.719685462415921e-10,
     3.328416829125619e-12, 2.2153329820332397e-14, 1.559662940424131e-17),
    (1.0, 0.5285637915072774, 0.13480382947724107, 0.021998966086260167, 0.0025665584840311776, 0.00022627880274277303,
     1.5511882381499547e-05, 8.356927329183157e-07, 3.517617629849003e-08, 1.1246794146432081e-09,
     2.5469421763128815e-11, 3.306286161087572e-13, 8.7948707732349e-16),
)  # fmt: skip
# exp(x^2) erfc(x) = P(x) / Q(x), for x >= 0
ERFCX = (
    (1.0, 2.340342338138021, 2.715304420647342, 2.01794993668666, 1.0538871196382278, 0.4023120334162585,
     0.11353335057089203, 0.02341607780095713, 0.003390852736140371, 0.00031349636690218303, 1.422451279867683e-05),
    (1.0, 3.4687215052335336, 5.629337503609037, 5.6535083731389655, 3.9132060739174204, 1.9656090050140336,
     0.7335536449602134, 0.20422508317187907, 0.04178174619605545, 0.0060227361361979165, 0.0005556578427616071,
     2.521229248726384e-05),
)  # fmt: skip
# log gamma(1 + t) = t (t - 1) P(t) / Q(t), for 0 <= t <= 1
GAMMALN = (
    (0.5772156649015329, 1.4312588088721763, 1.2855381315609489, 0.5069609975959672, 0.08384446280198805,
     0.004401370354627067, 1.744223450108248e-05),
    (1.0, 2.9044779609034874, 3.191928377007375, 1.6518556256342398, 0.40718031866292986, 0.04237489232086728,
     0.0012863764953648508),
)  # fmt: skip
# the Bernoulli numbers B2, B4, ...
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138,
    -236364091 / 2730,
)  # fmt: skip

Formula = Callable[[Any, Any], Any]


class Special:
    """The part of a backend that computes special functions."""

    xp: Any
    asarray: Callable[..., Any]

    block: int | None = None
    """Long formulas are evaluated on this many elements at a time, so that intermediate results stay in the cache."""

    def quiet(self) -> Any:
        """A context in which overflow and division by zero on the way to a right result are not reported."""
        return np.errstate(all="ignore")

    def floating(self, x: Any) -> Any:
        """x as an array of a floating dtype; integers become float32."""
        x = self.asarray(x)
        return x if x.dtype.kind in "fc" else x.astype(F32)

    def _each_block(self, formula: Formula, x: Any, single: bool = False) -> Any:
        """`formula(xp, x)` in double precision, or in float32 when it is `single`; the result in the dtype of x."""
        x = self.floating(x)
        if x.dtype.kind == "c":
            raise TypeError("this function takes real numbers only")
        work = F32 if single else F64
        flat = x.reshape(-1)
        out = self.xp.empty(x.shape, dtype=x.dtype)
        out_flat = out.reshape(-1)
        step = self.block or max(x.size, 1)
        with self.quiet():
            for start in range(0, x.size, step):
                part = slice(start, start + step)
                out_flat[part] = formula(self.xp, flat[part].astype(work))
        return out

    # ---- rectifiers and the logistic family --------------------------------------------------------------------------
    def relu(self, x: Any, out: Any = None) -> Any:
        """max(x, 0), written into `out` if that is given; NaN stays NaN."""
        return self.xp.maximum(x, 0, out=out)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)), to full relative precision on both sides."""
        y = self.asarray(self.xp.negative(self.floating(x)))
        with self.quiet():  # exp overflows where the result is 0
            self.xp.exp(y, out=y)
            y += 1
            return self.xp.true_divide(1, y, out=y)

    def sigmoid_slope(self, g: Any, y: Any) -> Any:
        """g y (1 - y), the gradient in x where y is sigmoid(x)."""
        return g * (y * (1 - y))

    def tanh_slope(self, g: Any, y: Any) -> Any:
        """g (1 - y y), the gradient in x where y is tanh(x)."""
        return g * (1 - y * y)

    def relu_slope(self, g: Any, y: Any, out: Any = None) -> Any:
        """g where y > 0, else 0; it may be written into `out`."""
        return self.where(y > 0, g, 0)  # pyright: ignore[reportAttributeAccessIssue]

    def softplus(self, x: Any) -> Any:
        """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which neither overflows nor cancels."""
        x = self.floating(x)
        y = self.asarray(self.xp.abs(x))
        self.xp.negative(y, out=y)
        with self.quiet():  # exp underflows where x itself is the result
            self.xp.exp(y, out=y)
        self.xp.log1p(y, out=y)
        y += self.xp.maximum(x, 0)
        return y

    # ---- error functions -----------------------------------------------------------------------------------------
    def erf(self, x: Any) -> Any:
        """2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
        x = self.floating(x)
        return self._each_block(_erf, x, single=x.dtype.itemsize < 8)

    def erfc(self, x: Any) -> Any:
        """1 - erf(x), to full relative precision where it is small."""
        return self._each_block(_erfc, x)

    def ndtr(self, x: Any) -> Any:
        """Probability that a standard normal variable is below x; in float32 and less to 6e-8 absolute precision."""
        x = self.floating(x)
        return self._each_block(_ndtr, x, single=x.dtype.itemsize < 8)

    def gaussian(self, x: Any, rate: float, height: float) -> Any:
        """height * exp(-rate * x^2)"""
        with self.quiet():  # the square overflows where the result is 0
            y = self.asarray(self.xp.square(self.floating(x)))
            y *= -rate
            self.xp.exp(y, out=y)
            y *= height
        return y

    def erfinv(self, y: Any) -> Any:
        """The x with erf(x) = y."""
        return self._each_block(_erfinv, y)

    # ---- gamma functions -----------------------------------------------------------------------------------------
    def gammaln(self, x: Any) -> Any:
        """log |gamma(x)|."""
        return self._each_block(_gammaln, x)

    def polygamma(self, n: int, x: Any) -> Any:
        """The (n+1)-th derivative of log gamma(x); n = 0 is the digamma function."""
        return self._each_block(functools.partial(_polygamma, n=n) if n else _digamma, x)

    # ---- oscillating and growing functions -----------------------------------------------------------------------
    def bessel_i(self, x: Any, order: int, scaled: bool) -> Any:
        """Modified Bessel function of the first kind I_order(x), times exp(-|x|) when `scaled`."""
        return self._each_block(functools.partial(_bessel_i, order=order, scaled=scaled), x)

    def sinc(self, x: Any, order: int = 0) -> Any:
        """The `order`-th derivative of sin(pi x) / (pi x)."""
        x = self.floating(x)
        if order == 0:
            return self.xp.sinc(x)
        return self._each_block(functools.partial(_sinc, order=order), x)


def _horner(xp: Any, coefficients: Sequence[float], x: Any) -> Any:
    """c0 + c1 x + c2 x^2 + ..."""
    y = xp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= x
        y += c
    return y


def _rational(xp: Any, table: Sequence[Sequence[float]], x: Any) -> Any:
    y = _horner(xp, table[0], x)
    y /= _horner(xp, table[1], x)
    return y


def _erf(xp: Any, x: Any) -> Any:
    edge, table = (3.95, ERF_32) if x.dtype == F32 else (5.95, ERF_64)
    x = xp.clip(x, -edge, edge)  # beyond it the result is 1 to the last digit
    y = _rational(xp, table, x * x)
    y *= x
    return xp.clip(y, -1, 1)


def _erfc(xp: Any, x: Any) -> Any:
    z = xp.minimum(xp.abs(x), 30)  # beyond it the result is 0
    y = _rational(xp, ERFCX, z)
    head = z.astype(F32).astype(F64)  # its square is exact: exp(-z^2) would turn the rounding of z^2 into a large error
    y *= xp.exp(-head * head)
    y *= xp.exp((head - z) * (head + z))
    y += (2 - 2 * y) * (x < 0)
    return y


def _ndtr(xp: Any, x: Any) -> Any:
    if x.dtype == F32:  # in the middle of every GELU: five times as fast
        return 0.5 + 0.5 * _erf(xp, math.sqrt(0.5) * x)
    return 0.5 * _erfc(xp, -math.sqrt(0.5) * x)


def _erfinv(xp: Any, y: Any) -> Any:
    a = xp.abs(y)
    # Winitzki's closed formula is good to 2e-3; two steps of Halley's method cube that error twice
    log = xp.log1p(-a * a)
    t = 2 / (math.pi * 0.147) + 0.5 * log
    x = xp.sqrt(xp.sqrt(t * t - log / 0.147) - t)
    for _ in range(2):
        beyond = xp.where(a > 0.5, (1 - a) - _erfc(xp, x), _erf(xp, x) - a)
        step = beyond * xp.exp(x * x) * (0.5 * math.sqrt(math.pi))
        x = x - step / (1 + x * step)
    x = xp.where(a == 1, math.inf, xp.where(a > 1, math.nan, x))
    return xp.copysign(x, y)


def _gammaln(xp: Any, x: Any) -> Any:
    mirrored = x < 0.5
    a = xp.where(mirrored, 1 - x, x)
    # 0.5 <= a < 8: down to t + 1 in [1, 2] by gamma(z + 1) = z gamma(z)
    z, product = xp.minimum(a, 8), xp.ones_like(x)
    for _ in range(6):
        over = (z > 2).astype(F64)
        z -= over
        product *= 1 + over * (z - 1)
    below = z < 1
    t = xp.where(below, z, z - 1)
    near = t * (t - 1) * _rational(xp, GAMMALN, t) + xp.log(product) - xp.log(xp.where(below, z, 1))
    # a >= 8: Stirling's series
    b = xp.maximum(a, 8)
    series = [c / (2 * k * (2 * k - 1)) for k, c in enumerate(BERNOULLI[:9], 1)]
    far = (b - 0.5) * (xp.log(b) - 1) + (0.5 * math.log(2 * math.pi) - 0.5) + _horner(xp, series, 1 / (b * b)) / b
    y = xp.where(a < 8, near, far)
    whole = xp.where(xp.isinf(x), x, xp.rint(x))
    reflected = math.log(math.pi) - xp.log(xp.abs(xp.sin(math.pi * (x - whole)))) - y
    return xp.where(xp.isinf(x), math.inf, xp.where(mirrored, reflected, y))


def _digamma(xp: Any, x: Any) -> Any:
    mirrored = x < 0
    a, total = xp.where(mirrored, 1 - x, x), xp.zeros_like(x)
    for _ in range(10):  # psi(a) = psi(a + 1) - 1 / a, up to where the series holds
        low = (a < 10).astype(F64)
        total += low / a
        a += low
    series = [c / (2 * k) for k, c in enumerate(BERNOULLI[:9], 1)]
    u = 1 / (a * a)
    y = xp.log(a) - 0.5 / a - u * _horner(xp, series, u) - total
    fraction = xp.where(mirrored, x - xp.rint(x), 0.25)
    pole = xp.where(fraction == 0, math.nan, math.pi / xp.tan(math.pi * fraction))
    return xp.where(mirrored, y - pole, y)


def _polygamma(xp: Any, x: Any, n: int) -> Any:
    mirrored = x < 0
    a, s = xp.where(mirrored, 1 - x, xp.abs(x)), n + 1
    # the Hurwitz zeta function sum (a + k)^-s: ten terms, and Euler and Maclaurin's series for the rest
    total = xp.zeros_like(x)
    for _ in range(10):
        total = total + a**-s
        a = a + 1
    u = 1 / (a * a)
    series, rising = [], float(s)
    for k, c in enumerate(BERNOULLI, 1):
        series.append(c * rising / math.factorial(2 * k))
        rising *= (s + 2 * k - 1) * (s + 2 * k)
    zeta = total + a ** (1 - s) / (s - 1) + a**-s * (0.5 + _horner(xp, series, u) / a)
    y = (-1) ** s * math.factorial(n) * zeta
    # psi_n(x) = (-1)^n psi_n(1 - x) - pi (d/dx)^n cot(pi x), and cot' = -(1 + cot^2)
    cot = xp.where(mirrored, 1 / xp.tan(math.pi * (x - xp.rint(x))), 0)
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(n):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([-math.pi, 0, -math.pi])
    reflected = (-1) ** n * y - math.pi * _horner(xp, [float(c) for c in polynomial.coef], cot)
    return xp.where(mirrored, reflected, y)


def _bessel_i(xp: Any, x: Any, order: int, scaled: bool) -> Any:
    a = xp.abs(x)
    # |x| < 30: the power series; its terms are positive, so nothing cancels
    small = xp.minimum(a, 30)
    powers = [1 / (math.factorial(k) * math.factorial(k + order)) for k in range(70)]
    near = (0.5 * small) ** order * _horner(xp, powers, 0.25 * small * small)
    # |x| >= 30: Hankel's expansion of exp(-x) I(x)
    large = xp.clip(a, 30, None if scaled else 720)  # I(720) overflows
    series = [1.0]
    for k in range(1, 25):
        series.append(-series[-1] * (4 * order * order - (2 * k - 1) ** 2) / (8 * k))
    far = _horner(xp, series, 1 / large) / xp.sqrt(2 * math.pi * large)
    if scaled:
        y = xp.where(a < 30, near * xp.exp(-small), far)
    else:
        y = xp.where(a < 30, near, xp.exp(0.5 * large) * far * xp.exp(0.5 * large))
    return xp.where(x < 0, -y, y) if order % 2 else y


def _sinc(xp: Any, x: Any, order: int) -> Any:
    u = math.pi * x
    a = xp.abs(u)
    edge = order + 2.0
    # near 0: the Taylor series, where the recurrence below would cancel
    v = xp.minimum(a, edge)
    first = (order + 1) // 2
    taylor = [
        (-1) ** k * math.factorial(2 * k) / (math.factorial(2 * k + 1) * math.factorial(2 * k - order))
        for k in range(first, first + 25)
    ]
    near = _horner(xp, taylor, v * v) * v ** (2 * first - order)
    # away from 0: u s_n + n s_(n-1) = sin(u + n pi / 2)
    w = xp.maximum(a, edge)
    waves = (xp.sin(w), xp.cos(w))
    far = waves[0] / w
    for n in range(1, order + 1):
        wave = waves[n % 2] if n % 4 < 2 else -waves[n % 2]
        far = (wave - n * far) / w
    y = xp.where(a < edge, near, far)
    return math.pi**order * (xp.where(u < 0, -y, y) if order % 2 else y)
