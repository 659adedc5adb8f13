"""Files: what goes in comes out, whole or not at all, and nothing in a file is trusted."""

import io
import json
import os
import pickle
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn

SUFFIXES = ("npz", "safetensors")
each_format = pytest.mark.parametrize("suffix", SUFFIXES)


def equal(a, b):
    assert type(a) is type(b) and (not isinstance(a, tg.Tensor) or a.dtype == b.dtype)
    if isinstance(a, tg.Tensor):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            equal(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            equal(x, y)
    else:
        assert a == b


@each_format
def test_a_state_dict(tmp_path, suffix):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    path = tmp_path / f"net.{suffix}"
    nn.save(net, path)
    equal(nn.load(path), net.state_dict())
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    other.load_state_dict(nn.load(str(path)))
    equal(other.state_dict(), net.state_dict())
    assert os.listdir(tmp_path) == [path.name]


@each_format
def test_every_dtype_and_layout(tmp_path, suffix):
    state = {str(d): tg.tensor(np.arange(6).reshape(2, 3).astype(d)) for d in (
        "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64"
    ).split()}  # fmt: skip
    state |= {"0-d": tg.tensor(2.5), "empty": tg.zeros(0, 3), "turned": tg.tensor(np.arange(6.0).reshape(2, 3).T)}
    state["name with / and ünicode"] = tg.ones(1)
    nn.save(state, tmp_path / f"a.{suffix}")
    equal(nn.load(tmp_path / f"a.{suffix}"), state)


@each_format
def test_a_whole_training_state(tmp_path, suffix):
    net = nn.Linear(2, 3)
    optimizer = nn.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(tg.ones(1, 2)).sum().backward()
    optimizer.step()
    state = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "history": [1.5, float("inf"), None, True, "text", (1, 2)],
        "random": tg.get_rng_state(),
        "$odd": {(0): tg.ones(1)},
    }
    path = tmp_path / f"checkpoint.{suffix}"
    nn.save(state, path)
    found = nn.load(path)
    equal(found, state)
    again = nn.optim.SGD(net.parameters(), 0.5)
    again.load_state_dict(found["optimizer"])
    assert again.param_groups[0]["lr"] == 0.1
    np.testing.assert_array_equal(
        again.state[net.weight]["momentum_buffer"].numpy(), optimizer.state[net.weight]["momentum_buffer"].numpy()
    )


