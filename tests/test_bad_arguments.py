"""Whatever makes no sense is refused where it is written, and the message shows the value.

Every argument of every constructor: layers, losses, optimisers, schedules, initialisers, limits. Signatures are read,
so a new argument without a check fails here.
"""

import inspect

import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import init, optim
from tensorgraph.nn.optim import lr_scheduler

POSITIVE = (0, -1, 2.5, "three", None)
COUNT = (-1, 2.5, "three", None)
SHARE = (-0.25, 1.5, "half", float("nan"), None)
REAL = ("much", None, float("nan"), 1j)
NONNEGATIVE = (*REAL, -0.5)
FLAG = ("yes", 0.5, 2)
WORD = ("sideways", 3)

# names of arguments with values that none of them takes; a layer's own entry goes first
BAD = {
    **dict.fromkeys("""
        in_features out_features in1_features in2_features in_channels out_channels kernel_size num_features
        num_groups num_channels num_embeddings embedding_dim input_size hidden_size num_layers embed_dim num_heads
        d_model nhead dim_feedforward groups dilation upscale_factor downscale_factor pool_size num_parameters size
        normalized_shape
    """.split(), POSITIVE),
    "stride": (0, -1, 2.5, "three"),
    "output_size": (0, -1, 2.5, "three"),
    "padding": (2.5, "three", None),
    "output_padding": COUNT, "proj_size": COUNT, "blank": COUNT,
    "kdim": POSITIVE[:-1], "vdim": POSITIVE[:-1],
    "padding_idx": (2.5, "three", 99, -99),
    "p": SHARE, "dropout": SHARE, "label_smoothing": SHARE, "momentum": (-0.25, 1.5, "half"),
    **dict.fromkeys("""
        alpha negative_slope init min_val max_val threshold value beta margin delta gamma lower upper
    """.split(), REAL),
    "eps": NONNEGATIVE, "layer_norm_eps": NONNEGATIVE, "lambd": NONNEGATIVE, "norm_type": (*NONNEGATIVE, 0),
    "k": REAL, "swap": FLAG,
    **dict.fromkeys("""
        bias affine track_running_stats elementwise_affine batch_first bidirectional inplace ceil_mode return_indices
        count_include_pad add_bias_kv add_zero_attn norm_first full log_input log_target squared zero_infinity
    """.split(), FLAG),
    "dim": (2.5, "rows"), "start_dim": (2.5, "rows", None), "end_dim": (2.5, "rows", None),
    **dict.fromkeys("reduction nonlinearity padding_mode approximate mode".split(), WORD),
    "activation": WORD, "surrogate": WORD,
    "ignore_index": (2.5, "none"),
    "divisor_override": (0, 2.5, "three"),
    "scale_factor": ("twice", -1.0, 0),
    "unflattened_size": (2.5, "three", None),
    "align_corners": FLAG,
    "dtype": ("float99", "int32"),
    "device": ("tpu", 3.5),
    "weight": ("heavy", [1.0]), "pos_weight": ("heavy", [1.0]),
    "distance_function": (3, "far"),
    "encoder_layer": (3, "layer"), "decoder_layer": (3, "layer"), "norm": (3, "layer"),
}  # fmt: skip
OWN = {
    ("Upsample", "size"): (0, -1, 2.5, "three"), ("UpsamplingNearest2d", "size"): (0, -1, 2.5, "three"),
    ("UpsamplingBilinear2d", "size"): (0, -1, 2.5, "three"),
    ("MultiMarginLoss", "p"): (0, 3, "one"), ("TripletMarginLoss", "p"): (0, -1, "one"),
    ("FocalLoss", "alpha"): (1.5, "much"),
    ("CosineEmbeddingLoss", "margin"): (2.0, "much"),
    ("RMSNorm", "eps"): (-0.5, "much"), ("LayerNorm", "bias"): FLAG,
    ("Softmax", "dim"): (2.5, "rows"),
}  # fmt: skip
SHORT = {"int32": "i32["}  # how the signature of an array writes it
LEFT_OUT = {
    "args", "kwargs",  # Identity takes everything
    "enable_nested_tensor", "mask_check",  # understood, without any effect
    "custom_encoder", "custom_decoder",
}  # fmt: skip

