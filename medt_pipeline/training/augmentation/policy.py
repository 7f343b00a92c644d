"""From the plan's augmentation policy to transforms among nnU-Net's."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.rules.augmentation import AugmentationPolicy
from medt_pipeline.training.augmentation.depth_attenuation import DepthAttenuationTransform
from medt_pipeline.training.augmentation.gain import GainTransform
from medt_pipeline.training.augmentation.mirrored_border import MirroredBorderTransform
from medt_pipeline.training.augmentation.shadow import ShadowTransform
from medt_pipeline.training.augmentation.speckle import SpeckleTransform
from medt_pipeline.training.augmentation.stain_jitter import StainJitterTransform

STAIN_NORMALIZATION = "RGBTo01Normalization"


def read_policy(configuration: dict[str, Any]) -> AugmentationPolicy | None:
    """The policy of a configuration of the plan; None where it has none and is trained as nnU-Net does.

    Raises:
        UserError: the policy is wrong, or asks for stain jitter on images that are not red, green and blue from 0 to 1.
    """
    record = configuration.get("medt", {}).get("augmentation")
    if record is None:
        return None
    policy = AugmentationPolicy.from_plan(record)
    schemes = list(configuration["normalization_schemes"])
    if policy.kind == "histology" and policy.stain_probability > 0 and schemes != [STAIN_NORMALIZATION] * 3:
        raise UserError(
            f"Stain jitter needs three channels normalised by {STAIN_NORMALIZATION}, but the plan has "
            f"{', '.join(schemes)}; plan again, or set the augmentation's `stain_probability` to 0."
        )
    return policy


def transforms_of(policy: AugmentationPolicy) -> list[BasicTransform]:
    """The transforms of a policy in the order in which they act, each with its probability; none of probability 0.

    Ultrasound follows the way of the sound: shadow and attenuation on its way, speckle where it is scattered, gain in
    the receiver.
    """
    wanted: list[tuple[float, BasicTransform]] = []
    if policy.kind == "histology":
        jitter = StainJitterTransform(
            policy.stain_vectors, policy.stain_scale, policy.stain_shift, policy.stain_angle_deg
        )
        wanted = [(policy.stain_probability, jitter)]
    elif policy.kind == "ultrasound":
        wanted = [
            (policy.shadow_probability, ShadowTransform(policy.shadow_darkness)),
            (policy.depth_probability, DepthAttenuationTransform(policy.depth_log)),
            (policy.speckle_probability, SpeckleTransform(policy.speckle_strength)),
            (policy.gain_probability, GainTransform(policy.gain_log, policy.gamma_log)),
        ]
    return [RandomTransform(transform, probability) for probability, transform in wanted if probability > 0]


def insert_transforms(composed: ComposeTransforms, added: Sequence[BasicTransform]) -> ComposeTransforms:
    """nnU-Net's training transforms with ours after its spatial one, before those of intensity and mirroring.

    After the spatial one, because the image has its final, smaller size, and its up is still up. Before those of
    intensity, because their noise and contrast leave the range of 0 to 1 in which a level has a density, and add to
    the black of a sector what must not be scaled. Before mirroring, which turns shadows upside down with the image.

    Args:
        composed: as nnU-Net's trainer makes them; unchanged.
        added: ours; none gives the same list.
    """
    transforms = list(composed.transforms)
    spatial = (SpatialTransform, MirroredBorderTransform)
    places = [place for place, transform in enumerate(transforms) if isinstance(transform, spatial)]
    if len(places) != 1:
        raise RuntimeError(f"nnU-Net's training transforms have {len(places)} spatial transforms; one was expected")
    place = places[0] + 1
    return ComposeTransforms([*transforms[:place], *added, *transforms[place:]])


def changed_in_space(composed: ComposeTransforms, policy: AugmentationPolicy) -> ComposeTransforms:
    """nnU-Net's training transforms, turning and zooming as often as the policy says, and with its border."""
    transforms = [copy.copy(transform) for transform in composed.transforms]
    for place, transform in enumerate(transforms):
        if isinstance(transform, SpatialTransform):
            transform.p_rotation = transform.p_scaling = policy.spatial_probability
            if policy.border == "mirror":
                transforms[place] = MirroredBorderTransform(transform)
    return ComposeTransforms(transforms)


def without_changes(composed: ComposeTransforms) -> ComposeTransforms:
    """nnU-Net's training transforms without their random changes of space and intensity; mirroring stays."""
    kept = [copy.copy(transform) for transform in composed.transforms if not isinstance(transform, RandomTransform)]
    for transform in kept:
        if isinstance(transform, SpatialTransform):  # it still cuts the patch
            transform.p_rotation = transform.p_scaling = transform.p_elastic_deform = 0
    return ComposeTransforms(kept)
