"""Modality: stained tissue under the microscope, ultrasound, or something else, from what the images look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from medt_pipeline.fingerprint.set_stain import StainSummary
from medt_pipeline.fingerprint.set_ultrasound import UltrasoundSummary
from medt_pipeline.fingerprint.summary import Summary
from medt_pipeline.planning.decisions import Decision

Modality = Literal["histology", "ultrasound", "other"]

LEAST_SHARE = 0.8
"""Share of the cases that must be coloured (histology) or gray (ultrasound). GlaS and MoNuSeg 1 and 0, BUSI and USGRA 0
and 1; a set of both kinds is neither."""

LEAST_WITH_STAINS = 0.5
"""Share of the coloured cases in which two stains are found. GlaS, MoNuSeg 1; a plain drawing 0.33; fluorescence in
colours and coloured noise 0."""

MOST_REFERENCE_ANGLE = 18.0
"""Degrees between the cases' stains and the published haematoxylin and eosin, median of each. GlaS 11.0 and 10.2,
MoNuSeg 2.5 and 5.4, drawn histology 2.5 and 2.3; photographs 10 to 19 and 21 to 53, a fundus 11 and 20. Brown DAB
beside haematoxylin is 6 and 27 away: its set is "other"."""

MOST_ANGLE_WITHOUT_SLIDE = 12.0
"""The same where the empty slide is not seen, which would confirm it."""

LEAST_SLIDE_SHARE = 0.01
"""Share of pixels of the bright empty slide, median. GlaS 0.14, MoNuSeg 0.07; a fundus, a cat 0.00."""

STAIN_ANGLES = (10.0, 45.0)
"""Degrees between both stains. GlaS 20, MoNuSeg 26; photographs 24 to 52, a colour chart 90."""

LEAST_TISSUE_SHARE = 0.05
"""Share of stained pixels, median. GlaS 0.49, MoNuSeg 0.50."""

SPECKLE_SNR = (1.7, 14.0)
"""Mean over standard deviation in windows of 8 × 8, median. BUSI 8.4, USGRA 6.1, drawn ultrasound 3.8; theory 1.91
before compression. A silhouette 1.0, round spots of fluorescence 1.4; camera 15, brick 32, moon 62."""

MOST_DEPTH_SLOPE = -0.6
"""Change of ln(brightness) from top to bottom, median. BUSI −1.63, USGRA −1.47, drawn ultrasound −0.74; coins −0.49, a
head phantom −0.50, textures −0.1 to 0.1."""

LEAST_DARKER_SHARE = 0.8
"""Share of the cases that get darker with depth. BUSI, USGRA 0.98."""

LEAST_BLACK = 0.1
"""Share of the image outside the sector from which a fan stands on black. Drawn ultrasound 0.32, USGRA 0.25."""

MOST_UPPER_FILL = 0.6
"""Share of the upper third of its box that a fan fills, median. Drawn fans 0.44; an ellipse, such as a head or body on
black, 0.69."""


@dataclass(frozen=True)
class _Test:
    """One condition: the words with its number, and whether it holds."""

    words: str
    holds: bool


def choose_modality(summary: Summary) -> Decision[Modality]:
    """Say what kind of images these are; "other" wherever the facts leave doubt, which costs special augmentation only.

    Histology is coloured, and in most cases two stains are found that lie near haematoxylin and eosin. Ultrasound is
    gray (as one channel or three equal ones) with the texture of speckle, and either gets darker with depth or stands
    as a fan on black. Optical coherence tomography, which has speckle and attenuation too, counts as ultrasound.
    """
    coloured = 1 - summary.gray_case_share
    if summary.stain is not None and coloured >= LEAST_SHARE:
        kind: Modality = "histology"
        tests, start = _stain_tests(summary.stain), f"{coloured:.0%} of the cases are coloured"
    elif summary.ultrasound is not None and summary.gray_case_share >= LEAST_SHARE:
        kind = "ultrasound"
        tests, start = (
            _speckle_tests(summary, summary.ultrasound),
            f"{summary.gray_case_share:.0%} of the cases are gray",
        )
    else:
        reason = (
            f"Other: {coloured:.0%} of the cases are coloured and {summary.gray_case_share:.0%} gray, but one kind "
            f"must make up {LEAST_SHARE:.0%} and show something."
        )
        return Decision("modality", "other", "modality.choose_modality", reason, _facts(summary))
    failed = [one.words for one in tests if not one.holds]
    if failed:
        reason = f"Other, not {kind}: {start}, but {failed[0]}."
        return Decision("modality", "other", "modality.choose_modality", reason, _facts(summary))
    reason = f"{kind.capitalize()}: {start}, {', '.join(one.words for one in tests)}."
    return Decision("modality", kind, "modality.choose_modality", reason, _facts(summary))


def _stain_tests(stain: StainSummary) -> list[_Test]:
    found = stain.cases_with_vectors / stain.cases
    tests = [_Test(f"two stains are found in {found:.0%} of them", found >= LEAST_WITH_STAINS)]
    haematoxylin, eosin = stain.haematoxylin_reference_angle_deg, stain.eosin_reference_angle_deg
    if haematoxylin is None or eosin is None or stain.stain_angle_deg is None:
        return tests
    slide = stain.background_share >= LEAST_SLIDE_SHARE
    most = MOST_REFERENCE_ANGLE if slide else MOST_ANGLE_WITHOUT_SLIDE
    least_angle, most_angle = STAIN_ANGLES
    seen = f"the empty slide takes {stain.background_share:.0%}" if slide else "no empty slide is seen"
    return [
        *tests,
        _Test(
            f"these are {haematoxylin:.1f}° and {eosin:.1f}° away from haematoxylin and eosin, where {most:g}° are "
            f"allowed as {seen}",
            max(haematoxylin, eosin) <= most,
        ),
        _Test(f"{stain.stain_angle_deg:.0f}° apart", least_angle <= stain.stain_angle_deg <= most_angle),
        _Test(f"stained pixels take {stain.tissue_share:.0%}", stain.tissue_share >= LEAST_TISSUE_SHARE),
    ]


def _speckle_tests(summary: Summary, ultrasound: UltrasoundSummary) -> list[_Test]:
    snr = ultrasound.speckle_snr
    least, most = SPECKLE_SNR
    speckled = snr is not None and least <= snr <= most
    texture = "no texture can be measured" if snr is None else f"mean over deviation of the texture is {snr:.1f}"
    slope = ultrasound.depth_slope or 0.0
    darker = slope <= MOST_DEPTH_SLOPE and ultrasound.darker_with_depth_share >= LEAST_DARKER_SHARE
    fan = 1 - ultrasound.sector_share >= LEAST_BLACK and _upper_fill(summary) <= MOST_UPPER_FILL
    depth = f"{ultrasound.darker_with_depth_share:.0%} get darker with depth (slope {slope:.2f})"
    shape = f"{'a fan' if fan else 'no fan'} stands on black ({1 - ultrasound.sector_share:.0%} of the image)"
    allowed = "speckle" if speckled else f"speckle has {least:g} to {most:g}"
    return [
        _Test(f"{texture}, {'that of ' if speckled else 'where '}{allowed}", speckled),
        _Test(depth if darker else f"{depth} and {shape}", darker or fan),
    ]


def _upper_fill(summary: Summary) -> float:
    spread = summary.numbers.get("ultrasound.sector_upper_fill")
    return spread.median if spread else 1.0


def _facts(summary: Summary) -> dict[str, Any]:
    stain, ultrasound = summary.stain, summary.ultrasound
    facts: dict[str, Any] = {"cases": summary.cases, "gray_case_share": summary.gray_case_share}
    if stain is not None:
        facts |= {
            "cases_with_stains": stain.cases_with_vectors,
            "haematoxylin_reference_angle_deg": stain.haematoxylin_reference_angle_deg,
            "eosin_reference_angle_deg": stain.eosin_reference_angle_deg,
            "stain_angle_deg": stain.stain_angle_deg,
            "tissue_share": stain.tissue_share,
            "background_share": stain.background_share,
        }
    if ultrasound is not None:
        facts |= {
            "speckle_snr": ultrasound.speckle_snr,
            "depth_slope": ultrasound.depth_slope,
            "darker_with_depth_share": ultrasound.darker_with_depth_share,
            "sector_share": ultrasound.sector_share,
            "sector_upper_fill": _upper_fill(summary),
        }
    return facts
