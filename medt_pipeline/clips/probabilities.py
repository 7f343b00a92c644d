"""Class probabilities of the frames of a clip, a few frames at a time, by the same networks as images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from medt_pipeline.clips.model import ClipModel
from medt_pipeline.core.video import VideoFrame
from medt_pipeline.inference.average import Average, average_batch
from medt_pipeline.inference.inputs import require_scale, to_planes
from medt_pipeline.inference.model import BATCH_SIZE

MOST_PIXELS = 2**22
"""Pixels of all frames that go through the networks together; a larger frame goes alone."""


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """A frame and what the networks say of it.

    Attributes:
        index: from 0.
        mean: its probabilities, (classes, 1, H, W).
    """

    index: int
    frame: VideoFrame
    mean: Average


def frames_at_once(height: int, width: int) -> int:
    """How many frames of a size go through the networks together, at least 1."""
    return min(BATCH_SIZE, max(1, MOST_PIXELS // (height * width)))


def predict_frames(
    frames: Iterable[VideoFrame], model: ClipModel, at_once: int, source: str
) -> Iterator[PredictedFrame]:
    """The frames with their probabilities, in their order; `at_once` frames are in memory.

    Args:
        source: name of the clip for messages.

    Raises:
        UserError: a frame has colours or levels that the model does not know, as for images.
    """
    numbered = enumerate(frames)
    while batch := list(islice(numbered, at_once)):
        planes = [_planes(frame.picture, model, f"frame {index + 1} of {source}") for index, frame in batch]
        for (index, frame), mean in zip(batch, average_batch(model.members, planes), strict=True):
            yield PredictedFrame(index, frame, mean)


def _planes(picture: np.ndarray, model: ClipModel, source: str) -> np.ndarray:
    require_scale(picture, model.members[0].normalization, source)
    return to_planes(picture, model.channels, source)
