"""A model of clips that finds what is dark, without training, and frames with known probabilities."""

from __future__ import annotations

import numpy as np

from medt_pipeline.clips.model import ClipModel
from medt_pipeline.clips.probabilities import PredictedFrame
from medt_pipeline.core.video import VideoFrame
from medt_pipeline.inference.average import Average
from tests.slides.stand_in import stand_in


def clip_model(names: dict[int, str] | None = None) -> ClipModel:
    """Its network tells background from class 1 by the green channel, whatever the names."""
    names = names or {1: "lesion"}
    return ClipModel(stand_in(names=names).members, names, 3)


def predicted(index: int, foreground: np.ndarray, seconds: float | None = None) -> PredictedFrame:
    """A frame whose class 1 has these probabilities, (H, W)."""
    probabilities = np.stack([1 - foreground, foreground])[:, None].astype(np.float32)
    frame = VideoFrame(np.zeros(foreground.shape, np.uint8), seconds)
    return PredictedFrame(index, frame, Average(probabilities, np.zeros((1, *foreground.shape), np.float32)))
