"""`nn.summary`: multiply-adds as published, receptive fields, nothing changed."""

from __future__ import annotations

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.errors import ArgumentError, DtypeError
from tensorgraph.nn.receptive import WHOLE


def rows(table):
    return {row.path: row for row in table.rows}


# Published in GMACs: torchvision's table of models (GFLOPS, which it counts as multiply-adds), rounded there
@pytest.mark.parametrize(
    ("build", "published"),
    [(nn.models.alexnet, 0.71), (nn.models.resnet18, 1.81), (nn.models.googlenet, 1.5)],
    ids=["alexnet", "resnet18", "googlenet"],
)
def test_multiply_adds_are_the_published_ones(build, published):
    with nn.init.skip():
        model = build().eval()
    found = nn.summary(model, (1, 3, 224, 224)).total.multiply_adds / 1e9
    assert found == pytest.approx(published, abs=0.006)


def test_numbers_of_every_module_of_a_small_network():
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4 * 4, 5))
    found = rows(nn.summary(model, (4, 3, 16, 16)))
    assert [row.shapes for row in found.values()] == [
        [(4, 5)],
        [(4, 8, 8, 8)],
        [(4, 8, 8, 8)],
        [(4, 8, 4, 4)],
        [(4, 128)],
        [(4, 5)],
    ]
    assert found["0"].multiply_adds == 4 * 8 * 8 * 8 * 27
    assert found["4"].multiply_adds == 4 * 128 * 5
    assert found[""].multiply_adds == found["0"].multiply_adds + found["4"].multiply_adds
    assert found["0"].parameters == 8 * 27 + 8
    assert found["0"].field.size == found["1"].field.size == (3, 3)
    assert found["2"].field.size == (5, 5)  # 3 + (2 - 1) * 2
    assert found["4"].field is WHOLE
    assert found["1"].kept == 4 * 8 * 8 * 8 * 4  # relu keeps its result; the convolution its input, which is ours
    assert found["0"].kept == 0
    assert found["4"].gradients == 4 * 5 * 4 + (128 * 5 + 5) * 4


# Araujo, Norris & Sim, Distill 2019, table of receptive fields: AlexNet 195, VGG-16 212
def test_receptive_fields_are_the_published_ones():
    with nn.init.skip():
        alexnet, vgg = nn.models.alexnet().features, nn.models.vgg16().features
    assert nn.summary(alexnet, (1, 3, 63, 63)).total.field.size == (195, 195)
    assert nn.summary(vgg, (1, 3, 32, 32)).total.field.size == (212, 212)


def test_a_shortcut_sees_what_the_wider_branch_sees():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.bn = nn.BatchNorm2d(4)

        def forward(self, x):
            shortcut = tg.pad(x[:, :, ::2, ::2], ((0, 0), (1, 1), (0, 0), (0, 0)))
            return tg.relu(self.bn(self.b(tg.relu(self.a(x)))) + shortcut)

    assert nn.summary(Block(), (2, 2, 8, 8)).total.field == ((7, 7), (2, 2))  # 3, then 3 + 2*2


def test_shared_modules_add_up_their_calls_and_unused_ones_say_so():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(self.fc(x))

    table = nn.summary(Twice(), (2, 4))
    found = rows(table)
    assert found["fc"].calls == 2 and found["fc"].multiply_adds == 2 * 2 * 16
    assert found["spare"].calls == 0 and found["spare"].multiply_adds == 0
    assert "fc: Linear (2 calls)" in str(table) and "spare: Linear (not called)" in str(table)


def test_a_frozen_trunk_is_counted_but_keeps_nothing():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    model[0].requires_grad_(False)
    table = nn.summary(model, (3, 4))
    found = rows(table)
    assert found["0"].multiply_adds == 3 * 24 and found["0"].gradients == 0
    assert found["1"].kept == 0 and found["2"].gradients == (3 * 2 + 6 * 2 + 2) * 4
    assert table.trainable == 14 and "30 of them frozen" in str(table)


def test_integers_go_in_and_everything_may_be_frozen():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.fc = nn.Embedding(10, 4), nn.Linear(4, 3)

        def forward(self, words):
            return self.fc(self.embedding(words))

    model = Words().requires_grad_(False)
    table = nn.summary(model, tg.tensor([[1, 2, 3]]))
    assert table.total.multiply_adds == 3 * 12
    assert not any(p.requires_grad for p in model.parameters())


def test_the_model_and_the_random_state_are_as_they_were():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    tg.manual_seed(3)
    expected = tg.rand(5).numpy()
    tg.manual_seed(3)
    nn.summary(model, (8, 4))
    np.testing.assert_array_equal(tg.rand(5).numpy(), expected)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert all(p.grad is None for p in model.parameters()) and model.training


def test_the_table_as_people_read_it():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    lines = str(nn.summary(model, (1, 1, 8, 8))).splitlines()
    assert lines[0].split() == ["module", "output", "parameters", "multiply-adds", "kept", "gradients", "sees"]
    assert lines[3].split() == ["0:", "Conv2d", "1x2x6x6", "20", "648", "0", "B", "368", "B", "3x3"]
    assert "parameters      239" in lines
    page = nn.summary(model, (1, 1, 8, 8))._repr_html_()
    assert page.count("<tr>") == 5 and "Conv2d" in page
    only = str(nn.summary(nn.Sequential(model), (1, 1, 8, 8), depth=1))
    assert "Conv2d" not in only and "0: Sequential" in only


def test_bad_input():
    model = nn.Linear(4, 2)
    with pytest.raises(DtypeError, match="expected a module"):
        nn.summary("model", (1, 4))
    with pytest.raises(DtypeError, match="a tensor, a tuple of tensors or a shape"):
        nn.summary(model, "image")
    with pytest.raises(ArgumentError, match=r"no axis below 1, got \(0, 4\)"):
        nn.summary(model, (0, 4))
    with pytest.raises(tg.ShapeError, match="x has 5 features"):
        nn.summary(model, (1, 5))
    assert model._after == ()  # the hooks are gone although it failed


def test_on_the_device_meta_the_numbers_are_the_same():
    build = nn.models.LeNet5
    real, mine = nn.summary(build(), (3, 1, 28, 28)), nn.summary(build().to("meta"), (3, 1, 28, 28))
    assert str(mine) == str(real)
    with tg.backends.default_device("meta"):
        huge = nn.summary(nn.models.resnet50(), (100_000, 3, 224, 224))
    assert huge.total.shapes == [(100_000, 1000)] and huge.total.kept > 1 << 42
    assert huge.total.multiply_adds == pytest.approx(100_000 * 4.09e9, rel=0.01)
