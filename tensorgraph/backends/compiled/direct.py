"""Machine code of the convolution: sums of products kept in registers, without a matrix in between.

`correlate` keeps the sums of `pixels` neighbouring outputs and `vectors` vectors of channels, channels-last.
Imported by build.py beside it.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.backends.compiled.emit import Code

__all__ = ["correlate"]


def correlate(module: Any, width: int, name: str, pixels: int, vectors: int) -> None:
    """y[n, i, j, k] = bias[k] + sum over r, s, c of x[n, i*down + r*below, j*right + s*beside + c] * w[k, r, s, c].

    `sums` parts of the sum over r go through memory, so that a part of the weights stays in the cache for all pixels.
    w lies as (blocks, sums, R, S, C, vectors * width), zeros behind the last of the K channels; so does bias.
    The sum number `first` starts from the bias, which is 0 to write y and -1 to add to it.
    A row has at least `pixels` outputs: the last step of a row computes some of them again, in vain.
    """
    sizes = "K blocks sums images rows columns R S C".split()
    strides = "y_image y_row y_pixel x_image x_row x_pixel x_sum x_below x_beside first".split()
    code = Code(module, width, name, ["y", "x", "w", "bias"], [*sizes, *strides], apart=True)
    build, size = code.build, width * vectors
    steps = [build.mul(code["x_pixel"], code.int(p)) for p in range(pixels)]
    last = build.sub(code["columns"], code.int(pixels))
    part = build.mul(build.mul(code["R"], code["S"]), build.mul(code["C"], code.int(size)))
    with code.loop(code["blocks"]) as block:
        channel = build.mul(block, code.int(size))
        left = build.sub(code["K"], channel)
        masks = [code.first(build.sub(left, code.int(width * v))) for v in range(vectors)]
        with code.loop(code["sums"]) as sum_, code.loop(code["images"]) as image, code.loop(code["rows"]) as row:
            w = code.at(code["w"], (build.add(build.mul(block, code["sums"]), sum_), part))
            y = code.at(code["y"], channel, (image, code["y_image"]), (row, code["y_row"]))
            x = code.at(code["x"], (image, code["x_image"]), (row, code["x_row"]), (sum_, code["x_sum"]))
            is_first = build.icmp_signed("==", sum_, code["first"])
            start_step = build.select(is_first, code.int(0), code["y_pixel"])
            with code.loop(code["columns"], pixels) as next_:
                column = build.select(build.icmp_signed("<", next_, last), next_, last)
                here, seen = code.at(y, (column, code["y_pixel"])), code.at(x, (column, code["x_pixel"]))
                start = build.select(is_first, code.at(code["bias"], channel), here)
                totals = [
                    code.load(code.at(start, (start_step, p), width * v), masks[v])
                    for p in range(pixels)
                    for v in range(vectors)
                ]

                def taps(i, state, seen):
                    w, *totals = state
                    factors = [code.load(code.at(w, width * v)) for v in range(vectors)]
                    fours = [code.at(start, i) for start in seen]
                    for p in range(pixels):
                        number = code.spread(code.at(fours[p // 4], steps[p % 4]))
                        for v in range(vectors):
                            totals[p * vectors + v] = number.times_plus(factors[v], totals[p * vectors + v])
                    return [code.at(w, size), *totals]

                def across(s, state, seen=seen):
                    beside = code.at(seen, (s, code["x_beside"]))
                    fours = [code.apart(code.at(beside, steps[p])) for p in range(0, pixels, 4)]
                    return code.carry(code["C"], state, lambda i, now: taps(i, now, fours))

                def down(r, state, seen=seen):
                    below = code.at(seen, (r, code["x_below"]))
                    return code.carry(code["S"], state, lambda s, now: across(s, now, below))

                _, *totals = code.carry(code["R"], [w, *totals], down)
                done = build.sub(next_, column)  # outputs of this step that were finished by the one before
                for p in range(pixels):
                    is_new = build.icmp_signed("<=", done, code.int(p))
                    for v in range(vectors):
                        mask = build.select(is_new, masks[v], code.none)
                        code.store(totals[p * vectors + v], code.at(here, (code["y_pixel"], p), width * v), mask)
    code.end()
