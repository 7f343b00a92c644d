"""Random numbers that an interrupted training draws again."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_generators(seed: int, *of: int) -> None:
    """Seed the generators of Python, NumPy and torch for one part of a training.

    Args:
        seed: of the training.
        of: numbers that tell the part, such as fold and epoch; with the same ones the same numbers are drawn.
    """
    state = np.random.SeedSequence([seed, *of]).generate_state(1)[0]
    random.seed(int(state))
    np.random.seed(state)
    torch.manual_seed(int(state))