GOOD = {
    "Linear": (4, 3), "Bilinear": (4, 3, 2), "Bias": (4,), "Scale": (4,), "Embedding": (5, 3), "Maxout": (2,),
    **{f"Conv{n}d": (4, 6, 3) for n in (1, 2, 3)}, **{f"ConvTranspose{n}d": (4, 6, 3) for n in (1, 2, 3)},
    **{f"LazyConv{n}d": (6, 3) for n in (1, 2, 3)}, **{f"LazyConvTranspose{n}d": (6, 3) for n in (1, 2, 3)},
    **{f"{kind}Pool{n}d": (3,) for kind in ("Max", "Avg", "AdaptiveMax", "AdaptiveAvg") for n in (1, 2, 3)},
    **{f"MaxUnpool{n}d": (3,) for n in (1, 2, 3)}, **{f"LPPool{n}d": (2, 3) for n in (1, 2, 3)},
    **{f"{kind}Norm{n}d": (4,) for kind in ("Batch", "Instance") for n in (1, 2, 3)},
    **{f"{kind}Pad{n}d": (1,) for kind in ("Zero", "Reflection", "Replication", "Circular") for n in (1, 2, 3)},
    **{f"ConstantPad{n}d": (1, 0.5) for n in (1, 2, 3)},
    "LazyLinear": (3,), "LayerNorm": (4,), "RMSNorm": (4,), "GroupNorm": (2, 4), "LocalResponseNorm": (3,),
    "Threshold": (0.1, 0.5), "Unflatten": (1, (2, 2)), "PixelShuffle": (2,), "PixelUnshuffle": (2,),
    "ChannelShuffle": (2,), "Unfold": (2,), "Fold": ((4, 4), 2), "MultiheadAttention": (4, 2),
    "TransformerEncoderLayer": (4, 2, 8), "TransformerDecoderLayer": (4, 2, 8),
    **{f"{kind}{end}": (3, 4) for kind in ("RNN", "LSTM", "GRU") for end in ("", "Cell")},
    "Upsample": (None, 2.0), "UpsamplingNearest2d": (None, 2.0), "UpsamplingBilinear2d": (None, 2.0),
}  # fmt: skip
SKIPPED = {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Identity"}


def refusal(function, arguments):
    """The message of the error that a call gives."""
    try:
        function(**arguments)
    except tg.TensorgraphError as error:
        return str(error)
    pytest.fail(f"{function.__name__} takes {arguments}")


def layer_cases():
    names = [*nn.layers.__all__, *nn.losses.__all__]
    for name in names:
        if name in SKIPPED or name in ("TransformerEncoder", "TransformerDecoder", "Transformer"):
            continue
        kind = getattr(nn, name)
        good = dict(zip(inspect.signature(kind).parameters, GOOD.get(name, ()), strict=False))
        for argument in inspect.signature(kind).parameters:
            if argument in LEFT_OUT:
                continue
            values = OWN.get((name, argument), BAD.get(argument, ("no values are known for it",)))
            yield pytest.param(kind, good, argument, values, id=f"{name}-{argument}")


def shows(text, value):
    """Whether a message shows a value, as itself or by its kind."""
    return any(form in text for form in (str(value), repr(value), tg.errors.sig(value), SHORT.get(str(value), "\n\n")))


@pytest.mark.parametrize("kind, good, argument, values", [*layer_cases()])
def test_layers_and_losses(kind, good, argument, values):
    kind(**good)
    if kind.__name__.startswith("Upsampl") and argument == "size":
        good = {}
    elif kind.__name__.startswith("InstanceNorm"):
        good = {**good, "affine": True}  # without it there is nothing of any dtype
    for value in values:
        message = refusal(kind, {**good, argument: value})
        assert shows(message, value), message
        assert argument in message or argument in ("device", "dtype"), message


# ---- optimisers ----------------------------------------------------------------------------------------------------
OPTIMIZER_BAD = {
    "params": ([], 3, "weights", [1.0]),
    **dict.fromkeys("""
        lr eps weight_decay l1_decay lr_decay initial_accumulator_value momentum_decay tolerance_grad tolerance_change
    """.split(), NONNEGATIVE),
    "momentum": NONNEGATIVE, "dampening": REAL, "alpha": (-0.1, 1.0, "much"), "rho": (-0.1, 1.0, "much"),
    "betas": ((0.9,), 0.9, (0.9, 1.0), (-0.1, 0.9), ("a", 0.9), None),
    "max_iter": POSITIVE, "max_eval": POSITIVE[:-1], "history_size": POSITIVE, "line_search_fn": WORD,
    **dict.fromkeys("nesterov maximize centered amsgrad decoupled_weight_decay".split(), FLAG),
}  # fmt: skip
OPTIMIZERS = [name for name in optim.__all__ if name not in ("GradScaler", "Optimizer", "lr_scheduler")]


def weight():
    return tg.ones(2, 2, requires_grad=True)


def optimizer_cases():
    for name in OPTIMIZERS:
        kind = getattr(optim, name)
        for argument in inspect.signature(kind).parameters:
            values = OPTIMIZER_BAD.get(argument, ("no values are known for it",))
            yield pytest.param(kind, argument, values, id=f"{name}-{argument}")


@pytest.mark.parametrize("kind, argument, values", [*optimizer_cases()])
def test_optimisers(kind, argument, values):
    kind([weight()])
    for value in values:
        message = refusal(kind, {"params": [weight()], argument: value})
        assert kind.__name__ in message
        assert argument == "params" or shows(message, value) or any(shows(message, part) for part in value), message
        assert argument in message or argument == "params", message
        if argument not in ("params", "max_iter", "max_eval"):  # a group is checked like the whole
            refusal(kind, {"params": [{"params": [weight()], argument: value}]})


def used(model):
    parameters = model.parameters()
    list(parameters)
    return parameters


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_generator_that_was_already_used(kind):
    with pytest.raises(tg.ArgumentError, match=f"{kind}: the list of parameters is empty .*already used"):
        getattr(optim, kind)(used(nn.Linear(2, 2)))


# ---- schedules -----------------------------------------------------------------------------------------------------
SCHEDULE_BAD = {
    "optimizer": (3, "sgd"), "schedulers": ([], 3), "milestones": ("soon", [2.5], [-1], 3),
    **dict.fromkeys("step_size total_iters T_max T_0 T_mult total_steps epochs steps_per_epoch".split(),
                    (0, -1, 2.5, "three")),
    "gamma": (*REAL, 0, -0.5), "power": (*REAL, 0), "eta_min": REAL, "lr_lambda": (3, "half", [3]),
    "start_factor": (*REAL, 0, 1.5), "end_factor": (*REAL, -0.5, 1.5), "factor": (*REAL, 0, 1.5),
    "max_lr": (*NONNEGATIVE, [0.1, 0.2]), "pct_start": (*REAL, -0.5, 1.5), "anneal_strategy": WORD, "mode": WORD,
    "threshold_mode": WORD, "base_momentum": (*REAL, -0.5), "max_momentum": (*REAL, -0.5),
    "div_factor": (*REAL, 0), "final_div_factor": (*REAL, 0), "cycle_momentum": FLAG, "three_phase": FLAG,
    "patience": COUNT, "cooldown": COUNT, "threshold": NONNEGATIVE, "min_lr": (*NONNEGATIVE, [0.1, 0.2]),
    "eps": NONNEGATIVE, "last_epoch": (-2, 2.5, "three", None),
}  # fmt: skip
SCHEDULE_GOOD = {
    "LambdaLR": dict(lr_lambda=float), "MultiplicativeLR": dict(lr_lambda=float), "StepLR": dict(step_size=2),
    "MultiStepLR": dict(milestones=[2]), "ExponentialLR": dict(gamma=0.9), "CosineAnnealingLR": dict(T_max=3),
    "CosineAnnealingWarmRestarts": dict(T_0=3), "OneCycleLR": dict(max_lr=1.0, total_steps=10),
}  # fmt: skip
SCHEDULES = [name for name in lr_scheduler.__all__ if name not in ("LRScheduler", "ChainedScheduler", "SequentialLR")]


def schedule_cases():
    for name in SCHEDULES:
        kind = getattr(lr_scheduler, name)
        for argument in inspect.signature(kind).parameters:
            values = SCHEDULE_BAD.get(argument, ("no values are known for it",))
            yield pytest.param(kind, argument, values, id=f"{name}-{argument}")


@pytest.mark.parametrize("kind, argument, values", [*schedule_cases()])
def test_schedules(kind, argument, values):
    good = {"optimizer": optim.SGD([weight()], 0.1, momentum=0.9), **SCHEDULE_GOOD.get(kind.__name__, {})}
    kind(**good)
    if argument in ("epochs", "steps_per_epoch"):
        good = {**good, "total_steps": None, "epochs": 2, "steps_per_epoch": 5}
    for value in values:
        message = refusal(kind, {**good, argument: value})
        assert kind.__name__ in message or argument == "optimizer", message
        parts = value if isinstance(value, (list, str)) else ()
        assert shows(message, value) or any(shows(message, part) for part in parts) or value == [], message


# ---- initialisers --------------------------------------------------------------------------------------------------
INIT_BAD = {
    "tensor": (3, [1.0], "weight"), "a": REAL, "b": REAL, "mean": REAL, "std": NONNEGATIVE, "val": ("much", None),
    "gain": REAL, "mode": WORD, "nonlinearity": WORD, "groups": POSITIVE, "sparsity": SHARE, "generator": (3, "seed"),
    "param": ("much", 1j),
}  # fmt: skip


def init_cases():
    for name in init.__all__:
        function = getattr(init, name)
        if name.endswith("_"):
            for argument in inspect.signature(function).parameters:
                values = INIT_BAD.get(argument, ("no values are known for it",))
                yield pytest.param(function, argument, values, id=f"{name}-{argument}")


@pytest.mark.parametrize("function, argument, values", [*init_cases()])
def test_initialisers(function, argument, values):
    shape = (4, 3, 3) if function is init.dirac_ else (4, 3)
    good = {"sparse_": dict(sparsity=0.5), "constant_": dict(val=1.0)}.get(function.__name__, {})
    tensor = tg.ones(*shape)
    for value in values:
        message = refusal(function, {"tensor": tensor, **good, argument: value})
        assert shows(message, value), message
    assert (tensor == 1).all()  # untouched


# ---- while running -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer, shape", [
    (nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(3), (1, 3, 1, 1)), (nn.BatchNorm3d(3), (1, 3, 1, 1, 1)),
    (nn.InstanceNorm1d(3), (2, 3, 1)),
])  # fmt: skip
def test_one_value_per_channel_has_no_variance(layer, shape):
    with pytest.raises(tg.TensorgraphError, match="has 1 value per channel"):
        layer(tg.ones(*shape))
    if isinstance(layer, nn.BatchNorm1d):
        assert layer.eval()(tg.ones(*shape)).shape == shape


def test_a_name_that_is_nearly_right_is_suggested():
    model = nn.Sequential({"conv1": nn.Conv2d(1, 2, 3), "fc": nn.Linear(2, 2)})
    state = model.state_dict()
    state["fc1.weight"] = state.pop("fc.weight")
    with pytest.raises(tg.errors.StateDictError, match=r"unexpected  fc1\.weight.*fc\.weight") as caught:
        model.load_state_dict(state)
    assert "nothing was loaded" in str(caught.value)


def test_a_gradient_of_another_shape_is_refused():
    v, w = weight(), weight()
    v.grad, w.grad = tg.ones(2, 2), tg.ones(3)
    with pytest.raises(
        tg.ShapeError, match=r"SGD: the gradient of a parameter is f32\[3\], the parameter is f32\[2,2\]"
    ):
        optim.SGD([{"params": [v]}, {"params": [w]}]).step()
    assert (v.detach() == 1).all()  # nothing moved
