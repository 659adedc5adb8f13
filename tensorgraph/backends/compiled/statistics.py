"""The last steps of sums over columns: from what threads summed in float32 to mean, variance and slopes, in double.

A number for each column is so little work that a loop over single numbers does; in Python it is a dozen calls of NumPy,
which takes longer than the sums themselves. Imported by table.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tensorgraph.backends.compiled.emit import FLOAT, Code
from tensorgraph.backends.compiled.loops import vectors

__all__ = ["mean_of_rows", "settle_moments", "settle_slopes"]

DOUBLE = ir.DoubleType()


def mean_of_rows(module: Any, width: int, name: str) -> None:
    """y[column] = share * the sum of x[row * row_step, column] over few rows."""
    code = Code(module, width, name, ["x", "y"], ["rows", "columns", "row_step"], ["share"])
    share = code.splat(code["share"])

    def body(column: Any, mask: Any) -> None:
        x = code.at(code["x"], column)

        def row(i: Any, state: list) -> list:
            return [state[0] + code.load(code.at(x, (i, code["row_step"])), mask)]

        (total,) = code.carry(code["rows"], [code.constant(0.0)], row)
        code.store(total * share, code.at(code["y"], column), mask)

    vectors(code, code["columns"], body)
    code.end()


class _Column:
    """One column of the numbers that are being settled."""

    def __init__(self, code: Code, column: Any):
        self.code, self.build, self.column = code, code.build, column

    def read(self, name: str) -> Any:
        return self.build.fpext(self.build.load(self.code.at(self.code[name], self.column)), DOUBLE)

    def write(self, name: str, value: Any) -> None:
        self.build.store(self.build.fptrunc(value, FLOAT), self.code.at(self.code[name], self.column))

    def total(self, s: int) -> Any:
        """Sum number s of all shares, with what rounding took from it; without, where it is infinite or none."""
        code, build = self.code, self.build

        def add(share: Any, state: list) -> list:
            at = code.at(code["sums"], (code["columns"], 4, share), (code["columns"], s), self.column)
            found, lost = build.load(at), build.load(code.at(at, (code["columns"], 2)))
            finite = build.fcmp_ordered("ord", build.fsub(found, found), found)
            lost = build.select(finite, lost, FLOAT(0.0))
            return [build.fadd(state[0], build.fadd(build.fpext(found, DOUBLE), build.fpext(lost, DOUBLE)))]

        return code.carry(code["shares"], [DOUBLE(0.0)], add)[0]


def _settle(module: Any, width: int, name: str, arrays: list[str], body: Callable[[_Column, Any], None]) -> None:
    code = Code(module, width, name, ["sums", *arrays], ["columns", "shares"], ["share"])
    share = code.build.fpext(code["share"], DOUBLE)
    with code.loop(code["columns"]) as column:
        body(_Column(code, column), share)
    code.end()


def settle_moments(module: Any, width: int, name: str) -> None:
    """Mean and variance of columns: from sums of x - near and of its square, where near is about the mean."""

    def body(column: _Column, share: Any) -> None:
        build = column.build
        away = build.fmul(column.total(0), share)
        var = build.fsub(build.fmul(column.total(1), share), build.fmul(away, away))
        column.write("mean", build.fadd(column.read("near"), away))
        column.write("var", build.select(build.fcmp_ordered("<", var, DOUBLE(0.0)), DOUBLE(0.0), var))

    _settle(module, width, name, ["near", "mean", "var"], body)


def settle_slopes(module: Any, width: int, name: str) -> None:
    """Of y = (x - mean) r weight + bias, from sums of g and of g (x - mean): the gradients of weight and bias, and the
    factors by which x - mean and 1 belong to that of x. `scale` is r weight."""

    def body(column: _Column, share: Any) -> None:
        build, r = column.build, column.read("r")
        total, along = column.total(0), column.total(1)
        factor = build.fneg(build.fmul(column.read("scale"), share))
        normal = build.fmul(along, r)
        column.write("of_weight", normal)
        column.write("of_bias", total)
        column.write("along", build.fmul(build.fmul(factor, r), normal))
        column.write("level", build.fmul(factor, total))

    _settle(module, width, name, ["r", "scale", "of_weight", "of_bias", "along", "level"], body)
