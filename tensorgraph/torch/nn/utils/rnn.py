"""`torch.nn.utils.rnn`: sequences of different lengths in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorgraph as tg
from tensorgraph import ops
from tensorgraph.torch.doorway import doorway

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences (L_i, ...) as one batch (L, N, ...), or (N, L, ...) with `batch_first`; the shorter ones are padded."""
    longest = max(x.shape[0] for x in sequences)

    def padded(x: Any) -> Any:
        rest = tg.full((longest - x.shape[0], *x.shape[1:]), padding_value, dtype=x.dtype)
        return ops.concat([rest, x] if padding_side == "left" else [x, rest])

    return ops.stack([padded(x) for x in sequences], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch, each of its own length."""
    rows = padded_sequences if batch_first else ops.swapaxes(padded_sequences, 0, 1)
    return [rows[i, : int(n)] for i, n in enumerate(lengths)]


__getattr__ = doorway(
    __name__,
    {
        "pack_padded_sequence": "pad_sequence and a mask over the outputs; tensorgraph's RNNs take padded batches",
        "pad_packed_sequence": "pad_sequence and a mask over the outputs; tensorgraph's RNNs take padded batches",
    },
)
