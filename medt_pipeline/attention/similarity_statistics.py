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

from medt_pipeline.attention.reference import gather_offsets


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


def similarity_statistics(q: Tensor, k: Tensor, relative: Tensor | None) -> SimilarityStatistics:
    """Statistics of the maps that `axial_attention` scales, for the same `q`, `k` and `relative`.

    Args:
        q: queries (sequences, heads, d_k, L); at least one sequence.
        k: keys, shaped like `q`.
        relative: table (2 d_k + d_v, 2 L - 1), or None.
    """
    length = q.shape[-1]
    rows = [_of_products(q, k)]
    if relative is not None:
        channels = q.shape[2]
        r_q, r_k = gather_offsets(relative[: 2 * channels], length).split(channels)
        rows += [_of_table(q, r_q), _of_table(k, r_k)]
    mean, variance = (torch.stack(columns) for columns in zip(*rows, strict=True))
    return SimilarityStatistics(mean, variance, q.shape[0] * length * length)


def _of_products(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (heads,) of q_i·k_j over sequences and all i, j."""
    length = q.shape[-1]
    q_mean, k_mean = q.mean(-1), k.mean(-1)
    q_centred, k_centred = q - q_mean[..., None], k - k_mean[..., None]
    q_moment = q_centred @ q_centred.transpose(-1, -2) / length
    k_moment = k_centred @ k_centred.transpose(-1, -2) / length
    constant = (q_mean * k_mean).sum(-1)
    mean = constant.mean(0)
    of_query = torch.einsum("nhc,nhcd,nhd->nh", k_mean, q_moment, k_mean)
    of_key = torch.einsum("nhc,nhcd,nhd->nh", q_mean, k_moment, q_mean)
    mixed = (q_moment * k_moment).sum((-1, -2))
    return mean, ((constant - mean) ** 2 + of_query + of_key + mixed).mean(0)


def _of_table(x: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (heads,) of x_i·table_ij over sequences and all i, j; `table` is (channels, L, L)."""
    x_mean, table_mean = x.mean(0), table.mean(-1)
    x_centred, table_centred = x - x_mean, table - table_mean[..., None]
    x_moment = torch.einsum("nhci,nhdi->hcdi", x_centred, x_centred) / x.shape[0]
    table_moment = torch.einsum("cij,dij->cdi", table_centred, table_centred) / table.shape[-1]
    constant = torch.einsum("hci,ci->hi", x_mean, table_mean)
    mean = constant.mean(-1)
    of_sequence = torch.einsum("ci,hcdi,di->hi", table_mean, x_moment, table_mean)
    of_position = torch.einsum("hci,cdi,hdi->hi", x_mean, table_moment, x_mean)
    mixed = torch.einsum("hcdi,cdi->hi", x_moment, table_moment)
    return mean, ((constant - mean[:, None]) ** 2 + of_sequence + of_position + mixed).mean(-1)
