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
