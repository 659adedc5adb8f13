"""Values and gradients of operations against PyTorch's, for the names that both have with the same meaning.

The inputs are those of tests/samples. A name in SAME is called in PyTorch with the same arguments (`axis` and
`keepdims` in PyTorch's spelling); ADAPTED says how where the spelling differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

import tensorgraph as tg
from tests.samples import S
from tests.test_operations import SAMPLES, all_same, flat, tensors, weighted, width

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `peers`)")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::UserWarning")]

SAME = {
    "": """
        abs acos acosh add addcdiv addcmul angle asin asinh atan atan2 atanh bitwise_and bitwise_or
        bitwise_xor bmm broadcast_to ceil chunk clip clone concat conj copysign cos cosh cross cumprod cumsum
        deg2rad det diag diagonal diff divide dot einsum erf erfc erfinv exp exp2 expm1 flip float_power
        floor floor_divide fmax fmin fmod frac greater greater_equal heaviside hypot i0 imag inner isclose
        isfinite isinf isnan kron lerp less less_equal lgamma log log10 log1p log2 logaddexp logical_and
        logical_not logical_or logical_xor logit logsumexp masked_fill matmul maximum minimum moveaxis
        multiply mv nan_to_num negative not_equal outer positive prod rad2deg real reciprocal remainder roll
        rot90 round rsqrt sigmoid sign sin sinc sinh sqrt square squeeze stack subtract sum swapaxes tan tanh
        tensordot tile trace tril triu trunc where xlogy
        amax amin argmax argmin argwhere bincount column_stack count_nonzero cummin diag_embed dstack
        flatten fliplr flipud gather hstack index_add index_fill index_select masked_scatter
        masked_select nansum quantile ravel reshape topk unflatten vstack
        cdist corrcoef cov isin logcumsumexp nanquantile scatter_reduce trapezoid
        """,
    "nn.functional": """
        avg_pool1d avg_pool2d avg_pool3d binary_cross_entropy binary_cross_entropy_with_logits celu conv1d
        conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss
        cosine_similarity cross_entropy elu fold gaussian_nll_loss gelu glu group_norm hardshrink hardsigmoid
        hardswish hardtanh hinge_embedding_loss huber_loss instance_norm kl_div l1_loss layer_norm leaky_relu
        linear local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d margin_ranking_loss max_pool1d
        max_pool2d max_pool3d mish mse_loss multi_margin_loss nll_loss normalize pixel_shuffle pixel_unshuffle
        poisson_nll_loss prelu relu relu6 rms_norm scaled_dot_product_attention selu silu smooth_l1_loss
        softmax softmin softplus softshrink softsign tanhshrink threshold triplet_margin_loss unfold
        """,
    "linalg": "cholesky inv matrix_exp matrix_power multi_dot pinv slogdet solve vecdot vector_norm",
    "special": "digamma",
    "fft": "fft fft2 fftn ifft ifft2 ifftn irfft irfft2 irfftn rfft rfft2 rfftn",
}

ADAPTED: dict[str, Callable] = {
    "cbrt": lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3),
    "expand_dims": lambda x, dim: torch.unsqueeze(x, dim),
    "permute_dims": torch.permute,
    "mean": lambda x, dim=None, keepdim=False: torch.mean(x, dim, keepdim) if dim is not None else x.mean(),
    "max": lambda x, dim=None, keepdim=False: torch.amax(x, () if dim is None else dim, keepdim),
    "min": lambda x, dim=None, keepdim=False: torch.amin(x, () if dim is None else dim, keepdim),
    "var": lambda x, dim=None, correction=0, keepdim=False: torch.var(x, dim, correction=correction, keepdim=keepdim),
    "std": lambda x, dim=None, correction=0, keepdim=False: torch.std(x, dim, correction=correction, keepdim=keepdim),
    "take_along_axis": lambda x, indices, dim=-1: torch.take_along_dim(x, indices, dim),
    "pow": torch.pow,
}

ROUGH = {"hardsigmoid": 1e-7}
"""name -> tolerance, where PyTorch computes with a constant of single precision"""

DIFFERENT = {
    "heaviside(Given(3,), Given(1,))": "NaN is passed on here, as in NumPy",
    "cosine_similarity(A(2, 3), A(2, 3), axis=0, eps=10.0)": "PyTorch's gradient ignores that eps was used",
    "logcumsumexp(Given(4,), dim=0)": "PyTorch's gradient of -inf is NaN",
    "linalg.pinv(Normal(3, 3), hermitian=True)": "PyTorch reads one triangle, here x is made Hermitian first",
    "linalg.pinv(Complex(2, 2, 2), hermitian=True)": "as before",
    "linalg.det(Given(3, 3))": "PyTorch's gradient is not defined at singular matrices",
    "max_pool2d(Given(1, 1, 4, 4), 2, return_indices=True)": "of several NaN PyTorch takes the last one",
    "max_pool2d(Given(1, 1, 4, 4), 2, stride=1, return_indices=True)": "as before",
    "topk(Ints(3, 9), 4)": "PyTorch gives the index of any of equal elements",
    "topk(Ints(9, 2), 5, axis=0, largest=False)": "as before",
    "topk(Given(5,), 2)": "as before",
}
"""id of a sample that is not compared -> why"""


def by_name() -> dict[str, list[S]]:
    """The samples of every operation that PyTorch has too, as far as they call it directly."""
    found: dict[str, list[S]] = defaultdict(list)
    for _, sample in SAMPLES:
        if sample.f is None and "float64" in sample.dtypes and peer(sample.name) is not None:
            found[sample.name].append(sample)
    return found


def peer(name: str) -> Callable | None:
    """PyTorch's function of that name."""
    short = name.rpartition(".")[2]
    if short in ADAPTED:
        return ADAPTED[short]
    for space, names in SAME.items():
        if short in names.split():
            return attrgetter(f"{space}.{short}".lstrip("."))(torch)
    return None


