"""Which kernels there are, and how many arguments each has. Imports nothing heavy; `emit_all` writes their code."""

from __future__ import annotations

from typing import Any

from tensorgraph.backends.compiled.layout import WIDEST

__all__ = ["AREA", "PANELS", "DEEP", "FAMILIES", "ROW", "SIGNATURES", "WIDE", "emit_all", "emit_one", "fits"]

PANELS = [
    *((p, 1) for p in (14, 8, 4, 1)),
    *((p, 2) for p in (14, 10, 8, 7, 5, 4, 2, 1)),
    *((p, 3) for p in (8, 7, 4, 1)),
]
"""rows and vectors of columns whose sums a kernel keeps"""

ELEMENTWISE = {
    "add": ("a b", "y", ""),
    "relu": ("x", "y", ""),
    "relu_slope": ("g y", "gx", ""),
    "gelu": ("x", "y", ""),
    "gelu_slope": ("g x", "gx", ""),
    "ndtr": ("x", "y", ""),
    "sigmoid": ("x", "y", ""),
    "silu": ("x", "y", ""),
    "silu_slope": ("g x", "gx", ""),
    "softplus": ("x", "y", ""),
    "normalized": ("x mean scale bias", "y", ""),
    "normalized_add_relu": ("x more mean scale bias", "y", ""),
    "normalized_relu": ("x mean scale bias", "y", ""),
    "normalized_relu_slope": ("g x mean scale bias along level", "gx", ""),
    "normalized_slope": ("g x mean scale along level", "gx", ""),
    "sgd": ("p g", "p_new", "lr decay sign"),
    "sgd_momentum": ("p g b", "p_new b_new", "lr decay sign momentum share ahead"),
    "rmsprop": ("p g s", "p_new s_new", "lr decay sign alpha share eps"),
    "adam": ("p g m v", "p_new m_new v_new", "lr decay sign b1 share1 b2 share2 eps shrink"),
    "lstm": ("i f g o c", "i_open f_open g_open o_open c_new h", ""),
    "lstm_back": ("i f g o c c_new gy gh gc", "gi gf gg go gc_new", ""),
    "gru": ("r z n of_r of_z of_n h", "r_open z_open n_open kept h_new", ""),
    "gru_back": ("r z n of_n h gy gh", "gn gr gz gn_of_state gh_new", ""),
    "exp": ("x", "y", ""),
    "log": ("x", "y", ""),
    "tanh": ("x", "y", ""),
    "tanh_slope": ("g y", "gx", ""),
    "sigmoid_slope": ("g y", "gx", ""),
    "rnn_tanh_back": ("y gy gh", "into", ""),
    "rnn_relu_back": ("y gy gh", "into", ""),
}
"""name in functions.py -> inputs, outputs, numbers: arrays of two axes, contiguous along the last"""
SELDOM = set(
    "gelu gelu_slope ndtr sigmoid silu silu_slope softplus tanh "
    "lstm lstm_back gru gru_back rnn_tanh_back rnn_relu_back".split()
)
"""those of them that are compiled when they are needed: each takes a while, and many programs need none"""
SUMS = {
    "moments": ("x", "near", "", 2),
    "normalized_sums": ("g x", "mean", "", 2),
    "normalized_relu_sums": ("g x", "mean scale bias", "", 2),
    "normalized_add_relu_sums": ("g x more", "mean scale bias", "g_new", 2),
}
"""name in functions.py -> inputs, parameters with one number for each column, outputs, how many sums"""

DEEP, WIDE, AREA = 400, 1024, 400 * 512
"""Terms of the sums and columns of one pass of a product, and numbers of the right factor: what caches have room for"""
ROW = WIDE + 16
"""How far the rows of a tile are apart that is to be transposed: not a power of 2, for which caches have few places"""

