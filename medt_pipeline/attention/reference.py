"""The attention in plain torch: every feature, any dtype, differentiable twice; the truth for all other backends."""

from __future__ import annotations

import torch
from torch import Tensor


def axial_attention_reference(
    qkv: Tensor, relative: Tensor | None, scales: Tensor, d_k: int, joined: bool = False
) -> Tensor:
    """Attention along one axis with relative positions on queries, keys and values.

    With r^q, r^k, r^v the rows of `relative` and L the length, for query i and key j of every head:

        logits_ij = scales_0 q_i·k_j + scales_1 q_i·r^q_{i-j} + scales_2 k_j·r^k_{j-i}
        a = softmax over j
        y_i = scales_3 Σ_j a_ij v_j,   z_i = scales_4 Σ_j a_ij r^v_{i-j}

    Args:
        qkv: queries, keys and values of a head behind each other: (cases, lines, heads, 2 d_k + d_v, L). A line is a
            row or column of an image; all lines are attended to by themselves.
        relative: table (2 d_k + d_v, 2 L - 1): rows of queries, keys, values, shared by all heads; column
            o + L - 1 belongs to the offset o. None: no positions.
        scales: (5, heads), the factors of the three logit terms and of the two value sums; without positions (1,
            heads), that of q·k.
        d_k: channels of a query.
        joined: whether to add the two value sums, as the paper's formula does.

    Returns:
        (cases, lines, parts, heads, d_v, L): y and z as two parts, or one part, their sum, if `joined` or without
        positions.

    Source: Valanarasu et al. 2021 (arXiv 2102.10662), equations 2 and 3; the index convention is that of
    lib/models/axialnet.py of the published code.
    """
    q, k, v = qkv.flatten(0, 1).split([d_k, d_k, qkv.shape[3] - 2 * d_k], dim=2)
    factor = scales[:, :, None, None]
    logits = factor[0] * torch.einsum("nhci,nhcj->nhij", q, k)
    if relative is None:
        of_values = torch.einsum("nhij,nhcj->nhci", logits.softmax(-1), v)
        return of_values.unflatten(0, qkv.shape[:2])[:, :, None]
    r_q, r_k, r_v = gather_offsets(relative, q.shape[-1]).split([d_k, d_k, v.shape[2]])
    logits = logits + factor[1] * torch.einsum("nhci,cij->nhij", q, r_q)
    logits = logits + factor[2] * torch.einsum("nhcj,cji->nhij", k, r_k)
    attention = logits.softmax(-1)
    of_values = factor[3] * torch.einsum("nhij,nhcj->nhci", attention, v)
    of_positions = factor[4] * torch.einsum("nhij,cij->nhci", attention, r_v)
    parts = [of_values + of_positions] if joined else [of_values, of_positions]
    return torch.stack(parts, 1).unflatten(0, qkv.shape[:2])


def gather_offsets(relative: Tensor, length: int) -> Tensor:
    """Spread a table (rows, 2 L - 1) of offsets to (rows, L, L) with [:, i, j] = relative[:, i - j + L - 1]."""
    position = torch.arange(length, device=relative.device)
    return relative[:, position[:, None] - position[None, :] + length - 1]
