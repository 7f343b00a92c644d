"""How training images are varied, from the modality and from how far the images of the set differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from medt_pipeline.core.errors import UserError
from medt_pipeline.fingerprint.set_stain import StainSummary
from medt_pipeline.fingerprint.set_ultrasound import UltrasoundSummary
from medt_pipeline.fingerprint.spread import Spread
from medt_pipeline.planning.decisions import Decision

Modality = Literal["histology", "ultrasound", "other"]
Kind = Literal["none", "histology", "ultrasound"]
Border = Literal["black", "mirror"]
Vector = tuple[float, float, float]

RULE = "augmentation.choose_augmentation"
CLEAR_SHARE = 0.8
"""Share of the ultrasound images that must be darker with depth for the depth axis to count as one."""
UPRIGHT_ROTATION_DEG = 15.0
"""nnU-Net's rotation where a direction matters; probes are not held at more."""
SPATIAL_PROBABILITY = 0.7
"""nnU-Net's is 0.2; few images that are shown often are then known by heart (docs/explanation/network.md)."""
FEW_CASES = 30
CUTMIX_PROBABILITY = 0.5
"""Of ultrasound with fewer cases: with ten and twenty training images MedT-M gained 0.05, with 163 it lost 0.03 in a
short training and gained nothing in a whole one (docs/reference/contest.md, few training images)."""
STAIN_SCALE_RANGE = (0.1, 0.4)
STAIN_ANGLE_RANGE_DEG = (1.0, 6.0)
GAIN_RANGE = (0.15, 0.5)
SPECKLE_RANGE = (0.1, 0.3)
DEPTH_RANGE = (0.3, 0.8)
"""Weakest and strongest that rules choose: weaker does nothing, stronger no longer looks like an image."""
MOST = 10.0
"""Limit of strengths that have none of their own: e¹⁰ times brighter is a slip of the keyboard."""
RAYLEIGH_DEVIATION = math.sqrt(4 / math.pi - 1)
"""Standard deviation over mean of fully developed speckle."""


@dataclass(frozen=True)
class AugmentationPolicy:
    """How training images are varied beyond nnU-Net's augmentation, as it stands in a configuration of the plan.

    Strengths are limits: a draw lies evenly between none and the limit, on both sides where it has two. A probability
    of 0 switches a change off. What belongs to another kind is not used.

    Attributes:
        kind: "histology" adds stain jitter; "ultrasound" gain, depth attenuation, shadow and speckle; "none" nothing.
        mirror_axes: of training and of inference; 0 turns the image upside down, 1 swaps left and right.
        rotation_deg: largest rotation, 0 to 180; None leaves it to nnU-Net, which looks at the patch's sides.
        spatial_probability: of each patch to be turned, and of each to be zoomed; 0 to 1.
        border: what lies outside an image where a patch is turned or zoomed: "black", as nnU-Net has it, or "mirror".
        cutmix_probability: of each batch to have rectangles of its patches exchanged; 0 to 1.
        nnunet: whether nnU-Net's own changes of space and intensity are made too; mirroring is in any case.
        stain_probability: 0 to 1.
        stain_vectors: decadic densities of red, green and blue at concentration 1 of haematoxylin and eosin.
        stain_scale: limits of |ln factor| on the concentration of haematoxylin and of eosin.
        stain_shift: limit of what is added to each concentration, in decadic density.
        stain_angle_deg: limit of the angle by which each stain vector turns.
        gain_probability: 0 to 1.
        gain_log: limit of |ln gain|.
        gamma_log: limit of |ln exponent| of the compression curve.
        depth_probability: 0 to 1.
        depth_log: limit of |change of ln brightness| from the first row to the last.
        shadow_probability: 0 to 1.
        shadow_darkness: limit of the share of brightness that is lost in the middle of a shadow, 0 to 1.
        speckle_probability: 0 to 1.
        speckle_strength: limit of the share of fully developed speckle, 0 to 1.
    """

    kind: Kind = "none"
    mirror_axes: tuple[int, ...] = (0, 1)
    rotation_deg: float | None = None
    spatial_probability: float = 0.2
    border: Border = "black"
    cutmix_probability: float = 0.0
    nnunet: bool = True
    stain_probability: float = 0.5
    stain_vectors: tuple[Vector, Vector] = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
    stain_scale: tuple[float, float] = (0.25, 0.25)
    stain_shift: float = 0.01
    stain_angle_deg: float = 3.0
    gain_probability: float = 0.3
    gain_log: float = 0.35
    gamma_log: float = 0.25
    depth_probability: float = 0.3
    depth_log: float = 0.5
    shadow_probability: float = 0.2
    shadow_darkness: float = 0.7
    speckle_probability: float = 0.3
    speckle_strength: float = 0.2

    @classmethod
    def from_plan(cls, record: Mapping[str, Any]) -> AugmentationPolicy:
        """The policy that `dataclasses.asdict` and JSON made `record` of; keys that are missing keep their default.

        Raises:
            UserError: keys are unknown or values out of range; all of them are named.
        """
        names = {field.name for field in fields(cls)}
        faults = [f"unknown key {key!r} (allowed: {', '.join(sorted(names))})" for key in sorted(set(record) - names)]
        known = {key: _as_tuples(value) for key, value in record.items() if key in names}
        policy = cls(**known)
        faults += _faults(policy)
        if faults:
            raise UserError(f"The augmentation in the plan is wrong: {'; '.join(faults)}.")
        return policy


