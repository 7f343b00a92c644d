"""One table of relative positions for sequences of another length."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize_relative_table(table: Tensor, length: int) -> Tensor:
    """Table (rows, 2 `length` - 1) from a table (rows, 2 M - 1) that was learned for sequences of length M.

    Shorter sequences use the middle of the table: an offset in pixels keeps its embedding, so nothing is lost.
    Longer ones have offsets that were never learned; the table is stretched linearly over them.
    """
    columns = 2 * length - 1
    surplus = table.shape[1] - columns
    if surplus >= 0:
        return table[:, surplus // 2 : surplus // 2 + columns]
    return F.interpolate(table[None], size=columns, mode="linear", align_corners=True)[0]
