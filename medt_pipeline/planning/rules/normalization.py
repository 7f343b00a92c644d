"""Normalization: one of nnU-Net's schemes for each channel, from the images' levels and not from a channel's name."""

from __future__ import annotations

from typing import Any

from medt_pipeline.fingerprint.summary import Summary
from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.rules.modality import Modality

RGB_TO_01 = "RGBTo01Normalization"
RESCALE_TO_01 = "RescaleTo01Normalization"
Z_SCORE = "ZScoreNormalization"

LEAST_STD = 1 / 255
"""Deviation within an image, on the scale 0 to 1, below which a channel is constant up to one gray level of 8 bits."""

MOST_SPREAD = 1.0
"""How far colour images that are no histology may differ in brightness, as a multiple of the deviation within them,
before they are better brought to one brightness. Four photographs 0.85, GlaS 0.58, MoNuSeg 0.54."""


def choose_normalization(summary: Summary, modality: Modality) -> Decision[list[str]]:
    """Choose nnU-Net's class for each channel.

    - 8-bit colour: `RGBTo01Normalization`, the level over 255. It keeps what levels mean, so the optical density of a
      stain can be computed from it, and the three channels stay comparable. It fails on values outside 0 to 255, which
      is why it is chosen where all cases are of 8 bits only. Colour that is no histology and whose cases differ in
      brightness by more than `MOST_SPREAD` is treated as gray.
    - Gray, gray stored as colours, more than 8 bits, float: `ZScoreNormalization`, image by image, which takes out
      gain, brightness and scale. It holds for any range; whether floats lie in 0 to 1 makes no difference to it.
    - A channel that is constant in the median image, such as an opaque alpha channel: the level over 255, or for more
      than 8 bits `RescaleTo01Normalization`. Both stay within 0 to 1 and never divide by zero. Z-score does not either
      (it divides by at least 1e-8), but makes full contrast of single gray levels.

    Args:
        summary: facts of the data set.
        modality: of `choose_modality`.
    """
    eight = set(summary.bit_depths) == {"8"}
    coloured = summary.channels == 3 and summary.gray_case_share < 0.5
    if eight and coloured and (modality == "histology" or _spread(summary) <= MOST_SPREAD):
        return _decision([RGB_TO_01] * 3, _why_colour(summary, modality), summary)
    constant = RGB_TO_01 if eight else RESCALE_TO_01
    schemes = [constant if channel.std < LEAST_STD else Z_SCORE for channel in summary.intensity]
    return _decision(schemes, _why_each(summary, schemes, modality), summary)


def _spread(summary: Summary) -> float:
    """Largest difference in brightness between cases over the deviation within them; 0 for constant channels."""
    return max(channel.std_of_means / channel.std if channel.std else 0.0 for channel in summary.intensity)


def _why_colour(summary: Summary, modality: Modality) -> str:
    means = "/".join(f"{channel.mean:.2f}" for channel in summary.intensity)
    spread = "/".join(f"{channel.std_of_means:.2f}" for channel in summary.intensity)
    purpose = (
        "optical densities of the stains can be computed" if modality == "histology" else "colours keep their meaning"
    )
    return (
        f"8-bit colour (mean levels {means}, differing by {spread} between cases) is divided by 255, so that {purpose}."
    )


def _why_each(summary: Summary, schemes: list[str], modality: Modality) -> str:
    depth = "/".join("float" if depth == "float" else f"{depth}-bit" for depth in summary.bit_depths)
    flat = [str(index) for index, scheme in enumerate(schemes) if scheme != Z_SCORE]
    if len(flat) == len(schemes):
        return f"Every channel of these {depth} images is constant within the image, so it is only scaled to 0 to 1."
    gray = "gray " if summary.gray_case_share >= 0.5 else ""
    stored = f"stored as {summary.channels} channels " if gray and summary.channels > 1 else ""
    between = max(channel.std_of_means for channel in summary.intensity)
    within = max(channel.std for channel in summary.intensity)
    gain = summary.ultrasound.gain_std if summary.ultrasound is not None and modality == "ultrasound" else None
    differ = "" if gain is None else f", their gain by {gain:.2f}"
    left = f"; channel {', '.join(flat)} is constant and only scaled to 0 to 1" if flat else ""
    return (
        f"{depth} {gray}images {stored}are brought to mean 0 and deviation 1 one by one: their brightness differs by "
        f"{between:.2f} between cases (deviation within a case {within:.2f}){differ}{left}."
    )


def _decision(schemes: list[str], reason: str, summary: Summary) -> Decision[list[str]]:
    facts: dict[str, Any] = {
        "bit_depths": dict(summary.bit_depths),
        "channels": summary.channels,
        "gray_case_share": summary.gray_case_share,
        "constant_case_share": summary.constant_case_share,
        "means": [channel.mean for channel in summary.intensity],
        "stds": [channel.std for channel in summary.intensity],
        "stds_of_means": [channel.std_of_means for channel in summary.intensity],
    }
    return Decision("normalization", schemes, "normalization.choose_normalization", reason, facts)