SIGNATURES: dict[str, tuple[int, int]] = {
    "product": (15, 0),
    **{n: (2 * len((i + " " + o).split()) + 2, len(f.split())) for n, (i, o, f) in ELEMENTWISE.items()},
    **{n: (2 * len((i + " " + o).split()) + len(p.split()) + 4, 0) for n, (i, p, o, _) in SUMS.items()},
    "softmax": (4, 0),
    "exp_rows": (6, 0),
    "softmax_slope": (5, 0),
    "layer_norm": (8, 2),
    "layer_norm_slope": (10, 1),
    "fill": (5, 0),
    "pack": (3, 0),
    "unpack": (5, 0),
    **dict.fromkeys(("max_pool", "max_put", "max_put_apart"), (17, 0)),
    **dict.fromkeys(("running_product", "running_sum", "product_of_rows"), (4, 0)),
    "add_rows": (7, 0),
    "label_slope": (7, 0),
    "sequence": (2, 0),
    "mean_of_rows": (5, 1),
    "settle_moments": (6, 1),
    "settle_slopes": (9, 1),
}
"""name -> how many integers (addresses first) and how many floats it takes"""
FAMILIES: dict[str, tuple[int, int]] = {"sums": (10, 1), "slopes": (9, 0), "panels": (11, 0)}
"""likewise for kernels that are compiled when they are needed, with settings: `sums_16_1_16_16`"""


def fits(numbers: int, vectors: int, registers: int) -> bool:
    """Whether so many sums and a vector of factors for each vector find room in the registers."""
    return numbers * vectors + vectors < registers


def emit_all(module: Any, width: int, registers: int) -> None:
    """Writes every kernel into the module but those that are compiled when they are needed."""
    from tensorgraph.backends.compiled import blocked, functions, lines, loops, rows, statistics, window

    for name in ("fill", "pack", "unpack"):
        getattr(window, name)(module, width, name)
    blocked.product(module, width, registers, "product")
    for name in (n for n in ELEMENTWISE if n not in SELDOM):
        _elementwise(module, width, name)
    for name, (inputs, params, outputs, sums) in SUMS.items():
        operands = inputs.split(), params.split(), outputs.split()
        loops.column_sums(module, width, name, *operands, sums, getattr(functions, name))
    loops.max_pool(module, width, "max_pool")
    loops.max_put(module, width, "max_put", False)
    loops.max_put(module, width, "max_put_apart", True)
    rows.softmax(module, width, "softmax", True)
    rows.softmax(module, width, "exp_rows", False)
    rows.softmax_slope(module, width, "softmax_slope")
    rows.layer_norm(module, width, "layer_norm")
    rows.layer_norm_slope(module, width, "layer_norm_slope")
    rows.product_of_rows(module, width, "product_of_rows")
    lines.running(module, width, "running_sum", -0.0, lambda a, b: a + b)
    lines.running(module, width, "running_product", 1.0, lambda a, b: a * b)
    lines.add_rows(module, width, "add_rows")
    lines.label_slope(module, width, "label_slope")
    for name in ("mean_of_rows", "settle_moments", "settle_slopes"):
        getattr(statistics, name)(module, width, name)
    _close(module, SIGNATURES)


def emit_one(module: Any, width: int, name: str) -> None:
    """Writes one of the other kernels into the module."""
    from tensorgraph.backends.compiled import panels, window

    if name in ELEMENTWISE:
        _elementwise(module, width, name)
        _close(module, {name: SIGNATURES[name]}, alone=True)
        return
    family, *settings = name.split("_")
    write = panels.panels if family == "panels" else getattr(window, family)
    write(module, width, name, *map(int, settings))
    _close(module, {name: FAMILIES[family]}, alone=True)


def _elementwise(module: Any, width: int, name: str) -> None:
    from tensorgraph.backends.compiled import functions, loops

    inputs, outputs, floats = (names.split() for names in ELEMENTWISE[name])
    loops.each(module, width, name, inputs, outputs, getattr(functions, name), floats)


def _close(module: Any, signatures: dict[str, tuple[int, int]], alone: bool = False) -> None:
    from tensorgraph.backends.compiled import calls

    for name, counts in signatures.items():
        function = module.globals.get(name)
        if function is not None and len(function.args) != sum(counts):
            raise TypeError(f"{name} takes {len(function.args)} arguments, the table says {counts}")
        if sum(counts) > WIDEST:
            raise TypeError(f"{name} takes {sum(counts)} arguments, pieces have room for {WIDEST}")
    calls.emit(module, signatures, alone)