def as_torch(value: Any) -> Any:
    """Keyword arguments and static values as PyTorch spells them."""
    if isinstance(value, np.dtype):
        return getattr(torch, value.name)
    return value


def as_numpy(t: Any) -> Any:
    """Values of PyTorch's tensor; None and numbers stay what they are."""
    return t.detach().resolve_conj().numpy() if isinstance(t, torch.Tensor) else t


SPELLING = {"axis": "dim", "keepdims": "keepdim", "method": "interpolation"}


@pytest.mark.parametrize("name", by_name())
def test_values_and_gradients_agree_with_pytorch(name):
    function, compared = peer(name), 0
    for sample in by_name()[name]:
        arrays = sample.arrays(np.float64)
        ours = tensors(sample, arrays, grad=sample.grad)
        theirs = [torch.tensor(np.array(t.array), requires_grad=t.requires_grad) for t in ours]

        def call(*inputs: Any, **kw: Any) -> Any:
            kw = {SPELLING.get(key, key): as_torch(value) for key, value in kw.items()}
            return function(*map(as_torch, inputs), **kw)

        try:
            expected = flat(sample.call(theirs, call))
            assert sample.kw.get("axis") != ()  # no axis here, every axis in PyTorch
        except (AssertionError, TypeError, RuntimeError, ValueError, IndexError):
            continue  # an option or a rank that PyTorch does not have
        compared += 1
        if sample.id in DIFFERENT:
            continue
        check = f"{sample.id} against PyTorch"
        got = flat(sample.call(ours))
        tolerance = ROUGH.get(name, 1e-10 if width(sample, arrays) else 1e-6) * sample.tol
        all_same(check, got, [as_numpy(y) for y in expected], tolerance)
        ys, ws = weighted(got)
        ts = [t for y, t in zip(got, expected, strict=True) if any(y is one for one in ys)]
        if not ys or not all(t.requires_grad for t in ts):
            continue
        xs = [(x, t) for x, t in zip(ours, theirs, strict=True) if x.requires_grad]
        g = tg.grad(ys, [x for x, _ in xs], ws, allow_unused=True)
        try:
            h = torch.autograd.grad(ts, [t for _, t in xs], [torch.tensor(w.array) for w in ws], allow_unused=True)
        except RuntimeError as error:
            assert "is not implemented" in str(error)  # PyTorch has no derivative where ours is zero
            continue
        all_same(f"gradient of {check}", list(g), [as_numpy(t) for t in h], tolerance)
    assert compared, f"no sample of {name} could be called in PyTorch; take it out of the table"


def test_enough_names_are_compared():
    assert len(by_name()) > 150


def test_tensors_of_torch_are_copied_and_shared():
    source = torch.ones(3)
    copy, shared = tg.tensor(source), tg.asarray(source)
    source[0] = 5.0
    assert copy.tolist() == [1.0, 1.0, 1.0]
    assert shared.tolist() == [5.0, 1.0, 1.0]
    assert torch.from_dlpack(shared)[0] == 5.0
