"""Downloads one file: from the first mirror that answers, with progress, checked, and moved into place when complete.

Imported by sets.py and cifar.py. Until the last line of `fetch` the target does not exist: whatever interrupts a
download, only complete and checked files are ever seen.
"""

from __future__ import annotations

import os
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tensorgraph.data.idx import md5_of, uncompressed
from tensorgraph.errors import CorruptDataError, MissingDataError

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte


def fetch(mirrors: Sequence[str], target: Path, md5: str, packed: bool = False) -> None:
    """Makes `target` from the first mirror whose uncompressed content has the sum `md5`.

    `packed`: the sum is that of the file as it comes (an archive), not of its uncompressed content.
    A mirror is the address of a folder, to which the name of the target is added. Progress goes to stderr when that
    is a terminal.

    Raises MissingDataError, with one line per mirror, when none delivers.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors:
        url = mirror.rstrip("/") + "/" + target.name
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as out, urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
                _copy(answer, out, target.name, int(answer.headers.get("Content-Length") or 0))
            if md5_of(part.read_bytes() if packed else uncompressed(part)) != md5:
                raise CorruptDataError(f"what came has another md5 than {md5}")
            part.chmod(0o644)
            os.replace(part, target)
            return
        except (OSError, ValueError) as error:  # URLError, HTTPError, time-outs; a broken or foreign file
            failures.append(f"{url}: {getattr(error, 'message', None) or error}")
        finally:
            part.unlink(missing_ok=True)
    raise MissingDataError(
        f"{target.name}: no mirror delivered it",
        operands=failures,
        hint=f"without a network, put the file into {target.parent} by hand",
    )


def _copy(answer: IO[bytes], out: IO[bytes], name: str, total: int) -> None:
    show = sys.stderr.isatty()
    done = 0
    while chunk := answer.read(_CHUNK):
        out.write(chunk)
        done += len(chunk)
        if show:
            of = f" of {total / 1e6:.1f}" if total else ""
            print(f"\r{name}: {done / 1e6:.1f}{of} MB ", end="", file=sys.stderr, flush=True)
    if show:
        print(file=sys.stderr)
    if done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")
