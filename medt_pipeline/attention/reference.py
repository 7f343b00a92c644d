"""The attention in plain torch: every feature, any dtype, differentiable twice; the truth for all other backends."""

from __future__ import annotations

import torch
from torch import Tensor


def axial_attention_reference(
    q: Tensor, k: Tensor, v: Tensor, relative: Tensor | None, scales: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Attention along one axis with relative positions on queries, keys and values.

    With r^q, r^k, r^v the rows of `relative` and L the length, for query i and key j of every head:

        logits_ij = scales_0 q_i·k_j + scales_1 q_i·r^q_{i-j} + scales_2 k_j·r^k_{j-i}
        a = softmax over j

    Args:
        q: queries (sequences, heads, d_k, L).
        k: keys, shaped like `q`.
        v: values (sequences, heads, d_v, L).
        relative: table (2 d_k + d_v, 2 L - 1): rows of queries, keys, values, shared by all heads; column
            o + L - 1 belongs to the offset o. None: no positions.
        scales: (3, heads), the factors of the three logit terms; without positions only the first row counts.

    Returns:
        Σ_j a_ij v_j and Σ_j a_ij r^v_{i-j}, both (sequences, heads, d_v, L); the second is None without positions.

    Source: Valanarasu et al. 2021 (arXiv 2102.10662), equations 2 and 3; the index convention is that of
    lib/models/axialnet.py of the published code.
    """
    factor = scales[:, :, None, None]
    logits = factor[0] * torch.einsum("nhci,nhcj->nhij", q, k)
    if relative is None:
        return torch.einsum("nhij,nhcj->nhci", logits.softmax(-1), v), None
    r_q, r_k, r_v = gather_offsets(relative, q.shape[-1]).split([q.shape[2], k.shape[2], v.shape[2]])
    logits = logits + factor[1] * torch.einsum("nhci,cij->nhij", q, r_q)
    logits = logits + factor[2] * torch.einsum("nhcj,cji->nhij", k, r_k)
    attention = logits.softmax(-1)
    return torch.einsum("nhij,nhcj->nhci", attention, v), torch.einsum("nhij,cij->nhci", attention, r_v)


def gather_offsets(relative: Tensor, length: int) -> Tensor:
    """Spread a table (rows, 2 L - 1) of offsets to (rows, L, L) with [:, i, j] = relative[:, i - j + L - 1]."""
    position = torch.arange(length, device=relative.device)
    return relative[:, position[:, None] - position[None, :] + length - 1]
