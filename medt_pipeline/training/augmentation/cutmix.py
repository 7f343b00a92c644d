"""CutMix: a rectangle of every patch of a batch shows another patch of it."""

from __future__ import annotations

from typing import Any

import torch

from medt_pipeline.planning.rules.augmentation import AugmentationPolicy
from medt_pipeline.training.augmentation.draws import uniform

SHARE = (0.3, 0.7)
"""Least and most of a patch's area that the other one takes."""


def cut_and_mix(batch: dict[str, Any], policy: AugmentationPolicy | None) -> dict[str, Any]:
    """With the policy's probability, the batch with a rectangle of each patch replaced by that of the patch before it.

    Whoever knows a patch by heart does not know what lies beside the rectangle (Yun et al. 2019, arXiv 1905.04899; for
    segmentation French et al. 2020, arXiv 1906.01916). Image and labels of all resolutions change alike: the rectangle
    begins and ends where pixels of the coarsest do. A batch of one patch stays as it is.

    Args:
        batch: of nnU-Net's loader, which is not changed: "data" (B, C, H, W) and "target", (B, 1, H, W) or a list of
            such at falling resolutions.
        policy: of the plan; None changes nothing.
    """
    probability = 0.0 if policy is None else policy.cutmix_probability
    # Without it, nothing is drawn, so that a training is the same as before there was CutMix.
    if probability == 0 or uniform(0, 1) >= probability:
        return batch
    target = batch["target"]
    targets = target if isinstance(target, list) else [target]
    size, coarsest = batch["data"].shape[-2:], targets[-1].shape[-2:]
    share = uniform(*SHARE) ** 0.5
    spans = [_span(side, round(side / least), share) for side, least in zip(size, coarsest, strict=True)]

    def mixed(maps: torch.Tensor) -> torch.Tensor:
        strides = [round(side / here) for side, here in zip(size, maps.shape[-2:], strict=True)]
        rows, columns = (slice(low // by, high // by) for (low, high), by in zip(spans, strides, strict=True))
        result = maps.clone()
        result[..., rows, columns] = maps[..., rows, columns].roll(1, 0)
        return result

    changed = [mixed(one) for one in targets]
    return {**batch, "data": mixed(batch["data"]), "target": changed if isinstance(target, list) else changed[0]}


def _span(side: int, stride: int, share: float) -> tuple[int, int]:
    """Begin and end of the `share` of a side, at a random place, both multiples of `stride`."""
    places = side // stride
    long = max(round(places * share), 1)
    begin = int(torch.randint(places - long + 1, ()))
    return begin * stride, (begin + long) * stride
