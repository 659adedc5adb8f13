"""Downloads one file: from the first mirror that delivers, with progress, checked, and moved into place when complete.

Imported by sets.py and cifar.py. Until the last line of `fetch` the target does not exist: whatever interrupts a
download, only complete and checked files are ever seen. What has come so far lies beside the target in `.<name>.part`,
and the next call goes on from there. Several processes that want the same file wait for the one that fetches it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from tensorgraph.data.idx import md5_of, uncompressed
from tensorgraph.errors import CorruptDataError, MissingDataError

__all__ = ["fetch"]

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 3  # on each mirror, when the connection breaks


def fetch(mirrors: Sequence[str], target: Path, md5: str, packed: bool = False) -> None:
    """Makes `target` from the first mirror whose uncompressed content has the sum `md5`.

    `packed`: the sum is that of the file as it comes (an archive), not of its uncompressed content.
    A mirror is the address of a folder, to which the name of the target is added. Progress goes to stderr when that
    is a terminal.

    Raises MissingDataError, with one line per failure, when none delivers.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    failures: list[str] = []
    with _alone(part) as out:
        delivered = target.is_file() or any(  # another process may have fetched it meanwhile
            _try(mirror.rstrip("/") + "/" + target.name, out, part, md5, packed, failures) for mirror in mirrors
        )
        kept = os.fstat(out.fileno()).st_size
        if delivered and os.name != "nt" and not target.is_file():
            os.replace(part, target)  # before the next one in line gets the file
    if delivered:
        if part.exists() and not target.is_file():  # Windows moves no open file
            os.replace(part, target)
        return
    going_on = f"the {kept / 1e6:.1f} MB that came are kept, and the next call goes on from there; " if kept else ""
    raise MissingDataError(
        f"{target.name}: no mirror delivered it",
        operands=failures,
        hint=f"{going_on}without a network, put the file into {target.parent} by hand",
    )


def _try(url: str, out: IO[bytes], part: Path, md5: str, packed: bool, failures: list[str]) -> bool:
    """Fetches what is missing of a file from one mirror; says whether it is complete and right."""
    for _ in range(_ATTEMPTS):
        before = out.seek(0, os.SEEK_END)
        try:
            _load(url, out)
            out.flush()
            found = _sum(out) if packed else md5_of(uncompressed(part))
            if found == md5:
                return True
            raise CorruptDataError(f"what came has another md5 than {md5}: {found}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{url}: {getattr(error, 'message', None) or error or type(error).__name__}")
            now = out.seek(0, os.SEEK_END)
            if isinstance(error, ValueError):  # complete, and not what it should be
                out.truncate(0)
                if not before:
                    return False  # this mirror has something else; otherwise the part was not of its file: once more
            elif now <= before:  # nothing came: the mirror is not there, or has no such file
                return False
    return False


def _load(url: str, out: IO[bytes]) -> None:
    """Appends what is missing of the file at `url`, all of it where the server cannot begin in the middle."""
    done = out.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not done:
            raise
        out.truncate(0)  # what is there is no beginning of that file
        done, answer = 0, urllib.request.urlopen(url, timeout=_TIMEOUT)
    with answer:
        continued = getattr(answer, "status", None) == 206
        if done and not (continued and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")):
            if continued:
                raise OSError(f"asked for the bytes from {done:,} on, it sent {answer.headers.get('Content-Range')}")
            out.truncate(0)
            done = 0
        _copy(answer, out, url.rpartition("/")[2], int(answer.headers.get("Content-Length") or 0), done)


def _copy(answer: IO[bytes], out: IO[bytes], name: str, length: int, before: int) -> None:
    show = sys.stderr.isatty()
    done, total, began = before, before + length, time.monotonic()
    try:
        while chunk := answer.read(_CHUNK):
            out.write(chunk)
            done += len(chunk)
            if show:
                of = f" of {total / 1e6:.1f}" if length else ""
                speed = (done - before) / 1e6 / max(time.monotonic() - began, 1e-3)
                print(f"\r{name}: {done / 1e6:.1f}{of} MB, {speed:.1f} MB/s ", end="", file=sys.stderr, flush=True)
    finally:
        out.flush()
        if show:
            print(file=sys.stderr)
    if length and done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")


def _sum(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()  # pyright: ignore


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The file opened to append, when no other process writes to it any more; removed afterwards when it is empty."""
    while True:
        file = part.open("ab+")
        with contextlib.suppress(ImportError):  # Windows has no fcntl, and no lock here
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.name == "nt" or os.path.samestat(os.fstat(file.fileno()), part.stat()):
                break
        file.close()  # the one before has moved or removed it
    try:
        yield file
    finally:
        empty = not os.fstat(file.fileno()).st_size
        if empty and os.name != "nt":
            part.unlink(missing_ok=True)
        file.close()
        if empty:
            part.unlink(missing_ok=True)
