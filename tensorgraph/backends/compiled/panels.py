"""Machine code of products with a matrix that was packed once: sums in registers, for rows of any distance.

`panels` keeps the sums of some rows and some vectors of columns. Imported by table.py beside it.
"""

from __future__ import annotations

from typing import Any

from tensorgraph.backends.compiled.emit import Code

__all__ = ["panels"]


def panels(module: Any, width: int, name: str, rows: int, vectors: int) -> None:
    """y[i, k] = bias[k] + sum over c of x[i, c] * w[c, k]; with `adds` y[i, k] += that sum, without the bias.

    w lies as (blocks, terms, vectors * width), zeros behind the last of the K columns; so does bias.
    y and x have at least `rows` rows: the last step computes some of them again, in vain.
    """
    code = Code(
        module, width, name, ["y", "x", "w", "bias"], "K blocks count terms y_row x_row adds".split(), apart=True
    )
    build, size = code.build, width * vectors
    steps = [build.mul(code["x_row"], code.int(p)) for p in range(rows)]
    last = build.sub(code["count"], code.int(rows))
    is_first = build.icmp_signed("==", code["adds"], code.int(0))
    start_step = build.select(is_first, code.int(0), code["y_row"])
    with code.loop(code["blocks"]) as block:
        column = build.mul(block, code.int(size))
        left = build.sub(code["K"], column)
        masks = [code.first(build.sub(left, code.int(width * v))) for v in range(vectors)]
        w, y = code.at(code["w"], (block, build.mul(code["terms"], code.int(size)))), code.at(code["y"], column)
        with code.loop(code["count"], rows) as next_:
            row = build.select(build.icmp_signed("<", next_, last), next_, last)
            here, seen = code.at(y, (row, code["y_row"])), code.at(code["x"], (row, code["x_row"]))
            start = build.select(is_first, code.at(code["bias"], column), here)
            totals = [
                code.load(code.at(start, (start_step, p), width * v), masks[v])
                for p in range(rows)
                for v in range(vectors)
            ]
            fours = [code.apart(code.at(seen, steps[p])) for p in range(0, rows, 4)]

            def term(i, state, fours=fours):
                w, *totals = state
                factors = [code.load(code.at(w, width * v)) for v in range(vectors)]
                places = [code.at(start, i) for start in fours]
                for p in range(rows):
                    number = code.spread(code.at(places[p // 4], steps[p % 4]))
                    for v in range(vectors):
                        totals[p * vectors + v] = number.times_plus(factors[v], totals[p * vectors + v])
                return [code.at(w, size), *totals]

            _, *totals = code.carry(code["terms"], [w, *totals], term)
            done = build.sub(next_, row)  # rows of this step that were finished by the one before
            for p in range(rows):
                is_new = build.icmp_signed("<=", done, code.int(p))
                for v in range(vectors):
                    mask = build.select(is_new, masks[v], code.none)
                    code.store(totals[p * vectors + v], code.at(here, (code["y_row"], p), width * v), mask)
    code.end()