def choose_augmentation(
    modality: Modality, stain: StainSummary | None, ultrasound: UltrasoundSummary | None, cases: int
) -> Decision[AugmentationPolicy]:
    """Vary images as their modality varies between slides, scanners and probes, as far as the set itself does.

    Args:
        modality: of the data set.
        stain: measured stains; published vectors and middling strengths where None or without vectors.
        ultrasound: measured speckle, gain and depth; middling strengths and an upright image where None.
        cases: that can be trained on.
    """
    if modality == "histology":
        return _for_histology(stain)
    if modality == "ultrasound":
        return _with_cutmix(_for_ultrasound(ultrasound), cases)
    reason = "The images are neither histology nor ultrasound: they are varied as nnU-Net does."
    return Decision("augmentation", AugmentationPolicy(), RULE, reason, {"modality": modality})


def _for_histology(stain: StainSummary | None) -> Decision[AugmentationPolicy]:
    policy = AugmentationPolicy(
        kind="histology",
        mirror_axes=(0, 1),
        rotation_deg=180.0,
        spatial_probability=SPATIAL_PROBABILITY,
        border="mirror",
    )
    freedom = (
        f"Tissue has no up or down: it is mirrored, {policy.spatial_probability:.0%} of the patches are turned and as "
        "many zoomed, with mirror images beyond the border"
    )
    facts = _stain_facts(stain)
    if stain is None or not stain.haematoxylin or not stain.eosin:
        reason = f"{freedom}; no stains were measured: usual jitter."
        return Decision("augmentation", policy, RULE, reason, facts)
    policy = replace(
        policy,
        stain_vectors=(stain.haematoxylin, stain.eosin),
        stain_scale=(_scale_of(stain.haematoxylin_p99), _scale_of(stain.eosin_p99)),
        stain_angle_deg=_stain_turn(stain),
    )
    factors = [math.exp(limit) for limit in policy.stain_scale]
    reason = (
        f"{freedom}; haematoxylin and eosin are jittered up to {factors[0]:.2f} and {factors[1]:.2f} times and "
        f"{policy.stain_angle_deg:.1f}°, because the strengths of the {stain.cases_with_vectors} stained cases spread "
        f"{_ratio(stain.haematoxylin_p99):.2f} and {_ratio(stain.eosin_p99):.2f} times from the 10th to the 90th "
        "percentile."
    )
    return Decision("augmentation", policy, RULE, reason, facts)


