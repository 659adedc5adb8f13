"""How much of the input one entry of a result sees: the receptive field, read off the recorded graph.

Used by summary.py. Follows convolutions, pooling, strided reading and everything that works entry by entry; what mixes
all positions (a linear layer on flattened images, a mean over the image, attention) sees the whole input.
Source of the recurrence: Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tensorgraph.node import Node
from tensorgraph.ops import window

__all__ = ["Field", "receptive_fields"]


_CORRELATIONS = ("correlate", "correlate_relu")


class Field(NamedTuple):
    """Along every spatial axis: how many pixels of the input an entry sees, and how far apart two entries look."""

    size: tuple[int, ...]
    jump: tuple[int, ...]

    def through(self, kernel: Iterable[int], stride: Iterable[int], dilation: Iterable[int]) -> Field:
        """The field after windows of this kind."""
        grown = zip(self.size, self.jump, kernel, stride, dilation, strict=True)
        sizes, jumps = zip(*((size + (k - 1) * d * jump, jump * s) for size, jump, k, s, d in grown))
        return Field(sizes, jumps)


WHOLE = Field((), ())
"""sees everything"""


def receptive_fields(nodes: Iterable[Node], inputs: Iterable[Node]) -> dict[int, Field]:
    """Serial number -> field, for the nodes (oldest first) that lead from `inputs`, which are images (N, C, *sizes)."""
    fields = {}
    for node in inputs:
        axes = max(len(node.shape) - 2, 0)
        fields[node.serial] = Field((1,) * axes, (1,) * axes)
    for node in nodes:
        parents = [parent for parent in node.parents if parent.serial in fields]
        if parents and node.serial not in fields:
            fields[node.serial] = _field(node, parents, fields)
    return fields


def _field(node: Node, parents: list[Node], fields: dict[int, Field]) -> Field:
    sizes = _sizes(node)
    if node.name in (*_CORRELATIONS, "max_pool", "avg_pool"):
        (parent,) = parents[:1]
        field = fields[parent.serial]
        return field if field is WHOLE else field.through(*_windows(node, parent))
    # a statistic of the whole image that scales its pixels does not count: what is asked for is the reach of windows
    alike = [parent for parent in parents if _sizes(parent) == sizes]
    if node.name.startswith("pad"):
        alike = parents
    elif not alike and node.name == "getitem" and len(_sizes(parents[0])) == len(sizes):  # x[:, :, ::2, ::2]
        return _strided(fields[parents[0].serial], _sizes(parents[0]), sizes)
    if not alike or not sizes or any(fields[parent.serial] is WHOLE for parent in alike):
        return WHOLE
    return _widest([fields[parent.serial] for parent in alike])


def _strided(field: Field, before: tuple[int, ...], after: tuple[int, ...]) -> Field:
    if field is WHOLE or 0 in after:
        return field
    steps = (round(n / m) for n, m in zip(before, after, strict=True))
    return Field(field.size, tuple(jump * step for jump, step in zip(field.jump, steps, strict=True)))


def _sizes(node: Node) -> tuple[int, ...]:
    return () if node.shape is None else node.shape[2:]


def _widest(fields: list[Field]) -> Field:
    return Field(*(tuple(map(max, zip(*along))) for along in zip(*fields)))


def _windows(node: Node, parent: Node) -> tuple[tuple, tuple, tuple]:
    """Kernel, stride and dilation of a convolution or of pooling."""
    known: dict[str, Any] = dict(zip(node.plan.names, node.saved or (), strict=False))
    if node.name not in _CORRELATIONS:
        kernel, geometry = window.pooling(known["pool"], parent.shape)
        return kernel, geometry.stride, geometry.dilation
    inputs = dict(zip(node.plan.inputs, node.parents, strict=False))
    shape = known.get("weight_shape") or (inputs.get("weight") or known["weight"]).shape
    geometry = window.convolution(known["how"], parent.shape, tuple(shape))
    return tuple(shape[2:]), geometry.stride, geometry.dilation
