"""Files that Caffe and PyTorch wrote: read whole, refused with a clear error, and never executed."""

import io
import os
import pickle
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import data, nn
from tensorgraph.nn import weights

DATA = Path(os.environ.get("TENSORGRAPH_DATA") or Path(__file__).parents[2] / "shared" / "data")
with_data = pytest.mark.skipif(
    not (DATA / "weights").is_dir(), reason="the folder with published weights is not here (TENSORGRAPH_DATA)"
)


def accuracy(model, images, labels, batch=500):
    model.eval()
    with tg.no_grad():
        found = [model(tg.tensor(images[i : i + batch])).numpy().argmax(1) for i in range(0, len(images), batch)]
    return (np.concatenate(found) == labels).mean()


@with_data
def test_lenet_of_caffe_on_mnist():
    images, labels = data.mnist(DATA, train=False)
    model = nn.models.CaffeLeNet()
    model.load_state_dict(nn.load(DATA / "weights" / "lenet_iter_10000.caffemodel"))
    assert abs(accuracy(model, images * np.float32(255 / 256), labels) - 0.9914) <= 0.0002


@with_data
def test_resnet20_on_cifar10():
    images, labels = data.cifar10(DATA, files=["test_batch_first1000.bin"])
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)[:, :, None, None]
    model = nn.models.cifar_resnet20()
    model.load_state_dict(nn.load(DATA / "weights" / "resnet20-12fca82f.npz"))
    assert abs(accuracy(model, (images - mean) / std, labels, 100) - 0.915) <= 0.002


