"""Turned and zoomed patches without black corners: beyond its border an image goes on as in a mirror."""

from __future__ import annotations

import copy
from typing import Any

import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform


def mirror_outside(data: dict[str, Any]) -> dict[str, Any]:
    """Fill what nnU-Net's loader padded around an image with mirror images of it, border pixels repeated.

    Args:
        data: `image` (C, H, W) and `segmentation` (S, H, W), which is negative where there is no image.
    """
    inside = (data["segmentation"] >= 0).all(dim=0)
    if not inside.any() or inside.all():
        return data
    rows, columns = _mirrored(inside.any(dim=1)), _mirrored(inside.any(dim=0))
    filled = {name: data[name][:, rows[:, None], columns] for name in ("image", "segmentation")}
    return {**data, **filled}


def _mirrored(inside: torch.Tensor) -> torch.Tensor:
    """For each position along an axis the one within the image that it shows; `inside` (N,) tells where that is."""
    found = inside.nonzero()[:, 0]
    first, count = int(found[0]), int(found[-1] - found[0]) + 1
    along = (torch.arange(len(inside)) - first) % (2 * count)
    return first + torch.minimum(along, 2 * count - 1 - along)


class MirroredBorderTransform(BasicTransform):
    """nnU-Net's spatial transform, with mirror images outside wherever it turns or zooms.

    A patch that is only cut keeps nnU-Net's zeros, because prediction pads images that are smaller than a patch so.

    Args:
        spatial: nnU-Net's; unchanged.
    """

    def __init__(self, spatial: SpatialTransform) -> None:
        super().__init__()
        self.spatial = copy.copy(spatial)
        # For what lies outside even the patch that the loader cuts, at the smallest zoom.
        self.spatial.padding_mode_image = self.spatial.border_mode_seg = "reflection"

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """nnU-Net's draw."""
        parameters: dict[str, Any] = self.spatial.get_parameters(**data_dict)
        return parameters

    def apply(self, data_dict: dict[str, Any], **params: Any) -> dict[str, Any]:
        """Fill and transform, or only cut."""
        data = data_dict if params["grid"] is None else mirror_outside(data_dict)
        changed: dict[str, Any] = self.spatial.apply(data, **params)
        return changed
