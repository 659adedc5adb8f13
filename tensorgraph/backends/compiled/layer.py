"""One convolution for the kernels of window.py: where everything lies, and which of them suit.

A `Layer` holds what does not depend on the number of images. Imported by numpy_kernels/ and window.py beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tensorgraph.backends.compiled import Kernels, address

__all__ = ["FIELDS", "LANE", "NOWHERE", "PHASE", "Layer", "Phase", "View", "lines"]

FIELDS = """
fill x_image x_row x_pixel x_channel height inputs copied top reach down rows
room row part pixel lane_step lane_count lanes pitch zero together chunk
y_image y_row y_pixel outputs blocks parts channels size phases w_output channels_at
""".split()
"""What stands in a table first: the function that fills; x, H, C, the padding above, the rows that a window reaches
over, the stride, the rows of outputs; the room and the steps in it; y, K, and how weights are cut. In elements."""
PHASE = "y_start rows columns taps room_at w_at packed_at".split()
"""Then for each phase: its first output, its outputs, and where its taps are listed and its weights lie."""
LANE = "start count first".split()
"""For each remainder of the columns modulo their step, at `lanes`: where to copy how many, from which of the image."""

NOWHERE = -1 << 40
"""Stands for the place of a channel that only fills a part."""

PART = 16
"""Channels at most of a part: a line of the cache, and weights that stay in it."""
NEAR = 3 << 11
"""Elements that stay in the nearest cache beside what streams through it."""
ROOM = 1 << 16
"""Elements of the rooms of images that share the weights, which lie further than these."""
FAR = 1 << 17
"""Weights that do not stay in the second cache."""


class View(NamedTuple):
    """Images in memory, channels last: rows, columns, channels, and how many bytes lie between two of each."""

    rows: int
    columns: int
    channels: int
    strides: tuple[int, ...]


class Phase(NamedTuple):
    """Outputs that see their taps at the same distance: first element, rows, columns, (shift, weight) along each axis.

    `shift` counts padded pixels from where the window begins, `weight` elements of the weight array.
    """

    start: int
    rows: int
    columns: int
    down: tuple[tuple[int, int], ...]
    right: tuple[tuple[int, int], ...]


class Layer:
    """A correlation of images x: with weights to give y (`sums`), or with slopes of y to give those of the weights.

    The elements of a weight array are `w_output` apart along the channels of y, and `w_input` along those of x.
    `stride` is how many pixels of x lie between neighbours of y, `before` the padding above and to the left.
    """

    def __init__(
        self, kernels: Kernels, sums: bool, x: View, y: View, phases: tuple[Phase, ...], before: tuple[int, int],
        stride: tuple[int, int], w_input: int, w_output: int, special: bool,
    ):  # fmt: skip
        self.kernels, (down, right), (top, left) = kernels, stride, before
        self.rows = max(p.rows for p in phases)
        reach = max(shift for p in phases for shift, _ in (*p.down, (0, 0)))
        across = max(shift for p in phases for shift, _ in (*p.right, (0, 0)))
        height = (self.rows - 1) * down + reach + 1
        width = (max(p.columns for p in phases) - 1) * right + across + 1
        # few channels stay as they are; otherwise each remainder of the columns modulo the stride lies together
        few = x.channels < PART
        parts, lanes = (1, 1) if few else (-(-x.channels // PART), right)
        channels = pixel = -(-x.channels // parts)
        lane = -(-width // lanes) * pixel
        row, pitch = lanes * lane, pixel * (right if few else 1)
        part = -(-height * row // PART) * PART
        at = [c * w_input for c in range(x.channels)] + [NOWHERE] * (parts * channels - x.channels)
        taps = [
            [(r * row + s % lanes * lane + s // lanes * pixel, v + w) for r, v in p.down for s, w in p.right]
            for p in phases
        ]
        if (
            few
            and len(phases) == 1
            and phases[0].right
            and [s for s, _ in phases[0].right] == list(range(len(phases[0].right)))
        ):
            # a row of taps lies together: all its channels are as those of one tap
            at = [w + c for _, w in phases[0].right for c in at]
            taps, channels = [[(r * row, v) for r, v in phases[0].down]], len(at)
        self.outputs, self.channels, self.room = y.channels, channels, parts * part + PART
        amount = sum(map(len, taps)) * parts * channels
        self.together = self.chunk = 1
        if sums:
            columns = min((p.columns for p in phases if p.rows), default=1)
            pixels, vectors = tile(kernels, y.channels, columns, special)
            full = int(y.channels % (vectors * kernels.width) == 0)
            even = int(special and all(p.columns % pixels == 0 for p in phases))
            known = (channels, pitch) if special else (0, 0)
            self.kernel = kernels["_".join(map(str, ("sums", pixels, vectors, *known, full, even)))]
            if amount * y.channels > FAR:
                self.together = max(1, min(8, ROOM // self.room))
        else:
            count, some, vectors = corner(kernels, y.channels, channels, len(taps[0]), special)
            full = int(y.channels % (vectors * kernels.width) == 0)
            self.kernel = kernels[f"slopes_{count}_{some}_{vectors}_{pitch if special else 0}_{full}"]
            line = down * row + phases[0].columns * vectors * kernels.width
            self.chunk = max(1, NEAR // line)
            if self.chunk >= self.rows:
                self.chunk, self.together = self.rows, max(1, min(8, NEAR // (line * self.rows)))
        self.size = vectors * kernels.width
        self.blocks = -(-y.channels // self.size)
        self.packed = amount * self.blocks * self.size

        spread: list[int] = []  # what stands behind the phases
        behind = len(FIELDS) + len(PHASE) * len(phases)

        def listed(numbers: Iterable[int]) -> int:
            place = behind + len(spread)
            spread.extend(numbers)
            return place

        words, packed_at = [], 0
        for p, places in zip(phases, taps, strict=True):
            lists = listed(a for a, _ in places), listed(b for _, b in places)
            words += [p.start, p.rows, p.columns, len(places), *lists, packed_at]
            packed_at += len(places) * parts * channels * self.blocks * self.size
        copies = []
        for n in range(lanes):
            low = max(0, -(-(left - n) // lanes))
            high = min(lane // pixel, (x.columns - 1 + left - n) // lanes + 1)
            copies += [n * lane + low * pixel, max(0, high - low), low * lanes + n - left]
        bordered = top > 0 or left > 0 or height > top + x.rows or width > left + x.columns
        copied, inputs = pixel, x.channels
        x_strides, y_strides = ([step // 4 for step in view.strides] for view in (x, y))
        x_channel = x_strides[3] if x.channels > 1 else 1
        if parts == lanes == x_channel == 1 and x_strides[2] == pixel == x.channels:
            copied = inputs = copies[1] * pixel  # a row lies together
            copies[1] = min(1, copies[1])
        fields = dict(
            fill=kernels.place("fill"), x_image=x_strides[0], x_row=x_strides[1], x_pixel=x_strides[2],
            x_channel=x_channel, height=x.rows, inputs=inputs, copied=copied,
            top=top, reach=reach + 1, down=down, rows=self.rows, room=self.room, row=row, part=part, pixel=pixel,
            lane_step=lanes, lane_count=lanes, lanes=listed(copies), pitch=pitch,
            zero=self.room if bordered or parts * pixel > x.channels else 0,
            together=self.together, chunk=self.chunk, y_image=y_strides[0], y_row=y_strides[1], y_pixel=y_strides[2],
            outputs=y.channels, blocks=self.blocks, parts=parts, channels=channels, size=self.size,
            phases=len(phases), w_output=w_output, channels_at=listed(at),
        )  # fmt: skip
        self._words = np.array([*(fields[name] for name in FIELDS), *words, *spread], dtype=np.int64)
        self.table = address(self._words)

    def pack(self, w: np.ndarray) -> np.ndarray:
        """The weights as the kernel reads them."""
        packed = lines(self.packed)
        self.kernels["pack"](address(packed), address(w), self.table)
        return packed

    def unpack(self, totals: np.ndarray, w: np.ndarray) -> None:
        """Writes the sum of totals (n, packed), the sums of the kernel, to a weight array."""
        self.kernels["unpack"](address(totals), address(w), self.table, len(totals), self.packed)


def lines(size: int) -> np.ndarray:
    """Room for so many numbers that begins with a line of the cache."""
    room = np.empty(size + PART, dtype=np.float32)
    return room[-(address(room) // 4) % PART :][:size]


def tile(kernels: Kernels, channels: int, columns: int, special: bool) -> tuple[int, int]:
    """How many neighbouring outputs and vectors of channels take the fewest cycles."""
    vectors, best = -(-channels // kernels.width), (math.inf, 1, 1)
    for v in range(1, min(vectors, 4) + 1):
        for p in range(1, columns + 1):
            # one vector of channels is multiplied with numbers as they come from memory, where processors can
            direct = v == 1 and kernels.width == 16
            if p * v + (1 if direct else v + 1) > min(kernels.registers, 29 if direct else 32):
                break
            if not special and (v > 2 or p & (p - 1)):
                continue
            issue = (p * v + (0 if v == 1 else p) + v + 3) / 4
            # weights of more vectors leave less of the nearest cache to the images
            cycles = max(p * v / 2, (p + v) / 2, issue, 4) + 0.1 + 0.1 * v
            best = min(best, (-(-vectors // v) * -(-columns // p) * cycles, p, v))
    return best[1:]


def corner(kernels: Kernels, outputs: int, channels: int, taps: int, special: bool) -> tuple[int, int, int]:
    """How many taps, channels and vectors of outputs, whose sums are kept together, take the fewest cycles."""
    vectors, best = -(-outputs // kernels.width), (math.inf, 1, 1, 1)
    for v in range(1, min(vectors, 3) + 1):
        for q in (n for n in range(1, taps + 1) if taps % n == 0 and n <= 9):
            for t in (n for n in range(1, channels + 1) if channels % n == 0):
                direct = v == 1 and kernels.width == 16
                if q * t * v + (1 if direct else v + 1) > min(kernels.registers, 29 if direct else 32):
                    break
                if not special and (q > 1 or v > 2 or t & (t - 1)):
                    continue
                issue = (q * t * v + (0 if v == 1 else q * t) + v + q + 3) / 4
                cycles = max(q * t * v / 2, (q * t + v) / 2, issue, 4) + 0.5
                best = min(best, (-(-vectors // v) * (taps // q) * (channels // t) * cycles, q, t, v))
    return best[1:]