# ---- Caffe -----------------------------------------------------------------------------------------------------------
def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    """One field of a message: an integer, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(values, *shape):
    data = field(5, np.asarray(values, "<f4").tobytes())
    return field(7, field(1, b"".join(map(varint, shape)))) + data


def old_blob(values, *shape):
    numbers = b"".join(field(i, n) for i, n in enumerate(shape, 1))
    return numbers + b"".join(b"\x2d" + struct.pack("<f", v) for v in values)  # not packed, as old files may be


def layer(name, kind, *blobs):
    return field(100, field(1, name) + field(2, kind) + b"".join(field(7, b) for b in blobs))


def old_layer(name, kind, *blobs):
    return field(2, b"".join(field(6, b) for b in blobs) + field(5, kind) + field(4, name))


NEW = (
    field(1, b"net")
    + layer(b"data", b"Input")
    + layer(b"conv", b"Convolution", blob([1, 2, 3, 4], 1, 1, 2, 2), blob([5], 1))
    + layer(b"bn", b"BatchNorm", blob([2, 4], 2), blob([6, 8], 2), blob([2], 1))
    + layer(b"scale", b"Scale", blob([1, 2], 2), blob([3, 4], 2))
    + layer(b"odd", b"Odd", *[blob([i], 1) for i in range(3)])
)
OLD = (
    old_layer(b"conv", 4, old_blob([1, 2], 2, 1, 1, 1), old_blob([3, 4], 1, 1, 1, 2))
    + old_layer(b"ip", 14, old_blob([1, 2, 3, 4, 5, 6], 1, 1, 2, 3), old_blob([7, 8], 1, 1, 1, 2))
    + old_layer(b"loss", 21)
)


def written(path, content):
    path.write_bytes(content)
    return path


def test_caffe_layers_new(tmp_path):
    found = weights.read_caffemodel(written(tmp_path / "a.caffemodel", NEW))
    assert {name: a.tolist() for name, a in found.items()} == {
        "conv.weight": [[[[1, 2], [3, 4]]]], "conv.bias": [5],
        "bn.running_mean": [1, 2], "bn.running_var": [3, 4],
        "scale.weight": [1, 2], "scale.bias": [3, 4],
        "odd.weight": [0], "odd.bias": [1], "odd.blob2": [2],
    }  # fmt: skip
    assert all(a.dtype == np.float32 for a in found.values())


def test_caffe_layers_old(tmp_path):
    found = nn.load(written(tmp_path / "a.caffemodel", OLD))
    assert {name: (a.shape, a.numpy().ravel().tolist()) for name, a in found.items()} == {
        "conv.weight": ((2, 1, 1, 1), [1, 2]), "conv.bias": ((2,), [3, 4]),
        "ip.weight": ((2, 3), [1, 2, 3, 4, 5, 6]), "ip.bias": ((2,), [7, 8]),
    }  # fmt: skip


@pytest.mark.parametrize("content, match", [
    (b"", "it has no layers"),
    (b"hello world, this is no protocol buffer", "a field of"),
    (field(1, b"net"), "it has no layers"),
    (NEW[:-1], "bytes where"),
    (b"\xff" * 20, "more than ten bytes"),
    (b"\x0a\xff", "inside a number"),
    (b"\x00\x00", "a field of the number 0"),
    (b"\x0b", "the unknown kind 3"),
    (field(100, 3), "a message is expected"),
    (layer(b"a", b"Scale", blob([1, 2], 3)), r"an array of 2 numbers has the shape \[3\]"),
    (layer(b"a", b"Scale", blob([], 0, 2**63)), "truncated, damaged"),
    (layer(b"a", b"Scale", blob([1], *[1] * 99)), "truncated, damaged"),
    (layer(b"a", b"Scale", field(5, b"123")), "floating numbers are expected"),
    (layer(b"a", b"Scale", field(5, 3)), "floating numbers are expected"),
    (layer(b"a", b"Scale", blob([1], 1)) * 2, "two layers give the array 'a.weight'"),
    (layer(b"a", b"BatchNorm", *[blob([1, 2], 2)] * 3), "the factor of 'a' is 2 numbers"),
])  # fmt: skip
def test_damaged_caffemodels(tmp_path, content, match):
    with pytest.raises(tg.CorruptDataError, match=match):
        nn.load(written(tmp_path / "a.caffemodel", content))


# ---- PyTorch ---------------------------------------------------------------------------------------------------------
# pickles by hand, instruction by instruction, as torch.save writes them
def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def number(n):
    return b"J" + struct.pack("<i", n)


def group(*items):
    return b"(" + b"".join(items) + b"t"


def name(full):
    module, _, last = full.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def call(full, *arguments):
    return name(full) + group(*arguments) + b"R"


def storage(kind, key, size):
    return group(text("storage"), name(f"torch.{kind}"), text(key), text("cpu"), number(size)) + b"Q"


def tensor(shape, strides, offset=0, key="0", size=6, kind="FloatStorage"):
    sizes = (group(*map(number, n)) for n in (shape, strides))
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", storage(kind, key, size), number(offset), *sizes, b"\x89", hooks)


def dictionary(**items):
    pairs = b"".join(text(key) + value for key, value in items.items())
    return b"\x80\x02" + call("collections.OrderedDict") + b"(" + pairs + b"u."


SIX = np.arange(6, dtype="<f4").tobytes()


def archive(pkl, compression=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", pkl)
        for key, content in members.items():
            file.writestr("archive/" + key.replace("__", "/"), content)
    return buffer.getvalue()


LENGTH = struct.pack("<q", 6)


def legacy(pkl, keys=("0",), content=LENGTH + SIX):
    parts = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    return b"".join(pickle.dumps(part, 2) for part in parts) + pkl + pickle.dumps(list(keys), 2) + content


GOOD = dictionary(w=tensor((2, 3), (3, 1)), turned=tensor((2, 2), (1, 2), 1), scalar=tensor((), (), 5), epoch=number(3))


@pytest.mark.parametrize("content", [archive(GOOD, data__0=SIX, byteorder=b"little"), legacy(GOOD)], ids=["zip", "old"])
def test_state_dict_of_torch(tmp_path, content):
    found = nn.load(written(tmp_path / "a.pt", content))
    assert type(found) is dict and found["epoch"] == 3
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["w"].dtype == np.float32
    assert found["turned"].tolist() == [[1, 3], [2, 4]] and found["scalar"].item() == 5
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.pt"
    for n in range(0, len(content), 5):
        with pytest.raises(tg.CorruptDataError, match="damaged"):
            nn.load(written(path, content[:n]))
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        with suppress(tg.CorruptDataError):
            nn.load(written(path, bytes(damaged)))  # some flips change a value or a name, and nothing tells them


def test_byte_order_and_bfloat16(tmp_path):
    big = archive(dictionary(w=tensor((6,), (1,))), data__0=np.arange(6, dtype=">f4").tobytes(), byteorder=b"big")
    assert nn.load(written(tmp_path / "a.pt", big))["w"].tolist() == [0, 1, 2, 3, 4, 5]
    half = (np.array([1.0, -2.5], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    pkl = dictionary(w=tensor((2,), (1,), size=2, kind="BFloat16Storage"))
    found = weights.read_torch(written(tmp_path / "b.pt", archive(pkl, data__0=half)))
    assert found["w"].tolist() == [1, -2.5] and found["w"].dtype == np.float32


def laughs():
    """Lists that mention the one before twice, forty deep: 2^40 when taken apart naively."""
    pkl = b"\x80\x02]q\x00"
    for i in range(40):
        pkl += b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1])
    return pkl + b"."


def test_a_small_file_stays_small(tmp_path):
    found = nn.load(written(tmp_path / "a.pt", archive(laughs())))
    assert found[0] is found[1]


SYSTEM = b"cposix\nsystem\n(X\x0d\x00\x00\x00echo executedtR."


@pytest.mark.parametrize("content, match", [
    (archive(SYSTEM), "it holds a posix.system, which is not read: no code of a file is run"),
    (legacy(SYSTEM), "it holds a posix.system, which is not read"),
    (archive(b"(X\x0d\x00\x00\x00echo executediposix\nsystem\n."), "the instruction INST"),
    (archive(b"\x80\x02" + call("torch._utils._rebuild_tensor_v2.__globals__") + b"."), "which is not read"),
    (archive(b"\x80\x02" + name("builtins.eval") + b")\x81."), "it holds a builtins.eval"),
    (archive(b"\x80\x02\x8c\x08builtins\x8c\x04exec\x93X\x01\x00\x00\x001\x85R."), "it holds a builtins.exec"),
    (archive(b"\x80\x02" + call("torch.nn.modules.linear.Linear") + b"."), r"torch.save\(model.state_dict\(\), path"),
    (archive(b"\x80\x02" + group(text("module"), number(1)) + b"Q."), "a whole module with its program"),
    (archive(b"\x80\x02" + group(text("else"), *[number(1)] * 4) + b"Q."), "that is no storage"),
    (archive(b"\x80\x02" + name("collections.OrderedDict") + b"}b."), "the state of a Global"),
    (archive(b"\x80\x02]q\x00h\x00a."), "contains itself"),
    (archive(b"\x80\x02" + b"(" * 5 + b"."), "a value is missing"),
    (archive(b"\x80\x02h\x07."), "damaged pickle"),
    (archive(b"\x80\x02Kx"), "damaged pickle"),
    (archive(b"\x80\x02" + storage("FloatStorage", "0", 6) + b".", data__0=SIX), "belongs to no tensor"),
    (archive(dictionary(w=tensor((3, 3), (3, 1))), data__0=SIX), r"the shape \(3, 3\) at 0 in a storage of 6"),
    (archive(dictionary(w=tensor((2,), (9,))), data__0=SIX), "in a storage of 6 numbers"),
    (archive(dictionary(w=tensor((2,), (1,), -1)), data__0=SIX), "at -1"),
    (archive(dictionary(w=tensor((2,), (-1,), 1)), data__0=SIX), "with the strides"),
    (archive(dictionary(w=tensor((2**30, 2**30), (0, 0))), data__0=SIX), "in a storage of 6 numbers"),
    (archive(dictionary(w=tensor((6,), (1,), kind="QInt8Storage")), data__0=SIX), "unknown kind torch.QInt8Storage"),
    (archive(dictionary(w=tensor((6,), (1,)))), "its member 'data/0' is missing"),
    (archive(dictionary(w=tensor((6,), (1,))), data__0=SIX[:-1]), "23 bytes for 6 numbers"),
    (archive(dictionary(w=tensor((6,), (1,))), zipfile.ZIP_DEFLATED, data__0=SIX), "is compressed"),
    (archive(dictionary(w=tensor((6,), (1,))), data__0=SIX, byteorder=b"odd"), "neither little nor big"),
    (archive(GOOD, data__0=SIX, more__data_pkl=b"").replace(b"data_pkl", b"data.pkl"), "2 members data.pkl"),
    (legacy(GOOD, keys=("1",)), "list of storages"),
    (legacy(GOOD, content=struct.pack("<q", 10**15)), "not complete"),
    (b"PK\x03\x04 and nothing else", "damaged"),
    (b"", "damaged"),
])  # fmt: skip
def test_foreign_and_hostile_torch_files(tmp_path, capfd, content, match):
    with pytest.raises(tg.CorruptDataError, match=match):
        nn.load(written(tmp_path / "a.pth", content))
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("read", [nn.load, weights.read_torch, weights.read_caffemodel])
def test_a_missing_file(tmp_path, read):
    with pytest.raises(tg.MissingDataError, match="there is no file"):
        read(tmp_path / "a.pth")


@pytest.mark.peers
@pytest.mark.parametrize("zipped", [True, False])
def test_agrees_with_torch(tmp_path, zipped):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    kinds = (torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64)
    saved = {
        "model": net.state_dict(),
        "kinds": {str(kind): torch.arange(6).reshape(2, 3).T.to(kind) for kind in kinds},
        "parameter": net[2].weight,
        "rest": [1, 2.5, None, True, "text", (1, 2), torch.Size([3]), torch.zeros(0, 3)],
    }
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = nn.load(tmp_path / "a.pt")
    assert list(found) == list(saved)
    for group in ("model", "kinds"):
        assert list(found[group]) == list(saved[group])
        for key, value in saved[group].items():
            assert found[group][key].dtype == value.numpy().dtype
            np.testing.assert_array_equal(found[group][key].numpy(), value.numpy())
    np.testing.assert_array_equal(found["parameter"].numpy(), net[2].weight.detach().numpy())
    assert found["rest"][:-1] == [1, 2.5, None, True, "text", (1, 2), (3,)] and found["rest"][-1].shape == (0, 3)
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    ours.load_state_dict(found["model"])
    torch.save(net, tmp_path / "b.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(tg.CorruptDataError, match=r"state_dict\(\), path"):
        nn.load(tmp_path / "b.pt")


# ---- Caffe's networks ------------------------------------------------------------------------------------------------
LENET = """
name: "LeNet"  # as Caffe's example for training
layer { name: "mnist" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        data_param { source: "train_lmdb" batch_size: 64 backend: LMDB } transform_param { scale: 0.00390625 } }
layer { name: "mnist" type: "Data" top: "data" top: "label" include { phase: TEST }
        data_param { source: "test_" "lmdb" batch_size: 100 backend: LMDB } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 } param { lr_mult: 2 }
        convolution_param { num_output: 20 kernel_size: 5 stride: 1
                            weight_filler { type: "xavier" } bias_filler { type: "constant" value: 0.25 } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
        convolution_param { num_output: 50 kernel_size: 5 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1"
        inner_product_param { num_output: 500 weight_filler { type: "msra" variance_norm: FAN_OUT } } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
        inner_product_param { num_output: 10 weight_filler { type: "uniform" min: -0.1 max: 0.1 } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""


def network(tmp_path, text, *args, **kw):
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    return weights.read_prototxt(path, *args, **kw)


@with_data
def test_lenet_from_its_prototxt(tmp_path):
    images, labels = data.mnist(DATA, train=False)
    model = network(tmp_path, LENET, DATA / "weights" / "lenet_iter_10000.caffemodel")
    images = images * np.float32(255 / 256)
    assert abs(accuracy(model, images, labels) - 0.9914) <= 0.0002
    with tg.no_grad():
        found = model(tg.tensor(images[:500]), tg.tensor(labels[:500]))
        logits = model(tg.tensor(images[:500]))
    assert found.keys() == {"accuracy", "loss"} and logits.shape == (500, 10)
    assert found["accuracy"].item() == pytest.approx((logits.numpy().argmax(1) == labels[:500]).mean())
    assert found["loss"].item() == pytest.approx(nn.CrossEntropyLoss()(logits, tg.tensor(labels[:500])).item())


def test_a_prototxt_for_training_starts_as_its_fillers_say(tmp_path):
    tg.manual_seed(0)
    model = network(tmp_path, LENET, input_shape=(1, 28, 28), phase="TRAIN")
    assert model.inputs == ("data", "label") and model.training
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "conv1.weight": (20, 1, 5, 5), "conv1.bias": (20,), "conv2.weight": (50, 20, 5, 5), "conv2.bias": (50,),
        "ip1.weight": (500, 800), "ip1.bias": (500,), "ip2.weight": (10, 500), "ip2.bias": (10,),
    }  # fmt: skip
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    assert (w["conv1.bias"] == 0.25).all() and not w["ip1.bias"].any()
    assert np.abs(w["conv1.weight"]).max() <= np.sqrt(3 / 25) and w["conv1.weight"].std() == pytest.approx(0.2, rel=0.1)
    assert w["conv2.weight"].std() == pytest.approx(0.01, rel=0.05)
    assert w["ip1.weight"].std() == pytest.approx(np.sqrt(2 / 500), rel=0.02)
    assert np.abs(w["ip2.weight"]).max() <= 0.1
    found = model(tg.ones(2, 1, 28, 28), tg.tensor([1, 2]))
    found.backward()  # the loss alone: accuracy belongs to the other phase
    assert all(p.grad is not None for p in model.parameters())


ALEXNET = """
name: "AlexNet" input: "data" input_dim: 1 input_dim: 3 input_dim: 227 input_dim: 227
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
         convolution_param { num_output: 96 kernel_size: 11 stride: 4 } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "norm1" type: LRN bottom: "conv1" top: "norm1"
         lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }
layers { name: "pool1" type: POOLING bottom: "norm1" top: "pool1"
         pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layers { name: "conv2" type: CONVOLUTION bottom: "pool1" top: "conv2"
         convolution_param { num_output: 256 pad: 2 kernel_size: 5 group: 2 } }
layers { name: "relu2" type: RELU bottom: "conv2" top: "conv2" }
layers { name: "pool2" type: POOLING bottom: "conv2" top: "pool2"
         pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layers { name: "fc6" type: INNER_PRODUCT bottom: "pool2" top: "fc6" inner_product_param { num_output: 8 } }
layers { name: "drop6" type: DROPOUT bottom: "fc6" top: "fc6" dropout_param { dropout_ratio: 0.25 } }
layers { name: "prob" type: SOFTMAX bottom: "fc6" top: "prob" }
"""


def test_the_old_form_of_a_prototxt(tmp_path, rng):
    model = network(tmp_path, ALEXNET)
    assert model.conv2.weight.shape == (256, 48, 5, 5) and model.fc6.in_features == 256 * 13 * 13
    assert model.drop6.p == 0.25 and [step.kind for step in model.steps][:3] == ["Convolution", "ReLU", "LRN"]
    for p in model.parameters():
        nn.init.normal_(p, 0, 0.02)
    x = tg.tensor(rng.standard_normal((1, 3, 227, 227), np.float32))
    with tg.no_grad():
        blobs, y = model.eval().blobs(x), model(x)
        square = np.pad(blobs["conv1"].numpy() ** 2, ((0, 0), (2, 2), (0, 0), (0, 0)))
        total = sum(square[:, i : i + 96] for i in range(5))
        normed = blobs["conv1"].numpy() / (1 + 1e-4 / 5 * total) ** 0.75
    np.testing.assert_allclose(blobs["norm1"].numpy(), normed, rtol=1e-4, atol=1e-6)
    assert (blobs["conv1"].numpy() >= 0).all()  # the ReLU works in place
    np.testing.assert_allclose(y.numpy().sum(), 1, rtol=1e-5)


INCEPTION = """
layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 1 dim: 4 dim: 9 dim: 9 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
        pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "inception/1x1" type: "Convolution" bottom: "pool" top: "one"
        convolution_param { num_output: 3 kernel_size: 1 bias_term: false } }
layer { name: "inception/bn" type: "BatchNorm" bottom: "one" top: "one" batch_norm_param { eps: 0.001 } }
layer { name: "inception/scale" type: "Scale" bottom: "one" top: "one" scale_param { bias_term: true } }
layer { name: "inception/3x3" type: "Convolution" bottom: "pool" top: "three"
        convolution_param { num_output: 3 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 } }
layer { name: "pool_proj" type: "Pooling" bottom: "pool" top: "pooled"
        pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 } }
layer { name: "out" type: "Concat" bottom: "one" bottom: "three" bottom: "pooled" top: "out" }
layer { name: "both" type: "Eltwise" bottom: "one" bottom: "three" top: "both"
        eltwise_param { operation: SUM coeff: 1 coeff: -0.5 } }
layer { name: "slope" type: "PReLU" bottom: "both" top: "both" }
layer { name: "halves" type: "Slice" bottom: "out" top: "left" top: "right" slice_param { axis: 1 slice_point: 4 } }
layer { name: "global" type: "Pooling" bottom: "right" top: "global"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "loss1/fc" type: "InnerProduct" bottom: "global" top: "scores"
        inner_product_param { num_output: 5 bias_term: false } }
layer { name: "loss1/bn" type: "BatchNorm" bottom: "scores" top: "scores" }
"""


def test_branches_normalisation_and_names_with_strokes(tmp_path, rng):
    """Against the same written out; pooling rounds up: 9 pixels, windows of 3 in steps of 2, with 8 also 4."""
    model = network(tmp_path, INCEPTION).eval()
    shapes = {name: value.shape for name, value in model.state_dict().items() if not name.endswith("tracked")}
    assert shapes == {
        "inception/1x1.weight": (3, 4, 1, 1), "inception/bn.running_mean": (3,), "inception/bn.running_var": (3,),
        "inception/scale.weight": (3,), "inception/scale.bias": (3,), "inception/3x3.weight": (3, 4, 3, 1),
        "inception/3x3.bias": (3,), "slope.weight": (3,), "loss1/fc.weight": (5, 6),
        "loss1/bn.running_mean": (5,), "loss1/bn.running_var": (5,),
    }  # fmt: skip
    for value in model.state_dict().values():
        if value.dtype.kind == "f":
            nn.init.uniform_(value, 0.5, 1.5)
    w = {name: value.numpy() for name, value in model.state_dict().items()}
    for size, pooled in ((9, 4), (8, 4)):
        x = tg.tensor(rng.standard_normal((2, 4, size, size), np.float32))
        with tg.no_grad():
            found = model.blobs(x)
        assert found["pool"].shape[2:] == (pooled, pooled)
        one = np.einsum("nchw,kc->nkhw", found["pool"].numpy(), w["inception/1x1.weight"][:, :, 0, 0])
        mean, var, scale, bias = (w[f"inception/{n}"][:, None, None] for n in
                                  ("bn.running_mean", "bn.running_var", "scale.weight", "scale.bias"))  # fmt: skip
        one = (one - mean) / np.sqrt(var + 0.001) * scale + bias
        np.testing.assert_allclose(found["one"].numpy(), one, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["out"].numpy()[:, :3], one, rtol=1e-4, atol=1e-5)
        both = one - 0.5 * found["three"].numpy()
        slope = w["slope.weight"][:, None, None]
        np.testing.assert_allclose(found["both"].numpy(), np.where(both > 0, both, slope * both), rtol=1e-3, atol=1e-4)
        assert found["left"].shape[1] == 4 and found["right"].shape[1] == 6
        padded = np.pad(found["pool"].numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
        np.testing.assert_allclose(found["pooled"].numpy()[:, :, 0, 0], padded[:, :, :3, :3].mean((2, 3)), rtol=1e-4)
        assert set(model(x)) == {"both", "left", "scores"}  # what no later layer uses


def test_weights_of_layers_that_the_prototxt_lacks_are_ignored(tmp_path):
    text = """
    input: "data" input_shape { dim: 1 dim: 1 dim: 3 dim: 3 }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "y"
            convolution_param { num_output: 1 kernel_size: 2 } }
    """
    model = network(tmp_path, text, written(tmp_path / "a.caffemodel", NEW))
    assert model(tg.ones(1, 1, 3, 3)).tolist() == [[[[15, 15], [15, 15]]]]
    with pytest.raises(tg.errors.StateDictError, match=r"conv\.weight is f32\[2,1,2,2\] here, f32\[1,1,2,2\]"):
        network(tmp_path, text.replace("num_output: 1", "num_output: 2"), tmp_path / "a.caffemodel")


HEAD = 'input: "data" input_shape { dim: 1 dim: 1 dim: 3 dim: 3 }\n'


@pytest.mark.parametrize("text, match", [
    ("", "it has no layers"),
    ("layer { name: ", "ends where a value should be"),
    ("layer { name: 'a'", "line 1: a message that does not end"),
    ("layer } ", "line 1"),
    ("name: 'x' }", "closes nothing"),
    ("\n\nlayer { = }", "line 3: '= }' is no field"),
    ("layer { name 'a' }", "where a colon should be"),
    ("layer: [ { name: 'a' }", "a list that does not end"),
    ("a {" * 100, "more than 64 deep"),
    ("layers { layer { name: 'a' type: 'conv' } }", "gave up in 2013"),
    ("layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'y' }", "has no input, and no data layer"),
    (HEAD + "layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'y' }", "layer 'a': its input 'x' is made by no layer"),
    (HEAD + "layer { name: 'a' type: 'SPP' bottom: 'data' top: 'y' }", r"'SPP' are not read[\s\S]*Convolution"),
    (HEAD + "layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'y' }" * 2, "layer 'a': it comes twice"),
    (HEAD + "layer { type: 'ReLU' bottom: 'data' top: 'y' }", "layer 0: it has no name"),
    (HEAD + "layer { name: 'train' type: 'ReLU' bottom: 'data' top: 'y' }", "'train': it has a name that modules keep"),
    (HEAD + "layer { name: 'a' type: 'Convolution' bottom: 'data' top: 'y' }", "kernel_size must be .*got nothing"),
    (HEAD + "layer { name: 'a' type: 'Convolution' bottom: 'data' top: 'y' convolution_param { kernel_size: 2 "
     "num_output: 'x' } }", "num_output must be an integer, got 'x'"),
    (HEAD + "layer { name: 'a' type: 'Convolution' bottom: 'data' top: 'y' convolution_param { kernel_size: 2 "
     "num_output: 0 } }", "num_output must be a positive integer, got 0"),
    (HEAD + "layer { name: 'a' type: 'Pooling' bottom: 'data' top: 'y' pooling_param { pool: STOCHASTIC } }",
     "pooling by STOCHASTIC"),
    (HEAD + "layer { name: 'a' type: 'InnerProduct' bottom: 'data' top: 'y' inner_product_param { num_output: 2 "
     "bias_term: maybe } }", "bias_term must be true or false, got 'maybe'"),
    (HEAD + "layer { name: 'a' type: 'InnerProduct' bottom: 'data' top: 'y' inner_product_param { num_output: 2 "
     "weight_filler { type: 'bilinear' } } }", "fillers of the type 'bilinear'"),
    ("layer { name: 'd' type: 'Data' top: 'data' } layer { name: 'a' type: 'InnerProduct' bottom: 'data' top: 'y' "
     "inner_product_param { num_output: 2 } }", r"does not tell the shape of 'data'[\s\S]*input_shape"),
])  # fmt: skip
def test_bad_prototxts(tmp_path, text, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        network(tmp_path, text)


def test_bad_arguments_of_read_prototxt(tmp_path):
    with pytest.raises(tg.MissingDataError, match="there is no file"):
        weights.read_prototxt(tmp_path / "nowhere.prototxt")
    with pytest.raises(tg.ArgumentError, match="phase must be one of 'TEST', 'TRAIN', got 'EVAL'"):
        network(tmp_path, LENET, phase="EVAL")
    with pytest.raises(tg.ArgumentError, match=r"input_shape must be one integer or 3 of them, got \(28, 28\)"):
        network(tmp_path, LENET, input_shape=(28, 28))
    with pytest.raises(tg.CorruptDataError, match="it is binary"):
        weights.read_prototxt(written(tmp_path / "a.prototxt", b"\xff\xfe\x00"))
    model = network(tmp_path, LENET, input_shape=(1, 28, 28))
    with pytest.raises(tg.ArgumentError, match="3 inputs, expected 1 to 2: data, label"):
        model(*[tg.ones(1, 1, 28, 28)] * 3)
