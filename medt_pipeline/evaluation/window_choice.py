"""Whether, and over how many frames of a clip, to average probabilities: decided on labelled clips, or not at all.

The rule is that of post-processing (`postprocessing_learning`): a window is good if the paired bootstrap over patients
puts the lower bound of its mean gain in Dice above 0, at an error of 2.5 % divided by the number of windows; of the
good ones that of the largest gain is taken. Fewer than five patients decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medt_pipeline.core.clip_frames import centred_windows, narrowed
from medt_pipeline.evaluation.metrics import count_pixels, dice
from medt_pipeline.evaluation.postprocessing_learning import ERROR, FEWEST_GROUPS, SMALLEST_GAIN
from medt_pipeline.evaluation.statistics import lower_bounds

OFF = 1
WINDOWS = (3, 5, 7, 9)
"""What is tried: at 30 frames a second, up to a third of a second."""


@dataclass(frozen=True)
class WindowChoice:
    """What was decided.

    Attributes:
        window: frames to average over, `OFF` for none.
        reason: why, in a sentence.
        gains: mean gain in Dice over no averaging, by window.
    """

    window: int
    reason: str
    gains: Mapping[int, float]


def window_scores(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    labels_of: Callable[[np.ndarray], np.ndarray],
    labels: Sequence[int],
) -> dict[int, float]:
    """Mean Dice over the frames and classes of one labelled clip, by window, `OFF` among them.

    A class that is neither in a frame's reference nor in its mask counts 1 there. As many frames are in memory as the
    widest window has.

    Args:
        frames: in their order, probabilities (classes, H, W) and reference labels (H, W).
        labels_of: from probabilities to labels (H, W).
        labels: that are scored.
    """
    found: dict[int, list[float]] = {window: [] for window in (OFF, *WINDOWS)}
    for around in centred_windows(frames, max(WINDOWS)):
        reference = around[len(around) // 2][1]
        for window, scores in found.items():
            mean = np.mean([probabilities for probabilities, _ in narrowed(around, window)], axis=0)
            mask = labels_of(mean)
            values = [dice(count_pixels(reference, mask, label)) for label in labels]
            scores += [1.0 if np.isnan(value) else value for value in values]
    return {window: float(np.mean(scores)) for window, scores in found.items()}


def choose_window(scores: Sequence[Mapping[int, float]], groups: Sequence[str]) -> WindowChoice:
    """The window that surely helps most, else `OFF`.

    Args:
        scores: Dice by window of each clip, as `window_scores` gives it.
        groups: patient of each clip.
    """
    patients = len(set(groups))
    if patients < FEWEST_GROUPS:
        return WindowChoice(OFF, f"{patients} patients, where at least {FEWEST_GROUPS} are needed, decide nothing", {})
    columns = np.array([[clip[window] - clip[OFF] for window in WINDOWS] for clip in scores])
    lowest = lower_bounds(columns, groups, ERROR / len(WINDOWS))
    gains = dict(zip(WINDOWS, columns.mean(0).tolist(), strict=True))
    good = [
        window
        for window, low in zip(WINDOWS, lowest.tolist(), strict=True)
        if low > 0 and gains[window] >= SMALLEST_GAIN
    ]
    if not good:
        return WindowChoice(OFF, f"no window surely helps {patients} patients", gains)
    best = max(good, key=lambda window: gains[window])
    return WindowChoice(best, f"gains {gains[best]:.4f} Dice over {patients} patients, surely above 0", gains)