def _for_ultrasound(measured: UltrasoundSummary | None) -> Decision[AugmentationPolicy]:
    if measured is None:
        policy = AugmentationPolicy(
            kind="ultrasound",
            mirror_axes=(1,),
            rotation_deg=UPRIGHT_ROTATION_DEG,
            spatial_probability=SPATIAL_PROBABILITY,
        )
        reason = "No sector was measured: images stay upright, with the usual gain, depth, shadow and speckle changes."
        return Decision("augmentation", policy, RULE, reason, {"modality": "ultrasound"})
    darker, brighter = measured.darker_with_depth_share, measured.upper_brighter_share
    upright = max(darker, brighter) >= CLEAR_SHARE
    policy = AugmentationPolicy(
        kind="ultrasound",
        mirror_axes=(1,) if upright else (0, 1),
        rotation_deg=UPRIGHT_ROTATION_DEG if upright else None,
        spatial_probability=SPATIAL_PROBABILITY,
        gain_log=_gain_limit(measured),
        depth_log=_depth_limit(measured),
        speckle_strength=_speckle_limit(measured),
    )
    freedom = "mirrored sideways only and turned by at most 15°" if upright else "mirrored both ways"
    reason = (
        f"{darker:.0%} of the images get darker with depth and {brighter:.0%} are brighter above, so they are "
        f"{freedom}; {policy.spatial_probability:.0%} of the patches are turned and as many zoomed; gain varies up to "
        f"{math.exp(policy.gain_log):.2f} times and speckle up to {policy.speckle_strength:.0%} of full, as far as "
        f"gain ({_shown(measured.gain_std)} around {_shown(measured.gain)}) and speckle (SNR "
        f"{_shown(measured.speckle_snr)}) of the set tell."
    )
    return Decision("augmentation", policy, RULE, reason, _ultrasound_facts(measured))


def _with_cutmix(decision: Decision[AugmentationPolicy], cases: int) -> Decision[AugmentationPolicy]:
    if cases >= FEW_CASES:
        return decision
    policy = replace(decision.value, cutmix_probability=CUTMIX_PROBABILITY)
    reason = (
        f"{decision.reason} So few cases ({cases}) are soon known by heart: in {CUTMIX_PROBABILITY:.0%} of the batches "
        "the patches exchange rectangles."
    )
    return replace(decision, value=policy, reason=reason, facts={**decision.facts, "cases": cases})


def _scale_of(strength: Spread | None) -> float:
    """|ln factor| that takes a median slide to the set's strong and weak ones."""
    return _within(math.log(_ratio(strength)) / 2, STAIN_SCALE_RANGE)


def _ratio(strength: Spread | None) -> float:
    """90th over 10th percentile; 1 where it is unknown."""
    return strength.p90 / strength.p10 if strength is not None and strength.p90 >= strength.p10 > 0 else 1.0


def _stain_turn(stain: StainSummary) -> float:
    """Angle that covers most cases; at most a quarter of that between the stains, which must stay two."""
    deviations = [one.p90 for one in (stain.haematoxylin_deviation_deg, stain.eosin_deviation_deg) if one is not None]
    wanted = min(max(deviations, default=0.0), (stain.stain_angle_deg or 0.0) / 4)
    return _within(wanted, STAIN_ANGLE_RANGE_DEG)


def _gain_limit(measured: UltrasoundSummary) -> float:
    """|ln gain| of an even distribution that spreads as the set's mean levels do."""
    if not measured.gain or measured.gain_std is None:
        return AugmentationPolicy.gain_log
    return _within(math.sqrt(3) * measured.gain_std / measured.gain, GAIN_RANGE)


