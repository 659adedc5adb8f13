"""Downloads from a server on this machine that breaks off, sends something else, or does not know how to go on."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import multiprocessing
import os
import socket
import sys
import threading

import pytest

import tensorgraph as tg
from tensorgraph.data import fetch

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what `server.files` holds; `server.breaks` says after how many bytes the next answers break off."""

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404, "Not Found")
            return
        start = 0
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.lengths:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        most = server.breaks.pop(0) if server.breaks else len(content)
        self.wfile.write(content[start : start + most])


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files = {"/a/file.bin": CONTENT}
        server.asked, server.breaks, server.ranges, server.lengths = [], [], True, True
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def get(server, target, mirrors=None, md5=MD5):
    fetch.fetch(mirrors or [f"{server.url}/a"], target, md5, packed=True)


def test_a_whole_file(server, tmp_path, capsys):
    get(server, tmp_path / "new" / "file.bin")
    assert (tmp_path / "new" / "file.bin").read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new") == ["file.bin"] and len(server.asked) == 1
    assert capsys.readouterr().err == ""  # no terminal: no progress
    if os.name != "nt":
        assert (tmp_path / "new" / "file.bin").stat().st_mode & 0o777 == 0o644


def test_what_breaks_off_is_gone_on_with(server, tmp_path):
    server.breaks = [300_000, 200_000]
    get(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-", "bytes=500000-"]


def test_another_mirror_goes_on(server, tmp_path):
    server.files["/b/file.bin"] = CONTENT
    server.breaks = [100, 0]
    get(server, tmp_path / "file.bin", [f"{server.url}/a/", f"{server.url}/b"])
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/b/file.bin", "bytes=100-")


def test_the_next_call_goes_on(server, tmp_path):
    server.breaks = [1000, 0]
    with pytest.raises(tg.MissingDataError, match=r"ended after 1,000 of 1,048,576 bytes") as caught:
        get(server, tmp_path / "file.bin")
    assert "the next call goes on from there" in str(caught.value)
    assert os.listdir(tmp_path) == [".file.bin.part"]  # nothing that could be taken for the file
    get(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT and server.asked[-1][1] == "bytes=1000-"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_an_interrupt_keeps_what_came(server, tmp_path, monkeypatch):
    copy = fetch._copy

    def interrupted(answer, *rest):
        rest[0].write(answer.read(5000))
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path / "file.bin")
    monkeypatch.setattr(fetch, "_copy", copy)
    get(server, tmp_path / "file.bin")
    assert server.asked[-1][1] == "bytes=5000-" and (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_something_else_is_thrown_away(server, tmp_path, ranges):
    server.ranges = ranges
    for part in (b"no beginning of it", CONTENT + b"longer"):
        (tmp_path / ".file.bin.part").write_bytes(part)
        get(server, tmp_path / "file.bin")
        assert (tmp_path / "file.bin").read_bytes() == CONTENT and os.listdir(tmp_path) == ["file.bin"]
        (tmp_path / "file.bin").unlink()


def test_a_server_without_lengths(server, tmp_path):
    server.lengths = False
    get(server, tmp_path / "file.bin")
    server.files["/a/other.bin"], server.breaks = CONTENT, [77]
    with pytest.raises(tg.MissingDataError, match="another md5"):
        get(server, tmp_path / "other.bin")


def test_something_else_under_its_name(server, tmp_path):
    server.files |= {"/wrong/file.bin": b"<html>Sign in to the network</html>"}
    with pytest.raises(tg.MissingDataError) as caught:
        get(server, tmp_path / "file.bin", [f"{server.url}/{name}" for name in ("wrong", "nowhere")])
    said = str(caught.value)
    assert f"another md5 than {MD5}" in said and "404" in said and "/nowhere/file.bin" in said and "by hand" in said
    assert os.listdir(tmp_path) == []
    get(server, tmp_path / "file.bin", [f"{server.url}/{name}" for name in ("wrong", "nowhere", "a")])
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_without_a_network(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
    with pytest.raises(tg.MissingDataError, match="no mirror delivered it") as caught:
        fetch.fetch([url], tmp_path / "file.bin", MD5)
    assert "refused" in str(caught.value) and "without a network, put the file into" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_server_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(tg.MissingDataError, match="timed out"):
            fetch.fetch([f"http://127.0.0.1:{silent.getsockname()[1]}"], tmp_path / "file.bin", MD5)


def test_the_sum_is_that_of_the_content(server, tmp_path):
    server.files["/a/file.gz"] = gzip.compress(CONTENT, 1)
    fetch.fetch([f"{server.url}/a"], tmp_path / "file.gz", MD5)
    assert gzip.decompress((tmp_path / "file.gz").read_bytes()) == CONTENT
    server.files["/a/cut.gz"] = server.files["/a/file.gz"][:-50]
    with pytest.raises(tg.MissingDataError, match="truncated or damaged gzip"):
        fetch.fetch([f"{server.url}/a"], tmp_path / "cut.gz", MD5)
    assert os.listdir(tmp_path) == ["file.gz"]


@pytest.mark.skipif(os.name == "nt", reason="needs fork and flock")
def test_several_processes_fetch_it_once(server, tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=get, args=(server, tmp_path / "file.bin")) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(server.asked) == 1 and os.listdir(tmp_path) == ["file.bin"]


def test_progress(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    get(server, tmp_path / "file.bin")
    assert "\rfile.bin: 1.0 of 1.0 MB, " in capsys.readouterr().err
