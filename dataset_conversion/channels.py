"""Whether a data set becomes gray or RGB: nnU-Net wants the same channels in every image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.errors import UserError

from .inspection import ImageFacts
from .problems import count

CHANNEL_NAMES = {True: {"0": "R", "1": "G", "2": "B"}, False: {"0": "gray"}}
"""Names by `ChannelDecision.rgb`. nnU-Net reads the normalization off the name: these mean z-score per image."""


@dataclass(frozen=True)
class ChannelDecision:
    """RGB (True) or gray, the rule that decided and its reason."""

    rgb: bool
    rule: str
    reason: str


def decide_channels(images: Sequence[ImageFacts]) -> ChannelDecision:
    """RGB if any image is truly coloured, gray if none is; three equal channels are gray.

    Raises:
        UserError: RGB is needed, but some gray images have 16 bits, which RGB PNG files here do not hold.
    """
    coloured = sum(image.coloured for image in images)
    gray = sum(not image.rgb for image in images)
    equal = len(images) - coloured - gray
    if not coloured:
        reason = f"no image is coloured ({gray} gray, {equal} RGB with three equal channels)"
        return ChannelDecision(False, "gray", reason)
    deep = sum(image.dtype != np.uint8 for image in images)
    if deep:
        raise UserError(
            f"{count(coloured, 'image')} coloured and {deep} gray with 16 bits cannot share one data set; "
            "save the gray ones with 8 bits or convert them apart."
        )
    others = [f"{gray} gray"] * bool(gray) + [f"{equal} with three equal channels"] * bool(equal)
    along = f"; {' and '.join(others)} go along as RGB" if others else ""
    return ChannelDecision(True, "RGB", f"{coloured} of {count(len(images), 'image')} coloured{along}")


def to_channels(picture: np.ndarray, rgb: bool) -> np.ndarray:
    """Bring (H, W) or (H, W, 3) integers to the form decided: (H, W, 3) uint8, or (H, W) uint8 or uint16."""
    if rgb:
        return picture if picture.ndim == 3 else np.repeat(picture[..., np.newaxis], 3, axis=2)
    plain = picture if picture.ndim == 2 else picture[..., 0]
    return plain if plain.dtype == np.uint8 else plain.astype(np.uint16)