def _speckle_limit(measured: UltrasoundSummary) -> float:
    """Share of full speckle that adds half of the variance that brightness has already from pixel to pixel."""
    if not measured.speckle_snr:
        return AugmentationPolicy.speckle_strength
    return _within(math.sqrt(0.5) / (measured.speckle_snr * RAYLEIGH_DEVIATION), SPECKLE_RANGE)


def _depth_limit(measured: UltrasoundSummary) -> float:
    """A third of the slope that the images have: deeper gain corrected a little more or a little less."""
    if measured.depth_slope is None:
        return AugmentationPolicy.depth_log
    return _within(abs(measured.depth_slope) / 3, DEPTH_RANGE)


def _within(value: float, limits: tuple[float, float]) -> float:
    return round(min(max(value, limits[0]), limits[1]), 4)


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"


def _stain_facts(stain: StainSummary | None) -> dict[str, Any]:
    if stain is None:
        return {"modality": "histology"}
    spreads = {
        "haematoxylin_p99": stain.haematoxylin_p99,
        "eosin_p99": stain.eosin_p99,
        "haematoxylin_deviation_deg": stain.haematoxylin_deviation_deg,
        "eosin_deviation_deg": stain.eosin_deviation_deg,
    }
    return {
        "modality": "histology",
        "cases_with_vectors": stain.cases_with_vectors,
        "stain_angle_deg": stain.stain_angle_deg,
        **{name: None if one is None else [one.p10, one.median, one.p90] for name, one in spreads.items()},
    }


def _ultrasound_facts(measured: UltrasoundSummary) -> dict[str, Any]:
    names = ("darker_with_depth_share", "upper_brighter_share", "depth_slope", "gain", "gain_std", "speckle_snr")
    return {"modality": "ultrasound", **{name: getattr(measured, name) for name in names}}


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value


def _faults(policy: AugmentationPolicy) -> list[str]:
    """What is wrong with the values, one phrase each."""
    faults = []
    if policy.kind not in get_args(Kind):
        faults.append(f"`kind` must be one of {', '.join(get_args(Kind))}, got {policy.kind!r}")
    if policy.border not in get_args(Border):
        faults.append(f"`border` must be one of {', '.join(get_args(Border))}, got {policy.border!r}")
    if policy.mirror_axes not in ((), (0,), (1,), (0, 1)):
        faults.append(f"`mirror_axes` must be [], [0], [1] or [0, 1], got {policy.mirror_axes!r}")
    if policy.rotation_deg is not None and not _is_number(policy.rotation_deg, 180):
        faults.append(f"`rotation_deg` must be null or 0 to 180, got {policy.rotation_deg!r}")
    if not isinstance(policy.nnunet, bool):
        faults.append(f"`nnunet` must be true or false, got {policy.nnunet!r}")
    for field in fields(policy):
        value = getattr(policy, field.name)
        most = 1.0 if field.name.endswith(("_probability", "_darkness", "speckle_strength")) else MOST
        if field.type == "float" and not _is_number(value, most):
            faults.append(f"`{field.name}` must be a number from 0 to {most:g}, got {value!r}")
    if not _are_numbers(policy.stain_scale, 2):
        faults.append(f"`stain_scale` must be two numbers from 0 to {MOST:g}, got {policy.stain_scale!r}")
    vectors = policy.stain_vectors
    if not isinstance(vectors, tuple) or len(vectors) != 2 or not all(_are_stains(vector) for vector in vectors):
        faults.append(f"`stain_vectors` must be two lists of three numbers, got {vectors!r}")
    return faults


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _are_numbers(values: Any, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(_is_number(value, MOST) for value in values)


def _are_stains(vector: Any) -> bool:
    """Three numbers, of which robust extremes may lie slightly below 0, and not all 0."""
    if not isinstance(vector, tuple) or not all(isinstance(value, (int, float)) for value in vector):
        return False
    return _are_numbers(tuple(map(abs, vector)), 3) and any(vector)
