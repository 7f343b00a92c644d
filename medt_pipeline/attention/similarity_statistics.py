"""Mean and variance of the similarity maps q·k, q·r and k·r without computing the maps.

The published layer normalises the three maps per head over all sequences and all pairs of positions. Both statistics
have closed forms in the moments of q, k and r, so no length × length map is needed.

All forms below centre first: a map entry is a sum of four parts, a constant, a part that varies with the query
alone, one that varies with the key alone and a mixed one, which are orthogonal over the index set. The variance is then
a sum of squares, so nothing cancels in float32 however large the mean is against the spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medt_pipeline.attention.all_processes import over_all_processes, process_count
from medt_pipeline.attention.reference import gather_offsets
from medt_pipeline.attention.sequence_moments import sequence_moments


@dataclass(frozen=True)
class SimilarityStatistics:
    """Statistics over sequences and position pairs; rows are q·k, q·r, k·r (q·k alone without positions).

    Attributes:
        mean: (rows, heads).
        variance: (rows, heads), the biased estimate (divided by the count).
        count: number of map entries a head, sequences × L × L.
    """

    mean: Tensor
    variance: Tensor
    count: int

    def over_all_processes(self) -> SimilarityStatistics:
        """Statistics of the entries of all processes together: see `all_processes.over_all_processes`."""
        if process_count() == 1:
            return self
        return SimilarityStatistics(*over_all_processes(self.mean, self.variance, self.count))


def similarity_statistics(qkv: Tensor, relative: Tensor | None, d_k: int) -> SimilarityStatistics:
    """Statistics of the maps that `axial_attention` scales, for the same `qkv`, `relative` and `d_k`.

    Args:
        qkv: (cases, lines, heads, 2 d_k + d_v, L); at least one line.
        relative: table (2 d_k + d_v, 2 L - 1), or None.
        d_k: channels of a query.
    """
    cases, lines, _, _, length = qkv.shape
    constant, rest, position_mean, position_moment = sequence_moments(qkv, d_k, relative is not None)
    mean = constant.mean(0)[None]
    variance = ((constant - mean) ** 2 + rest).mean(0)[None]
    if relative is not None:
        tables = gather_offsets(relative[: 2 * d_k], length).unflatten(0, (2, d_k))
        of_table = _of_tables(position_mean, position_moment, tables)
        mean, variance = torch.cat([mean, of_table[0]]), torch.cat([variance, of_table[1]])
    return SimilarityStatistics(mean, variance, cases * lines * length * length)


def _of_tables(x_mean: Tensor, x_moment: Tensor, tables: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (2, heads) of q_i·r^q_ij and k_i·r^k_ij over sequences and all i, j.

    Args:
        x_mean: means of queries and keys over sequences, (heads, 2, d_k, L).
        x_moment: second moments about them, (heads, 2, d_k, d_k, L).
        tables: (2, d_k, L, L).
    """
    table_mean = tables.mean(-1)
    centred = tables - table_mean[..., None]
    table_moment = torch.einsum("xcij,xdij->xcdi", centred, centred) / tables.shape[-1]
    constant = (x_mean * table_mean).sum(2)
    mean = constant.mean(-1)
    of_sequence = (x_moment * (table_moment + table_mean[:, :, None] * table_mean[:, None])).sum((2, 3))
    of_position = (x_mean[:, :, :, None] * x_mean[:, :, None] * table_moment).sum((2, 3))
    variance = ((constant - mean[..., None]) ** 2 + of_sequence + of_position).mean(-1)
    return mean.t(), variance.t()