def test_files_of_numpy_load(tmp_path):
    arrays = {"a": np.arange(3), "b": np.asfortranarray(np.ones((2, 3))), "big": np.arange(3, dtype=">f4")}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = nn.load(tmp_path / "x.npz")
    for name, a in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), a)
    nn.save(found, tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as file:
        np.testing.assert_array_equal(file["b"], arrays["b"])


def test_bfloat16_loads_as_float32(tmp_path):
    values = np.array([1.0, -2.5, 3.0], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    np.testing.assert_array_equal(nn.load(path)["w"].numpy(), values)


@pytest.mark.peers
def test_safetensors_agrees_with_the_package(tmp_path):
    package = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    state = {"a": tg.tensor([1.0, 2.0]), "b": tg.tensor([[1], [2]]), "c": tg.tensor(True)}
    nn.save(state, tmp_path / "a.safetensors")
    for name, array in package.load_file(tmp_path / "a.safetensors").items():
        np.testing.assert_array_equal(array, state[name].numpy())
    package.save_file({"x": np.arange(6, dtype=np.float16).reshape(2, 3)}, tmp_path / "b.safetensors")
    assert nn.load(tmp_path / "b.safetensors")["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


@each_format
def test_an_interrupted_save_leaves_the_earlier_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a.{suffix}"
    nn.save({"w": tg.ones(2)}, path)
    before = path.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        nn.save({"w": tg.zeros(2)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


@each_format
def test_every_truncation_and_many_flips_are_noticed_or_harmless(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    nn.save({"w": tg.arange(3.0), "nested": [tg.ones(1)]}, path)
    whole = path.read_bytes()
    for n in range(0, len(whole), 7):
        path.write_bytes(whole[:n])
        with pytest.raises(tg.errors.CorruptDataError, match="truncated, damaged or of another format"):
            nn.load(path)
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with suppress(tg.errors.CorruptDataError):
            nn.load(path)  # a bit of a value may flip unnoticed in safetensors, which has no checksum


def test_the_content_decides_not_the_name(tmp_path):
    state = {"w": tg.arange(3.0)}
    for suffix in SUFFIXES:
        nn.save(state, tmp_path / f"a.{suffix}")
        for name in ("b", "b.npz", "b.safetensors", "b.pth", "b.caffemodel"):
            (tmp_path / name).write_bytes((tmp_path / f"a.{suffix}").read_bytes())
            equal(nn.load(tmp_path / name), state)
    (tmp_path / "notes.txt").write_bytes(b"hello")
    with pytest.raises(tg.CorruptDataError, match="no known format; it begins with 68 65 6c 6c 6f"):
        nn.load(tmp_path / "notes.txt")


def test_a_flipped_bit_of_a_training_state_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    nn.save({"w": tg.arange(64.0), "nested": [tg.ones(1)], "epoch": 3}, path)
    whole = path.read_bytes()
    for at in range(8, len(whole), 5):
        damaged = bytearray(whole)
        damaged[at] ^= 2
        path.write_bytes(damaged)
        with pytest.raises(tg.errors.CorruptDataError):
            nn.load(path)


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def safetensors(header, data=b"") -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


def one(dtype, shape, offsets, data=b"") -> bytes:
    return safetensors({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, data)


def packed(name, data, how=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


class Bomb:
    def __reduce__(self):
        return os.system, ("echo executed",)


HUGE = (
    b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117)
    + b"\n"
)


@pytest.mark.parametrize("suffix, content, match", [
    ("npz", b"", "not a zip file"),
    ("npz", pickle.dumps(Bomb()), "not a zip file"),
    ("npz", npz(archive_pkl=pickle.dumps(Bomb())), "'archive.pkl', which is no array"),
    ("npz", npz(notes_txt=b"hello"), "'notes.txt', which is no array"),
    ("npz", npz(w_npy=npy(np.array([Bomb()], dtype=object))), "objects of dtype object"),
    ("npz", npz(w_npy=b"hello"), "magic"),
    ("npz", npz(w_npy=HUGE), "0 bytes for an array"),
    ("npz", npz(w_npy=npy(np.ones(3))[:-8]), "16 bytes for an array"),
    ("npz", packed("__structure__.json", b'{"$array": "w"}', zipfile.ZIP_STORED), "structure cannot be read"),
    ("npz", packed("__structure__.json", b'"a"'), "'__structure__.json' is compressed"),
    ("npz", packed("w.npy", HUGE), "0 bytes for an array"),
    ("safetensors", b"\x01", "header is not complete"),
    ("safetensors", struct.pack("<Q", 10**15), "header is not complete"),
    ("safetensors", safetensors(b"[1]"), "header cannot be read"),
    ("safetensors", safetensors(b"{"), "header cannot be read"),
    ("safetensors", one("F8", [1], [0, 1], b"x"), "header cannot be read"),
    ("safetensors", one("F32", [10**15], [0, 4], b"1234"), "does not fit"),
    ("safetensors", one("F32", [-1], [0, -4]), "has the shape"),
    ("safetensors", one("U8", [1], [5, 6], b"12"), "does not fit"),
    ("safetensors", one("U8", [1], [0, 1], b"12"), "1 bytes behind"),
    ("safetensors", safetensors({"__metadata__": ["x"]}), "metadata are no strings"),
    ("safetensors", safetensors({"__metadata__": {"__structure__": 3}}), "metadata are no strings"),
    ("safetensors", safetensors({n: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]} for n in "ab"}, b"1"),
     "'b' begins at byte 0, the array before it ends at 1"),
    ("safetensors", safetensors({"__metadata__": {"__crc32__": "0", "__structure__": "1"}}), "its checksum is not"),
    ("safetensors", safetensors({"__metadata__": {"__structure__": '{"$array": "w"}'}}), "its checksum is not"),
])  # fmt: skip
def test_foreign_and_hostile_files(tmp_path, capfd, suffix, content, match):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(tg.errors.CorruptDataError, match=match):
        nn.load(path)
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("call, error, match", [
    (lambda p: nn.save({}, p / "a.pt"), tg.ArgumentError, r"ends in '.pt'[\s\S]*a.npz or a.safetensors"),
    (lambda p: nn.save({}, p / "a"), tg.ArgumentError, "ends in 'no suffix'"),
    (lambda p: nn.load(p / "a.npz"), FileNotFoundError, "there is no file"),
    (lambda p: nn.save({}, p / "no" / "a.npz"), FileNotFoundError, "there is no folder"),
    (lambda p: nn.save({"a": [object()]}, p / "a.npz"), tg.DtypeError, r"save: a.0 is object"),
    (lambda p: nn.save({"a": np.array(["x"])}, p / "a.npz"), tg.DtypeError, "holds no numbers"),
    (lambda p: nn.save({"a": tg.ones(1).astype(tg.complex128)}, p / "a.safetensors"), tg.DtypeError, "no dtype for a"),
])  # fmt: skip
def test_bad_calls_leave_nothing_behind(tmp_path, call, error, match):
    with pytest.raises(error, match=match):
        call(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_path_first_is_an_error_that_says_so(tmp_path):
    with pytest.raises(tg.DtypeError, match="what to save comes first"):
        nn.save(tmp_path / "weights.npz", {"w": tg.ones(2)})
    assert not list(tmp_path.iterdir())
